"""Releases of versions that turn out bad, with everything real: the faults travel in their features code.

Each starts well (but one), proves itself, gets its share of the users, and goes bad under their requests.
"""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from mlcicd_assets.ml.artifact.package import write_package
from mlcicd_assets.release.history import ROLLED_BACK
from mlcicd_assets.release.rollout import State
from tests.fakes.load import Record, constant_load
from tests.fakes.packages import FEATURES, SHOPS, build_package
from tests.fakes.releases import MODEL, sign_release
from tests.fakes.sites import INFER, Site

pytestmark = pytest.mark.xdist_group("bad_canaries")
SHARE = 20
# Nothing is asked for but what a case is about: a busy machine's times would say something of their own.
NOTHING = {"error_rate": None, "latency_p99_ms": None, "p99_ratio": None, "psi": None, "memory_mb": None}
CANARY: dict[str, Any] = {
    "strategy": "canary",
    "weights": [SHARE, 100],
    "bake": "60s",
    "interval": "1s",
    "minimum_requests": 30,
}
# `well` answers as the package should; `calls` counts from the first.
FAULTY = """
import itertools
import os
import time

_numbers = itertools.count(1)
_kept = []
AT_IMPORT


def features(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    def well(rows=records):
        return _well(rows, shops)

    if next(_numbers) <= GOOD_CALLS:
        return well()
    FAULT
"""
GOOD_CALLS = 40  # warm-up, and a second or two of users


class Releases:
    """A champion, and the number of the next version."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.body = site.body()
        self.version = 1

    def faulty(self, fault: str, *, at_import: str = "", good_calls: int = GOOD_CALLS) -> int:
        """A signed version with this fault; returns its number."""
        self.version += 1
        place = self.site.folder / f"faulty-{self.version}"
        built = build_package(place / "built", seed=self.version)
        code = FAULTY.replace("AT_IMPORT", at_import).replace("GOOD_CALLS", str(good_calls))
        source = FEATURES.replace("def features(", "def _well(") + code.replace("FAULT", fault)
        package = write_package(
            place / "package",
            built.signature,
            model=(built.folder / "model.onnx").read_bytes(),
            features=source.encode(),
            lookups={"shops": SHOPS},
        )
        self.site.give(sign_release(place, package, version=self.version))
        return self.version

    def release(self, version: int, **slo: Any) -> tuple[State, Record, int]:
        """Release it under load; the end, what users saw, and how many they were meanwhile."""
        asked: dict[str, int] = {}
        with constant_load(self.site.address, INFER, self.body, per_second=120) as load:
            load.wait(lambda seen: seen.answered["1"] >= 30)
            rollouts = self.site.begin(
                version,
                lambda moment: asked.setdefault(moment, load.total) and None,
                **CANARY,
                slo={**NOTHING, **slo},
            )
            state = rollouts.run(patience_s=90)
            end = load.total
            load.wait(lambda seen: seen.total >= end + 30)
        return state, load, end - asked.get("before route", end)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    site = Site(tmp_path_factory.mktemp("bad"), answer_within_s=1.0)
    try:
        site.begin(1).run(patience_s=60)
        yield Releases(site)
    finally:
        site.close()


CASES: dict[str, tuple[str, dict[str, str], str]] = {
    "crashes": ("os._exit(1)", {}, "errors"),
    "answers 500": ("raise RuntimeError('a bug')", {"error_rate": "<= 0.01"}, "requests failed"),
    "is slow": ("time.sleep(0.3); return well()", {"latency_p99_ms": "<= 150"}, "p99 is"),
    "returns NaN": (
        "return well().with_columns(pl.col('amount_log') * float('nan'))",
        {"error_rate": "<= 0.01"},
        "requests failed",
    ),
    "returns constant scores": (
        "return well(records.with_columns(amount=pl.lit(1e6), shop=pl.lit('c')))",
        {"psi": "<= 0.25"},
        "PSI",
    ),
    "leaks memory": (
        "_kept.append(b'x' * 10_000_000); return well()",
        {"memory_mb": "<= 500"},
        "memory is",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_version_that_goes_bad_is_taken_back_and_costs_users_nothing(releases: Releases, name: str) -> None:
    fault, slo, reason = CASES[name]
    good_calls = 0 if name == "returns constant scores" else GOOD_CALLS
    version = releases.faulty(fault, good_calls=good_calls)

    state, load, asked = releases.release(version, **slo)

    assert (state.phase, state.exposed) == ("rolled_back", True)
    assert reason in state.reason
    last = releases.site.ledger.entries(MODEL)[-1]
    assert (last.action, last.version) == (ROLLED_BACK, version)
    assert reason in last.reason
    assert load.failures == []  # the champion answered in its place, wherever it failed
    share = SHARE / 100
    assert 0 < load.answered[str(version)] <= share * asked + 4 * math.sqrt(share * (1 - share) * asked)
    assert releases.site.champion == 1
    assert releases.site.routes() == {1: 100}
    assert releases.site.servers() == {1: "ready"}


@pytest.mark.parametrize("at_import", ["os._exit(3)", "raise RuntimeError('no such column')"])
def test_a_version_that_crashes_at_its_start_sees_no_user(releases: Releases, at_import: str) -> None:
    version = releases.faulty("return well()", at_import=at_import)

    state, load, asked = releases.release(version)

    assert (state.phase, state.exposed, asked) == ("rolled_back", False, 0)
    assert f"production-{MODEL}-{version}" in state.reason
    assert set(load.answered) == {"1"}
    assert load.failures == []
    assert releases.site.servers() == {1: "ready"}
