import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.curves import MAX_POINTS, Shapes, confusion, shapes, thin
from tests.fakes.evaluations import labels_and_scores


def test_everything_is_drawn_and_nothing_is_long() -> None:
    drawn = shapes(*labels_and_scores())

    assert 50 < len(drawn.roc.x) <= MAX_POINTS
    assert 50 < len(drawn.precision_recall.x) <= MAX_POINTS
    assert (drawn.roc.x[0], drawn.roc.y[0], drawn.roc.x[-1], drawn.roc.y[-1]) == (0, 0, 1, 1)
    assert sum(calibrated.rows for calibrated in drawn.calibration) == 2_000
    assert sum(drawn.histogram.negatives) + sum(drawn.histogram.positives) == 2_000
    assert len(drawn.histogram.edges) == len(drawn.histogram.negatives) + 1


def test_a_thinned_curve_encloses_the_same_area() -> None:
    x = np.linspace(0, 1, 20_000)

    curve = thin(x, np.sqrt(x))

    assert np.trapezoid(curve.y, curve.x) == pytest.approx(2 / 3, abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=600))
def test_thinning_keeps_both_ends_and_invents_no_point(values: list[float]) -> None:
    x, y = np.linspace(0, 1, len(values)), np.round(np.array(values), 6)

    curve = thin(x, y)

    assert len(curve.x) <= MAX_POINTS
    assert (curve.x[0], curve.x[-1]) == (0, 1)
    assert set(zip(curve.x, curve.y, strict=True)) <= set(
        zip(np.round(x, 6).tolist(), y.tolist(), strict=True)
    )


def test_confusion_counts_every_row_once() -> None:
    counts = confusion(np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.5, 0.5, 0.4, np.nan]), 0.5)

    assert counts.model_dump() == {
        "true_negatives": 1,
        "false_positives": 1,
        "false_negatives": 2,
        "true_positives": 1,
    }


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([1, 1], [0.1, 0.2]), ([0, 1], [0.1, np.nan])])
def test_what_defines_no_curve_is_left_out(labels: list[int], scores: list[float]) -> None:
    assert shapes(np.array(labels), np.array(scores)) == Shapes()
