"""What users see of releases: a constant load over canary, promotion, blue-green, drain and rollback.

Run from the project's root: `python -m benchmarks.release_under_load` (about two minutes). With the real
proxy, supervisor, ledger and model servers. Budgets: no failed request of at least 10,000 at 100 or more in a
second; shares within 3 points; at most 1 s from asking for a rollback to the last answer of the bad version.
Exits with 1 when one is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.release.rollout import State
from tests.fakes.load import Record, constant_load
from tests.fakes.releases import MODEL
from tests.fakes.sites import INFER, Site

PROJECT = Path(__file__).parents[1]
POINTS, LAST_BAD_S = 3.0, 1.0
WEIGHTS = (20, 50, 100)
_ROLL_BACK = """
import sys
from pathlib import Path
from types import SimpleNamespace
from mlcicd_assets.cli.app import app
from tests.fakes.sites import Site
site = Site(Path(sys.argv[1]))
world = site.rollouts().world
names = ("ledger", "registry", "tracking", "keys", "serving", "lake", "predictions")
catalogue = SimpleNamespace(models={site.rollouts().model: site.lane})
from mlcicd_assets.cli.session import Session
session = Session({}, catalogue=catalogue, resources={name: getattr(world, name, None) for name in names})
app(["rollback", site.rollouts().model, "--by", "ada", "--reason", "complaints"], obj=session)
"""


@dataclass
class Split:
    """One canary step: how its requests were shared."""

    declared: int  # percent
    requests: int
    canary: int

    @property
    def points(self) -> float:
        """How far the share is from what was declared, in percentage points."""
        return 100 * self.canary / max(self.requests, 1) - self.declared


@dataclass
class Result:
    """What the clients saw of all of it."""

    load: Record
    splits: list[Split] = field(default_factory=list)
    in_process_s: float = 0.0  # from asking for the rollback to the bad version's last answer
    command_s: float = 0.0  # the same, from starting the process of `mlcicd rollback`
    command_decided_s: float = 0.0  # of that, after the ledger had it

    def missed(self, requests: int, rate: float) -> list[str]:
        """The budgets that were missed, in words."""
        worst = max((abs(split.points) for split in self.splits), default=0.0)
        checks = {
            f"{len(self.load.failures)} requests failed": not self.load.failures,
            f"only {self.load.total} requests": self.load.total >= requests,
            f"only {self.load.rate:.0f} requests in a second": self.load.rate >= rate,
            f"a share is {worst:.1f} points off": worst <= POINTS,
            f"{self.in_process_s:.2f} s from asking to the last bad answer": self.in_process_s <= LAST_BAD_S,
        }
        return [words for words, kept in checks.items() if not kept]


class Watch:
    """Notes what had been answered at each moment."""

    def __init__(self, load: Record) -> None:
        self._load = load
        self._noted: list[tuple[str, Counter[str]]] = []

    def __call__(self, moment: str) -> None:
        self._noted.append((moment, Counter(self._load.answered)))

    def splits(self, version: int, weights: Mapping[int, int] | tuple[int, ...]) -> Iterator[Split]:
        """The shares between each route and the next action."""
        routed = [place for place, (name, _) in enumerate(self._noted) if name == "after route"]
        for place, weight in zip(routed, weights, strict=False):
            after = next(seen for name, seen in self._noted[place:] if name.startswith("before "))
            grown = after - self._noted[place][1]
            yield Split(weight, grown.total(), grown[str(version)])


def measure(site: Site, *, per_second: int, bake_s: int, warm_s: int = 5, command: bool = True) -> Result:
    """Release versions 2 to 5 over version 1, and take the last two back; raises where one is not."""
    for version in range(2, 6 if command else 5):
        site.release(version)  # training takes what the clients need
    with constant_load(site.address, INFER, site.body(), clients=8, per_second=per_second) as load:
        result = Result(load)
        load.wait(lambda seen: seen.total >= per_second)
        watch = Watch(load)
        canary = {
            "strategy": "canary",
            "weights": list(WEIGHTS),
            "bake": f"{bake_s}s",
            "minimum_requests": 50,
        }
        promoted(site.begin(2, watch, **canary).run(patience_s=20 * bake_s + 60))
        result.splits = list(watch.splits(2, WEIGHTS))
        blue_green = {"strategy": "blue_green", "keep_warm": f"{warm_s}s"}
        promoted(site.begin(3, **blue_green).run(patience_s=warm_s + 60))
        with bad_champion(site, 4, load) as asked:
            roll_back(site)
        result.in_process_s = load.last["4"] - asked()
        if command:
            with bad_champion(site, 5, load) as asked:
                subprocess.run([sys.executable, "-c", _ROLL_BACK, str(site.folder)], cwd=PROJECT, check=True)
            result.command_s = load.last["5"] - asked()
            result.command_decided_s = load.last["5"] - decided(site)
    return result


WARM: dict[str, Any] = {"strategy": "blue_green", "keep_warm": "1h"}


@contextmanager
def bad_champion(site: Site, version: int, load: Record) -> Iterator[Callable[[], float]]:
    """A version that was just promoted, with all of the traffic; the block takes it back."""
    site.begin(version, **WARM).run(patience_s=60, until=lambda state: state.phase == "watching")
    load.wait(lambda seen: seen.answered[str(version)] >= 100)
    began = time.monotonic()
    yield lambda: began
    before = load.answered["3"]
    load.wait(lambda seen: seen.answered["3"] >= before + 100)


def roll_back(site: Site) -> None:
    rollouts = site.rollouts(**WARM)
    ask_rollback(rollouts, None, by="ada", reason="complaints")
    state = rollouts.run(patience_s=60)
    if state.phase != "rolled_back":
        raise SystemExit(f"the rollback did not end: {rollouts.describe(state)}")


def promoted(state: State) -> None:
    if state.phase != "promoted":
        raise SystemExit(f"version {state.target.version} is {state.phase}: {state.reason}")


def decided(site: Site) -> float:
    """When the ledger had the last rollback, by the clock that counts seconds alone."""
    from datetime import datetime

    at = next(one.at for one in reversed(site.ledger.entries(MODEL)) if one.action == "rollback_began")
    return time.monotonic() - (time.time() - datetime.fromisoformat(at).timestamp())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=150, help="requests per second")
    parser.add_argument("--bake", type=int, default=24, help="seconds of each canary step")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as folder:
        site = Site(Path(folder) / "site")
        try:
            promoted(site.begin(1).run(patience_s=60))
            return show(measure(site, per_second=args.rate, bake_s=args.bake))
        finally:
            site.close()


def show(result: Result) -> int:
    load, waited = result.load, sorted(result.load.waited_ms)
    print(f"requests  {load.total} at {load.rate:.0f} in a second, {len(load.failures)} failed")
    print(f"waited    p50 {waited[len(waited) // 2]:.1f} ms, p99 {waited[len(waited) * 99 // 100]:.1f} ms")
    for split in result.splits:
        print(f"canary    {split.declared} %: {split.points:+.2f} points of {split.requests} requests")
    print(f"rollback  last bad answer {result.in_process_s * 1e3:.0f} ms after it was asked for")
    print(
        f"          by the command: {result.command_s * 1e3:.0f} ms after its process began, "
        f"{result.command_decided_s * 1e3:.0f} ms after its line stood in the ledger"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    missed = result.missed(10_000, 100.0)
    print("\n".join(["budgets: " + ("MISSED" if missed else "kept"), *load.failures[:3], *missed]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
