import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.reports.forest import forest
from mlcicd_assets.reports.whiskers import WIDTH, Scale
from tests.fakes.evaluations import declaration, evaluation

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1), numbers, numbers)
def test_positions_keep_their_order_and_stay_inside(values: list[float], one: float, other: float) -> None:
    scale = Scale(values)

    assert 0 < scale(one) < WIDTH
    assert scale(min(one, other)) <= scale(max(one, other))


def test_a_scale_about_zero_has_it_in_the_middle() -> None:
    assert Scale.about_zero([-0.1, 0.4, None])(0.0) == WIDTH / 2
    assert Scale.about_zero([])(0.0) == WIDTH / 2


def test_without_a_point_nothing_is_drawn_and_without_limits_the_point_alone() -> None:
    scale = Scale([0.0, 1.0])

    assert scale.whisker(0.1, None, 0.2) is None
    alone = scale.whisker(None, 0.5, None)
    assert alone is not None
    assert alone.low == alone.point == alone.high


def test_what_decides_comes_first_then_what_is_gated() -> None:
    found = evaluation(skill=1.2, champion_skill=0.8)
    about = declaration(gates={"brier": "<= 0.5"})

    lines = forest(found, decide(about, found))

    assert [line.evidence.metric for line in lines[:2]] == ["roc_auc", "brier"]
    assert [line.gated for line in lines[:3]] == [False, True, False]


def test_a_margin_lies_left_of_no_difference_and_a_gain_right_of_it() -> None:
    found = evaluation(skill=1.2, champion_skill=0.8)

    first = forest(found, [])[0]

    assert first.margin is not None
    assert first.gain is not None
    assert first.margin < first.zero < first.gain.low
    assert all(line.margin is None for line in forest(found, []) if not line.evidence.decides)


@pytest.mark.parametrize("theirs", [None, 0.9])
def test_values_without_intervals_are_still_listed(theirs: float | None) -> None:
    lines = forest(evaluation(champion_skill=theirs, significance=None), [])

    assert {"roc_auc", "log_loss"} <= {line.evidence.metric for line in lines}
    assert all(line.mine is None and line.gain is None for line in lines)
