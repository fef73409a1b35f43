"""Whatever is not known to have passed for exactly this code, has not."""

from typing import Any

from mlcicd_assets.codebase.areas import CodeShape, area_contents, check_fingerprint, watched
from mlcicd_assets.codebase.standing import check_asset, not_passed, standings
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from resources.protocols import Materialization

SHAPE = CodeShape.of(CodeBaseDeclaration(owner="team:shop", checks=["ruff", "lock"]))
AREAS = area_contents(SHAPE, {"a.py": "1", "pyproject.toml": "1"})


def record(check: str, **changes: Any) -> Materialization:
    values = {
        "asset": check_asset(check),
        "partition": None,
        "code": check_fingerprint(check, SHAPE, AREAS),
        "inputs": watched(check, AREAS),
        "content": "passed",
        "at": "2026-01-01T00:00:00+00:00",
        "run": "r1",
        "seconds": 1.0,
    }
    return Materialization(**{**values, **changes})


def told(records: list[Materialization], areas: dict[str, str] = AREAS) -> dict[str, tuple[str, str]]:
    return {one.check: (one.state, one.reason) for one in standings(SHAPE, areas, records)}


def test_what_passed_for_this_code_stands():
    found = standings(SHAPE, AREAS, [record("ruff"), record("lock")])
    assert not_passed(found) == []


def test_what_was_never_checked_has_not_passed():
    assert told([record("lock")])["ruff"] == ("unchecked", "never checked")


def test_what_passed_for_other_code_has_not_passed():
    now = area_contents(SHAPE, {"a.py": "2", "pyproject.toml": "1"})
    found = told([record("ruff"), record("lock")], now)
    assert found == {"lock": ("passed", ""), "ruff": ("unchecked", "python changed")}


def test_what_failed_stays_failed_until_it_runs_again():
    found = told([record("ruff", content="failed", failure="1 to\nmend"), record("lock")])
    assert found["ruff"] == ("failed", "1 to mend")


def test_a_result_under_another_declaration_does_not_count():
    assert told([record("ruff", code="other"), record("lock")])["ruff"] == (
        "unchecked",
        "what is declared for it changed",
    )
