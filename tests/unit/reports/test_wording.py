from datetime import datetime

import pytest

from mlcicd_assets.reports.wording import interval, number, signed, signs, span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.0000"),
        (0.75093, "0.7509"),
        (2.4e-7, "2.4e-07"),
        (-2.4e-7, "−2.4e-07"),
        (-0.01, "−0.0100"),
        (14.246, "14.25"),
        (301.9, "301.9"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number(value) == text


def test_bounds_read_well() -> None:
    assert signs("roc_auc >= 0.5, brier <= 0.2") == "roc_auc ≥ 0.5, brier ≤ 0.2"


def test_an_interval_needs_both_ends() -> None:
    assert interval(0.1, 0.2) == "0.1000 to 0.2000"
    assert interval(None, 0.2) == ""


def test_a_gain_has_its_sign() -> None:
    assert (signed(0.01), signed(-0.01), signed(None)) == ("+0.0100", "−0.0100", "–")


def test_a_window_ends_with_its_last_day() -> None:
    assert span((datetime(2026, 1, 1), datetime(2026, 2, 1))) == "2026-01-01 … 2026-01-31"
