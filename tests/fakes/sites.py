"""One home with the real ledger, proxy and supervisor, and a model that is released in it.

A site can be opened by many processes at once: everything that it knows lies in its folder.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mlcicd_assets.assets.rollouts.actions import World
from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.catalogue import ModelLane, load_all
from mlcicd_assets.release.rollout import Target
from mlcicd_assets.serving import protocol
from resources import processes
from resources.ledger import SqlLedger
from resources.protocols import ModelVersion, Release, ServerSettings
from resources.serving_local import LocalServing
from tests.fakes.catalogues import write_catalogue
from tests.fakes.memory import GivenKeys
from tests.fakes.packages import records
from tests.fakes.releases import MODEL, PRIVATE, PUBLIC, make_release
from tests.fakes.rollouts import Versions, digest

INFER = f"/v2/models/{MODEL}/infer"
STAND_IN = "tests.fakes.model_server"
_MOST = 400  # versions of one site
Part = Literal["proxy", "supervisor"]
_COMMANDS: Mapping[Part, bytes] = {
    "proxy": b"envoy/bootstrap.json",
    "supervisor": b"supervisor.supervisord",
}


class FolderVersions(Versions):
    """Versions whose aliases every process sees; a version's digest is what was released."""

    def __init__(self, folder: Path, digest_of: Callable[[int], str]) -> None:
        super().__init__(MODEL)
        self._file = folder / "aliases.json"
        self._digest_of = digest_of

    def get(self, model: str, which: int | str) -> ModelVersion | None:
        found = super().get(model, which)
        return found and replace(found, digest=self._digest_of(found.version))

    def versions(self, model: str) -> list[ModelVersion]:
        aliases = self.standing()
        named = {n: tuple(sorted(a for a, at in aliases.items() if at == n)) for n in range(1, _MOST)}
        return [ModelVersion(model, n, digest(n), f"run-{n}", aliases=found) for n, found in named.items()]

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        aliases = {name: at for name, at in self.standing().items() if name != alias}
        if version is not None:
            aliases[alias] = version
        scratch = self._file.with_suffix(".new")
        scratch.write_text(json.dumps(aliases))
        scratch.rename(self._file)

    def standing(self) -> dict[str, int]:
        """Where the aliases stand."""
        aliases: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return aliases


class Site:
    """With `stand_ins` the servers are the quick stand-ins; else real ones with tiny real packages."""

    def __init__(
        self, folder: Path, *, stand_ins: bool = False, answer_within_s: float | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.serving = LocalServing(
            folder / "home" / "serving", **({"server_module": STAND_IN} if stand_ins else {})
        )
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        self._made: dict[int, Release] = {}
        self._stand_ins = stand_ins
        self._settings = ServerSettings(answer_within_s=answer_within_s)
        self.registry = FolderVersions(folder, lambda version: self.release(version).digest)
        self.lane = _lane(folder / "defs")

    def release(self, version: int) -> Release:
        """The version's package and verdict, made when first asked for; each version has its own digest."""
        if version not in self._made:
            self.give(self._make(self.folder / f"release-{version}", version))
        return self._made[version]

    def _make(self, place: Path, version: int) -> Release:
        if self._stand_ins:
            return _empty_release(place, version)
        if (place / "verdict.json").is_file():  # another process made it
            made = read_package(place / "package").digest
            return Release(MODEL, version, made, place / "package", place / "verdict.json", "production")
        return make_release(place, version=version)

    def give(self, release: Release) -> None:
        """Release something else than the usual under this version."""
        self._made[release.version] = replace(release, settings=self._settings)

    def rollouts(self, observer: Callable[[str], None] = lambda moment: None, **declared: Any) -> Rollouts:
        """A new worker, for a rollout as declared."""
        # The clock of a busy test machine says little about a model: times are not what is tried here.
        slo = {"p99_ratio": None, "psi": None}
        rollout = self.lane.model.rollout.model_validate({"keep_warm": "2s", "slo": slo, **declared})
        lane = replace(self.lane, model=self.lane.model.model_copy(update={"rollout": rollout}))
        keys = GivenKeys(PRIVATE, PUBLIC)
        world: Any = World(self.ledger, self.registry, None, keys, self.serving)  # type: ignore[arg-type]
        seams: Any = {"observer": observer, "proven": self._proven, "compared": _not_compared}
        return Rollouts(lane, world, **seams)

    def _proven(self, lane: Any, world: Any, target: Target, at: str, scratch: Path) -> Release:
        return self.release(target.version)

    def target(self, version: int) -> Target:
        """A version as a rollout names it."""
        return Target(version=version, digest=self.release(version).digest)

    def begin(
        self, version: int, observer: Callable[[str], None] = lambda moment: None, **declared: Any
    ) -> Rollouts:
        """Begin a release over today's champion, and nothing more."""
        rollouts = self.rollouts(observer, **declared)
        champion = rollouts.actions.champion()
        stable = None if champion is None else self.target(champion)
        rollouts.begin(self.target(version), stable, "a test")
        return rollouts

    # -- what is seen from outside --------------------------------------------------------------------

    @property
    def address(self) -> str:
        return self.serving.status().addresses["production"]

    @property
    def champion(self) -> int | None:
        return self.rollouts().actions.champion()

    def routes(self) -> dict[int, int]:
        return dict(self.serving.routes("production", MODEL))

    def mirrors(self) -> dict[int, int]:
        return dict(self.serving.mirrors("production", MODEL))

    def servers(self) -> dict[int, str]:
        """The state of each version's server."""
        return {server.version: server.state for server in self.serving.status().servers}

    def body(self) -> bytes:
        """A request of one record."""
        if self._stand_ins:
            return b"{}"
        scorer = Scorer.load(self.release(1).package)
        return json.dumps(protocol.encode(records(1), scorer.inputs)).encode()

    def pid(self, of: Part | int) -> int | None:
        """The process of a version's server, of the proxy or of the supervisor; None where there is none."""
        if isinstance(of, int):
            return next((one.pid for one in self.serving.status().servers if one.version == of), None)
        found = processes.find(self.serving.folder)
        named = [pid for pid in found if _COMMANDS[of] in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return named[0] if named else None

    def close(self) -> None:
        """Take everything down, whatever has happened to it."""
        processes.end_all(self.serving.folder)


@cache
def _lane(folder: Path) -> ModelLane:
    return (load_all(folder) if folder.is_dir() else write_catalogue(folder)).models[MODEL]


def _empty_release(folder: Path, version: int) -> Release:
    package, verdict = folder / "package", folder / "verdict.json"
    package.mkdir(parents=True, exist_ok=True)
    (package / "manifest.json").write_text("{}")
    verdict.write_text("{}")
    return Release(MODEL, version, digest(version), package, verdict, "production")


def _not_compared(lane: Any, world: Any, release: Release, address: str) -> None:
    """There is no lake here to take records from; the pipeline's tests compare what a server answers."""
