"""`mlcicd verify`: proves a version again, from its bytes to the process that serves it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.cli.output import Json, console, print_json
from mlcicd_assets.cli.session import Session, session_of
from mlcicd_assets.cli.targets import parse_target, version_of

if TYPE_CHECKING:
    from mlcicd_assets.cli.proofs import Fetched
    from mlcicd_assets.ml.catalogue import ModelLane
    from mlcicd_assets.release.verdict import Verdict
    from resources.protocols import Entry, ModelVersion


@dataclass(frozen=True)
class Step:
    """One thing that was proven, or the refusal that ended it."""

    name: str
    passed: bool
    detail: str


def verify(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="MODEL[@champion|@VERSION]", help="The champion by default.")
    ],
    as_json: Json = False,
) -> None:
    """Prove a version again, from its bytes to its server."""
    steps = list(prove(session_of(context), *parse_target(target)))
    passed = all(step.passed for step in steps)
    if as_json:
        print_json({"target": target, "passed": passed, "steps": [asdict(step) for step in steps]})
    else:
        out = console()
        for step in steps:
            mark = "ok     " if step.passed else "refused"
            out.print(f"{mark}  {step.name}: {step.detail}", markup=False)
    if not passed:
        raise typer.Exit(1)


def prove(session: Session, model: str, which: str) -> Iterator[Step]:
    """Prove step by step; a refusal is the last step. `which` is a version number or an alias."""
    from mlcicd_assets.cli.proofs import fetched
    from mlcicd_assets.release.envelope import Refused
    from resources.protocols import ResourceError

    lane = session.model(model)
    name = "version"
    try:
        version = version_of(session, model, which)
        yield Step(name, True, _described(version))
        name = "package"
        with fetched(session, version) as found:
            proof = _Proof(session, lane, found)
            for name, step in proof.steps():
                yield Step(name, True, step())
    except (Refused, ResourceError) as refused:
        # Whatever keeps a proof from being completed, the version is not proven.
        yield Step(name, False, " ".join(str(refused).split()))


@dataclass
class _Proof:
    session: Session
    lane: "ModelLane"
    found: "Fetched"
    proven: "Verdict | None" = None

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("package", self.package),
            ("verdict", self.verdict),
            ("approval", self.approval),
            ("ledger", self.ledger),
            ("server", self.server),
        ]

    @property
    def version(self) -> "ModelVersion":
        return self.found.version

    def package(self) -> str:
        from mlcicd_assets.cli.proofs import prove_package

        package = prove_package(self.found)
        return f"{len(package.files)} files, digest recomputed: {package.digest}"

    def verdict(self) -> str:
        from mlcicd_assets.cli.proofs import prove_verdict, signer, todays_gates

        proven = prove_verdict(self.session, self.found, gates=todays_gates(self.lane), at=self.promoted_at())
        self.proven = proven
        failed = [gate.name for gate in proven.gates if not gate.passed]
        if failed:
            return f"OVERRIDDEN: {', '.join(failed)} failed and a signed override waives it"
        return f"all {len(proven.gates)} gates passed, signed by key {signer(self.found.verdict)[:16]}"

    def approval(self) -> str:
        from mlcicd_assets.cli.proofs import prove_production

        if self.proven is None:
            raise RuntimeError("the approval is proven after the verdict")
        found = prove_production(self.session, self.found, self.promoted_at())
        if found.approval is not None:
            return f"by {found.approval.by} at {found.approval.at}: {found.approval.reason}"
        if found.override is not None and self.proven.policy.required:
            return f"OVERRIDDEN by {found.override.by} at {found.override.at}: {found.override.reason}"
        return f"not needed (risk {self.proven.risk})"

    def promoted_at(self) -> datetime:
        # An approval limits when a version may be promoted, not how long it then serves.
        promoted = self._promotion()
        return datetime.fromisoformat(promoted.at) if promoted else self.session.now()

    def ledger(self) -> str:
        from mlcicd_assets.cli.proofs import champion_version
        from mlcicd_assets.release.envelope import Refused

        lines = self.session.ledger.verify()
        promoted = self._promotion()
        if promoted and promoted.digest != self.version.digest:
            raise Refused(
                f"the ledger promoted version {self.version.version} as {str(promoted.digest)[:12]}, "
                f"but the registry holds {self.version.digest[:12]}"
            )
        champion = champion_version(self.session.ledger, self.version.model)
        if champion == self.version.version and promoted is None:
            raise Refused(f"version {champion} is champion, but no line of the ledger promoted it")
        told = f"promoted {promoted.at} by {promoted.actor}" if promoted else "never promoted"
        return f"{lines} lines, the chain is whole; {told}"

    def server(self) -> str:
        from mlcicd_assets.cli.proofs import champion_version
        from mlcicd_assets.release.envelope import Refused

        model, number = self.version.model, self.version.version
        servers = [
            server
            for server in self.session.serving.status().servers
            if (server.model, server.version) == (model, number) and server.state == "ready"
        ]
        for server in servers:
            if server.digest != self.version.digest:
                raise Refused(f"{server.address} serves {server.digest[:12]}, not {self.version.digest[:12]}")
        if champion_version(self.session.ledger, model) == number:
            self._serves()
        elif not servers:
            return "no server runs this version, and it is not the champion"
        return ", ".join(f"{server.environment} {server.address} runs this digest" for server in servers)

    def _serves(self) -> None:
        from mlcicd_assets.cli.predict import address_of
        from mlcicd_assets.release.envelope import Refused
        from mlcicd_assets.serving.client import answering

        model, number = self.version.model, self.version.version
        address = address_of(self.session, "production")
        versions = answering(address, model)
        if versions != [str(number)]:
            raise Refused(
                f"version {number} is champion, but {address} answers for version "
                f"{', '.join(versions) or 'none'}; repair with 'mlcicd serve start'"
            )

    def _promotion(self) -> "Entry | None":
        entries = self.session.ledger.entries(self.version.model)
        moves = [entry for entry in entries if entry.version == self.version.version]
        return next((entry for entry in reversed(moves) if entry.action == "promoted"), None)


def _described(version: "ModelVersion") -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return f"{version.model} version {version.version}{aliases}, registered as {version.digest}"
