"""Two versions' answers to the same requests."""

import polars as pl
import pytest

from mlcicd_assets.release.shadow import agreement, distribution


def rows(*answers: tuple[str, float, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(request, 0, score, label) for request, score, label in answers],
        schema={"request_id": pl.String, "row": pl.Int32, "score": pl.Float64, "label": pl.String},
        orient="row",
    )


def test_rows_are_joined_by_request() -> None:
    found = agreement(
        rows(("a", 0.2, "0"), ("b", 0.6, "1"), ("c", 0.9, "1")),
        rows(("b", 0.4, "0"), ("a", 0.25, "0"), ("d", 0.1, "0")),
    )
    assert (found.joined, found.agreed, found.rate) == (2, 1, 0.5)
    assert found.max_difference == pytest.approx(0.2)
    assert found.mean_difference == pytest.approx((0.05 - 0.2) / 2)
    assert (found.only_first, found.only_second) == (1, 1)


def test_a_request_that_was_asked_twice_counts_once() -> None:
    found = agreement(rows(("a", 0.2, "0"), ("a", 0.3, "0")), rows(("a", 0.3, "0")))
    assert (found.joined, found.max_difference) == (1, 0.0)


def test_numbers_have_no_labels_to_agree_on() -> None:
    found = agreement(rows(("a", 12.0, None)), rows(("a", 10.0, None)))
    assert (found.joined, found.agreed, found.rate, found.max_difference) == (1, None, None, 2.0)


def test_nothing_in_common_says_nothing() -> None:
    found = agreement(rows(("a", 0.2, "0")), rows(("b", 0.2, "0")))
    assert (found.joined, found.rate, found.max_difference) == (0, None, None)


def test_scores_by_bin() -> None:
    assert distribution(rows(("a", 0.0, "0"), ("b", 0.04, "0"), ("c", 1.0, "1"))) == {"0.05": 2, "1.00": 1}
