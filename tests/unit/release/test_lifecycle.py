"""Where each version stands, whatever happened before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.release.lifecycle import Standing, deviations, standing
from tests.fakes.lines import Line, put
from tests.fakes.lines import moved as move

RELEASED = [
    Line("registered", 1),
    Line("staged", 1),
    move("promoted", None, 1),
    Line("registered", 2),
    Line("staged", 2),
    move("promoted", 1, 2),
]


def test_nothing_stands_before_anything_happened() -> None:
    assert standing([], "m") == Standing()


@pytest.mark.parametrize(
    ("count", "expected", "stages"),
    [
        (1, Standing(challenger=1), {1: "development"}),
        (2, Standing(challenger=1, staging=1), {1: "staging"}),
        (3, Standing(champion=1, served=(1,)), {1: "production"}),
        (5, Standing(champion=1, challenger=2, staging=2, served=(1,)), {1: "production", 2: "staging"}),
        (6, Standing(champion=2, previous=1, served=(1, 2)), {1: "archived", 2: "production"}),
    ],
)
def test_a_version_goes_from_development_to_production_and_is_archived(
    count: int, expected: Standing, stages: dict[int, str]
) -> None:
    found = standing(RELEASED[:count], "m")

    assert found == expected
    assert {version: found.stage(version) for version in stages} == stages


def test_after_a_rollback_nobody_goes_back_to_what_was_bad() -> None:
    lines = [*RELEASED, Line("registered", 3), move("promoted", 2, 3), move("rolled_back", 3, 2)]

    found = standing(lines, "m")

    assert (found.champion, found.previous) == (2, 1)
    assert found.stage(3) == "archived"


def test_a_rejected_challenger_is_archived_until_it_is_registered_again() -> None:
    rejected = [Line("registered", 1), Line("staged", 1), Line("rejected", 1)]

    assert standing(rejected, "m").stage(1) == "archived"
    assert standing([*rejected, Line("registered", 1)], "m").challenger == 1


def test_another_models_pointer_says_nothing() -> None:
    other = Line("promoted", 7, {"pointer": {"name": "champion/n", "from": None, "to": "7"}})

    assert standing([other], "m").champion is None


def test_an_alias_that_a_kill_left_behind_is_not_a_move_by_hand() -> None:
    lines = [*RELEASED[:3], put("champion", 1), *RELEASED[3:]]

    (behind,) = [
        one for one in deviations(lines, "m", {"champion": 1, "previous": 1}) if one.alias == "champion"
    ]

    assert (behind.expected, behind.found, behind.by_hand) == (2, 1, False)
    assert "behind the ledger" in str(behind)


@pytest.mark.parametrize(
    "aliases", [{"champion": 1, "previous": 1}, {"champion": 3, "previous": 1}, {"previous": 1}]
)
def test_a_move_by_hand_is_told_even_back_to_where_it_stood_once(aliases: dict[str, int]) -> None:
    lines = [*RELEASED, put("champion", 2), put("previous", 1)]

    (found,) = deviations(lines, "m", aliases)

    assert found.by_hand
    assert "was moved by hand" in str(found)


VERSIONS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["registered", "staged", "rejected", "rolled_back"]), VERSIONS),
    st.tuples(st.sampled_from(["promoted", "back"]), VERSIONS),
)


@given(st.lists(STEPS, max_size=20))
def test_every_history_has_one_champion_and_no_version_is_its_own_predecessor(
    steps: list[tuple[str, int]],
) -> None:
    lines: list[Line] = []
    champion: int | None = None
    for action, version in steps:
        if action in {"promoted", "back"}:
            lines.append(move("promoted" if action == "promoted" else "rolled_back", champion, version))
            champion = version
        else:
            lines.append(Line(action, version))
    found = standing(lines, "m")

    assert found.champion == champion
    assert found.previous is None or found.previous != found.champion
    assert found.challenger is None or found.challenger != found.champion
    if champion is not None:
        assert found.stage(champion) == "production"
    assert sum(found.stage(version) == "production" for version in range(1, 5)) == (champion is not None)
