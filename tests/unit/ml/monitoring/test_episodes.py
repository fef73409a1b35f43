"""Violated windows become one episode each, whatever the order in which they are looked at."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.monitoring.declaration import Violations
from mlcicd_assets.ml.monitoring.episodes import Episode, advance, silent
from mlcicd_assets.ml.monitoring.signals import PERFORMANCE, SCORE_DRIFT, Signal, State

_STATES: dict[str, State] = {"o": "ok", "v": "violated", "w": "waiting", "?": "not enough evidence"}


def _history(letters: str, version: int = 1, name: str = PERFORMANCE, first: int = 0) -> list[Signal]:
    return [
        Signal(f"2026-01-{first + day + 1:02d}T00:00", version, name, _STATES[letter])
        for day, letter in enumerate(letters)
    ]


def _advance(
    known: Sequence[Episode], history: Sequence[Signal], champion: int = 1, needed: int = 2, of: int = 3
) -> list[Episode]:
    return advance(
        known,
        history,
        champion=champion,
        cause="performance",
        rule=Violations(needed=needed, of=of),
        recover=2,
        model="m",
    )


@pytest.mark.parametrize(
    ("letters", "began"),
    [
        ("v", None),  # one of three
        ("vov", 3),
        ("vvo", 2),
        ("voov", None),  # the first is too long ago
        ("v??wv", 5),  # windows without a verdict take no place
        ("oo", None),
        ("", None),
    ],
)
def test_n_of_the_last_m_judged_windows_with_the_newest_begin_an_episode(
    letters: str, began: int | None
) -> None:
    found = _advance([], _history(letters))

    assert [one.began for one in found] == ([] if began is None else [f"2026-01-{began:02d}T00:00"])


def test_it_ends_only_after_enough_good_windows_in_a_row() -> None:
    open_ = _advance([], _history("vvovo"))
    ended = _advance(open_, _history("vvovoo"))

    assert open_[0].open
    assert (ended[0].ending, ended[0].ended) == ("recovered", "2026-01-06T00:00")


def test_after_a_recovery_only_new_violations_count() -> None:
    # the violated windows of the first episode must not help to begin the second
    found = _advance([], _history("vvoov"), of=5)

    assert len(found) == 1
    assert len(_advance([], _history("vvoovv"), of=5)) == 2


def test_what_is_computed_again_with_late_labels_is_still_the_same_episode() -> None:
    known = _advance([], _history("vv"))
    # the label that came late shows the second window to be good; the third is bad
    again = _advance(known, _history("vovv"))

    assert [one.fingerprint("m") for one in again] == [one.fingerprint("m") for one in known]


def test_another_champion_ends_it_and_starts_from_nothing() -> None:
    known = _advance([], _history("vv"))
    history = [*_history("vv"), *_history("v", version=2, first=2)]

    (only,) = _advance(known, history, champion=2)

    assert (only.ending, only.by) == ("replaced", 2)


def test_a_champion_that_never_was_well_shows_that_the_training_did_not_help() -> None:
    known = _advance([], _history("vv"))
    history = [*_history("vv"), *_history("vv", version=2, first=2)]

    before, after = _advance(known, history, champion=2)

    assert after.unhelped == before.fingerprint("m")


def test_a_champion_that_was_well_first_has_an_episode_of_its_own() -> None:
    known = _advance([], _history("vv"))
    history = [*_history("vv"), *_history("oovv", version=2, first=2)]

    assert _advance(known, history, champion=2)[-1].unhelped == ""


def test_other_causes_and_versions_do_not_count() -> None:
    history = [*_history("vv", name=SCORE_DRIFT), *_history("vv", version=2)]

    assert _advance([], history) == []


def test_silence_is_windows_without_evidence_and_those_that_wait_do_not_break_it() -> None:
    assert silent(_history("o??w?w"), 1, PERFORMANCE) == 3
    assert silent(_history("??o"), 1, PERFORMANCE) == 0


@given(st.text(alphabet="ov?w", max_size=25), st.integers(1, 3), st.integers(0, 3))
def test_one_by_one_or_all_at_once_is_the_same(letters: str, needed: int, more: int) -> None:
    history = _history(letters)
    at_once = _advance([], history, needed=needed, of=needed + more)

    known: list[Episode] = []
    for count in range(len(history) + 1):
        known = _advance(known, history[:count], needed=needed, of=needed + more)

    assert known == at_once


@given(st.text(alphabet="ov?w", max_size=25))
def test_episodes_never_overlap_and_only_the_last_is_open(letters: str) -> None:
    found = _advance([], _history(letters))

    assert all(not one.open for one in found[:-1])
    assert all(one.ended < other.began for one, other in pairwise(found))


@given(st.text(alphabet="ov?w", max_size=25))
def test_looking_again_changes_nothing(letters: str) -> None:
    found = _advance([], _history(letters))

    assert _advance(found, _history(letters)) == found
