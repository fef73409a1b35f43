"""Holdouts: the one of a training, as raw records and on the training path, and the most recent one."""

from dataclasses import dataclass, replace
from datetime import datetime

import dagster as dg
import polars as pl

from mlcicd_assets.assets.windows import late_column, windows_now
from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.parity import align
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.feature_table import LABEL
from mlcicd_assets.ml.evaluation.judged_holdout import JudgedHoldout, trimmed
from mlcicd_assets.ml.evaluation.skew import choose_rows
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.ml.training.splits import NotEnoughData, rows_of
from mlcicd_assets.ml.training.training_record import DataUsed, TrainingRecord
from mlcicd_assets.release.freshness import LabelsNow, stale_comparison
from mlcicd_assets.release.verdict import Verdict
from mlcicd_assets.serving.skew import Sample
from resources.protocols import Lake


def holdout_records(
    lane: ModelLane, lake: Lake, record: TrainingRecord, holdout: pl.DataFrame
) -> pl.DataFrame:
    """The raw, validated records of the holdout's rows."""
    partitions = [used.partition for used in record.data if used.partition is not None]
    return _records(lane, lake, partitions, record.holdout, holdout)


def _records(
    lane: ModelLane,
    lake: Lake,
    partitions: list[str],
    window: tuple[datetime, datetime],
    holdout: pl.DataFrame,
) -> pl.DataFrame:
    dataset = lane.data.dataset
    keys = holdout.select(pl.col(f"_{key}").alias(key) for key in dataset.keys)
    rows = lake.scan(lane.data.table("validated_data"), partitions=partitions or None)
    inside = rows.filter(pl.col(dataset.time or "").is_between(*window, closed="left"))
    return inside.join(keys.lazy(), on=dataset.keys, how="semi", nulls_equal=True).collect()


@dataclass(frozen=True)
class RecentHoldout:
    """The most recent labelled window, as both models are judged on it."""

    judged: JudgedHoldout
    rows: pl.DataFrame  # keys, label and protected columns
    inputs: dict[str, str]  # the features from the window on, by the names that records use

    def records(self, lane: ModelLane, lake: Lake) -> pl.DataFrame:
        """Its raw, validated records."""
        partitions = [used.partition for used in self.judged.data if used.partition is not None]
        return _records(lane, lake, partitions, (self.judged.start, self.judged.end), self.rows)

    def same_as(self, holdout: pl.DataFrame) -> bool:
        """Whether a training's holdout has the same rows and labels."""
        if holdout.height != self.rows.height or not set(self.rows.columns) <= set(holdout.columns):
            return False
        keys = [name for name in self.rows.columns if name != LABEL]
        theirs = holdout.select(self.rows.columns).sort(keys)
        return self.rows.sort(keys).equals(theirs)


def recent_holdout(lane: ModelLane, lake: Lake, learned: dict[str, datetime | None]) -> RecentHoldout:
    """Choose it as a training would choose its own now, and read it; raises NotEnoughData.

    `learned` says until when challenger and champion have learned: those rows are left out.
    """
    table = lane.data.table("features")
    newest = windows_now(lane, lake)
    window, stored = newest.split.holdout, newest.contents
    try:
        start, note = trimmed(window.start, window.end, learned)
    except ValueError as error:
        raise NotEnoughData(f"{lane.model.name}: {error}") from error
    keys = newest.partitions(start, window.end)
    late = late_column(lane.data)
    about = [LABEL, *(f"_{name}" for name in [*lane.data.dataset.keys, *lane.data.dataset.protected])]
    chosen = lake.scan(table, partitions=keys, version=newest.version)
    known = rows_of(chosen, replace(window, start=start), as_of=newest.split.as_of, arrives=late)
    used = [
        DataUsed(table=table, partition=key, version=newest.version, content=stored[key])
        for key in (keys if keys is not None else [None])
    ]
    rows = known.select(list(dict.fromkeys(about))).collect()
    oldest = min((key for key in keys or [] if key), default="")
    looked_at = {key: content for key, content in stored.items() if key is None or key >= oldest}
    return RecentHoldout(
        JudgedHoldout(
            start=start,
            end=window.end,
            rows=rows.height,
            excluded=window.excluded,
            known_at=newest.split.as_of,
            data=used,
            note=note,
        ),
        rows,
        {table if key is None else f"{table}@{key}": content for key, content in looked_at.items()},
    )


def require_fresh(lane: ModelLane, lake: Lake, verdict: Verdict) -> None:
    """Refuse a comparison with the champion that newer labels have overtaken; raises Failure."""
    reason = stale_reason(lane, lake, verdict)
    if reason:
        raise dg.Failure(f"{lane.model.name}: {reason}", allow_retries=False)


def stale_reason(lane: ModelLane, lake: Lake, verdict: Verdict) -> str:
    """Why the comparison must be made again; empty while it stands."""
    newest = windows_now(lane, lake)
    now = LabelsNow(newest.split.holdout.end, newest.contents)
    return stale_comparison(verdict, now, parse_duration(lane.model.champion.stale_after))


def holdout_sample(
    lane: ModelLane, lake: Lake, package: Package, record: TrainingRecord, holdout: pl.DataFrame
) -> Sample:
    """Some records of the holdout, the extremes of each input among them, with what training made of them."""
    keys = lane.data.dataset.keys
    rows = holdout_records(lane, lake, record, holdout)
    chosen = rows[choose_rows(rows, package.signature.inputs)]
    named = [f"_{key}" for key in keys]
    table, partitions = record.data[0], [used.partition for used in record.data if used.partition is not None]
    features = lake.scan(table.table, partitions=partitions or None, version=table.version)
    wanted = chosen.select(pl.col(key).alias(f"_{key}") for key in keys).lazy()
    known = features.join(wanted, on=named, how="semi", nulls_equal=True).collect()
    return Sample(
        records=chosen,
        keys=chosen.select(keys),
        features=align(chosen, known, keys).select(record.features),
        scores=align(chosen, holdout, keys)["_score"].to_numpy(),
    )
