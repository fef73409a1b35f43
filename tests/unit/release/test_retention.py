"""What stays, and why; and that nothing which is needed ever goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.release.retention import (
    Inventory,
    Rule,
    StoredPage,
    StoredRun,
    StoredVersion,
    pinned,
    plan,
    unfinished,
)
from tests.fakes.lines import Line, moved

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
RULE = Rule(keep_versions=1, keep_days=90)


def version(number: int, **changes: Any) -> StoredVersion:
    made = {
        "version": number,
        "digest": f"{number:x}" * 64,
        "run_id": f"run{number}",
        "created": OLD,
        **changes,
    }
    return StoredVersion(**made)


def kept(inventory: Inventory, lines: list[Line], rule: Rule = RULE) -> dict[str, str]:
    return {item.name: item.reason for item in plan(inventory, lines, rule, NOW).keep}


FIVE = [version(number) for number in range(1, 6)]
DIGEST = FIVE[0].digest


@pytest.mark.parametrize(
    ("lines", "changes", "reason"),
    [
        ([moved("promoted", None, 1)], {}, "champion"),
        ([moved("promoted", None, 1), moved("promoted", 1, 2)], {}, "previous"),
        ([Line("staged", 1)], {}, "staging"),
        ([Line("registered", 1)], {}, "challenger"),
        ([Line("pinned", 1)], {}, "pinned"),
        ([Line("approval_requested", 1, digest=DIGEST)], {}, "waits for approval"),
        (
            [Line("approved", 1, {"expires": (NOW + timedelta(days=1)).isoformat()}, digest=DIGEST)],
            {},
            "approved until",
        ),
        (
            [Line("overridden", 1, {"expires": (NOW + timedelta(hours=1)).isoformat()}, digest=DIGEST)],
            {},
            "overridden until",
        ),
        ([], {"rolling": {1}}, "rollout"),
        ([], {"serving": {1}}, "a server runs it"),
        ([], {"candidate_digest": DIGEST}, "last trained"),
    ],
)
def test_what_a_release_needs_stays(lines: list[Line], changes: dict[str, Any], reason: str) -> None:
    found = kept(Inventory("m", FIVE, **changes), lines)

    assert found["1"].startswith(reason) or reason in found["1"]
    assert found["5"].startswith("among the newest") or found["5"]
    assert "3" not in found


def test_an_alias_in_the_registry_keeps_even_where_the_ledger_knows_of_none() -> None:
    assert "alias" in kept(Inventory("m", [version(1, aliases=("champion",)), version(2)]), [])["1"]


def test_the_newest_and_the_young_stay() -> None:
    young = version(1, created=NOW - timedelta(days=89))

    found = kept(Inventory("m", [young, *FIVE[1:]]), [], Rule(keep_versions=2, keep_days=90))

    assert found == {"1": "younger than 90 days", "4": "among the newest 2", "5": "among the newest 2"}


def test_what_was_decided_and_is_over_keeps_nothing() -> None:
    over = {"expires": (NOW - timedelta(days=1)).isoformat()}
    lines = [Line("approved", 1, over, digest=DIGEST), Line("pinned", 2), Line("unpinned", 2)]
    lines += [Line("rejected", 3, {"expires": "2126-01-01T00:00:00+00:00"}, digest=FIVE[2].digest)]

    assert list(kept(Inventory("m", FIVE), lines)) == ["5"]


def test_a_run_stays_with_its_version_and_goes_with_it() -> None:
    runs = [StoredRun(f"run{number}", OLD) for number in range(1, 6)]
    found = plan(Inventory("m", FIVE, runs), [moved("promoted", None, 2)], RULE, NOW)

    assert [item.name for item in found.delete] == ["1", "3", "4"]
    assert [item.run_id for item in found.delete] == ["run1", "run3", "run4"]


def test_runs_without_a_version_go_by_age_and_parts_with_their_whole() -> None:
    runs = [
        StoredRun("old", OLD),
        StoredRun("part of old", NOW, "old"),
        StoredRun("young", NOW),
        StoredRun("part of young", OLD, "young"),
        StoredRun("candidate", OLD),
        StoredRun("again", OLD),
    ]
    trained = Line("trained", None, {"run": "again"}, digest=version(5).digest)
    found = plan(Inventory("m", FIVE[4:], runs, candidate_run="candidate"), [trained], RULE, NOW)

    assert [item.name for item in found.delete] == ["old", "part of old"]


def test_a_page_stays_with_its_version() -> None:
    pages = [StoredPage(f"m/{one.digest[:12]}.html", OLD) for one in FIVE]
    pages.append(StoredPage("m/new.html", NOW))
    found = plan(Inventory("m", FIVE, pages=pages), [], RULE, NOW)

    gone = [item.name for item in found.delete if item.kind == "report"]
    assert gone == [f"m/{one.digest[:12]}.html" for one in FIVE[:4]]


def test_the_plans_digest_is_what_is_deleted_not_why_the_rest_stays() -> None:
    first = plan(Inventory("m", FIVE), [], RULE, NOW)

    assert first.digest == plan(Inventory("m", FIVE), [Line("noted", None)], RULE, NOW).digest
    assert first.digest != plan(Inventory("m", FIVE), [Line("pinned", 1)], RULE, NOW).digest


def test_what_was_begun_and_not_ended_is_found_again() -> None:
    about = {"kind": "version", "name": "1", "run": "run1"}
    begun = Line("deletion_began", 1, about, digest=DIGEST, reason="old")

    (item,) = unfinished([begun])

    assert (item.kind, item.version, item.run_id, item.digest) == ("version", 1, "run1", DIGEST)
    assert unfinished([begun, Line("deleted", 1, about)]) == []


ACTIONS = st.sampled_from(
    ["registered", "staged", "pinned", "unpinned", "promoted", "rolled_back", "rejected"]
)


@given(st.lists(st.tuples(ACTIONS, st.integers(1, 5)), max_size=20), st.integers(1, 3))
def test_whatever_happened_before_champion_previous_and_pinned_stay(
    steps: list[tuple[str, int]], newest: int
) -> None:
    from mlcicd_assets.release.lifecycle import standing

    lines, champion = [], None
    for action, number in steps:
        if action in {"promoted", "rolled_back"}:
            lines.append(moved(action, champion, number))
            champion = number
        else:
            lines.append(Line(action, number))
    stands = standing(lines, "m")
    found = plan(Inventory("m", FIVE), lines, Rule(newest, 1), NOW)
    gone = {item.version for item in found.delete}

    assert not gone & {stands.champion, stands.previous, stands.staging, stands.challenger}
    assert not any(pinned(lines, number or 0) for number in gone)
    assert len(found.delete) + len(found.keep) == 5
    assert not gone & set(range(6 - newest, 6))
