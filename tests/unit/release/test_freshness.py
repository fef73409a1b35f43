from datetime import datetime, timedelta

import pytest

from mlcicd_assets.ml.evaluation.judged_holdout import trimmed
from mlcicd_assets.release.freshness import LabelsNow, stale_comparison
from mlcicd_assets.release.verdict import ChampionVersion, DataVersion, Holdout, Verdict

END = datetime(2026, 4, 1)
USED = DataVersion(table="sales/features", partition="2026-03", version=3, content="aa")
NONE = timedelta(0)


def verdict(**changes) -> Verdict:
    fields = {
        "model": "returns",
        "digest": "ab" * 32,
        "gates": (),
        "risk": "low",
        "data": (),
        "commit": "c",
        "dirty": False,
        "holdout": Holdout(start="2026-03-01T00:00:00", end=END.isoformat(), rows=100, data=(USED,)),
        "champion": ChampionVersion(version=3, digest="cd" * 32),
        "run_id": "r",
        "issued_at": "2026-04-02T00:00:00+00:00",
    }
    return Verdict.model_validate({**fields, **changes})


def now(end: datetime = END, content: str = "aa") -> LabelsNow:
    return LabelsNow(end, {"2026-03": content, "2026-04": "bb"})


def test_a_comparison_stands_while_nothing_newer_came():
    assert stale_comparison(verdict(), now(), NONE) == ""
    # Fewer labels than then, where somebody took a partition back, are not newer ones.
    assert stale_comparison(verdict(), now(END - timedelta(days=3)), NONE) == ""


@pytest.mark.parametrize(("days", "stands"), [(6, True), (7, True), (8, False)])
def test_newer_labels_count_beyond_the_tolerance(days: int, stands: bool):
    reason = stale_comparison(verdict(), now(END + timedelta(days=days)), timedelta(days=7))

    assert (reason == "") == stands
    if not stands:
        assert reason == (
            "champion version 3 was scored on labels until 2026-04-01, but they are known until 2026-04-09 "
            "now, more than stale_after: 7 days, 0:00:00 allows: materialize returns/evaluation_report again"
        )


def test_corrected_data_are_named_whatever_the_tolerance():
    reason = stale_comparison(verdict(), now(content="other"), timedelta(days=70))

    assert "but sales/features@2026-03 has changed since" in reason


def test_a_verdict_that_does_not_say_its_data_is_refused():
    old = verdict(holdout=Holdout(start="2026-03-01T00:00:00", end=END.isoformat(), rows=100))

    assert "does not say on which data" in stale_comparison(old, now(), NONE)


def test_without_a_rival_there_is_nothing_to_be_stale():
    newer = now(END + timedelta(days=30))

    assert stale_comparison(verdict(champion=None), newer, NONE) == ""
    itself = ChampionVersion(version=4, digest="ab" * 32)
    assert stale_comparison(verdict(champion=itself), newer, NONE) == ""


def test_rows_that_a_model_has_learned_from_are_left_out():
    start, end = datetime(2026, 3, 1), datetime(2026, 4, 1)

    assert trimmed(start, end, {"challenger": start, "champion": None}) == (start, "")
    begin, note = trimmed(start, end, {"challenger": start, "champion": datetime(2026, 3, 10)})
    assert begin == datetime(2026, 3, 10)
    assert note == "the champion has learned from rows until 2026-03-10 00:00: left out for both"
    with pytest.raises(ValueError, match=r"the champion has learned from rows until .* train the challenger"):
        trimmed(start, end, {"champion": end})
