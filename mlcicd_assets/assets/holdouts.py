"""The holdout of a training, as raw records and on the training path."""

import polars as pl

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.parity import align
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.evaluation.skew import choose_rows
from mlcicd_assets.ml.training.training_record import TrainingRecord, in_holdout
from mlcicd_assets.serving.skew import Sample
from resources.protocols import Lake


def holdout_records(
    lane: ModelLane, lake: Lake, record: TrainingRecord, holdout: pl.DataFrame
) -> pl.DataFrame:
    """The raw, validated records of the holdout's rows."""
    dataset = lane.data.dataset
    partitions = [used.partition for used in record.data if used.partition is not None]
    keys = holdout.select(pl.col(f"_{key}").alias(key) for key in dataset.keys)
    rows = lake.scan(lane.data.table("validated_data"), partitions=partitions or None)
    inside = rows.filter(in_holdout(record, dataset.time or ""))
    return inside.join(keys.lazy(), on=dataset.keys, how="semi", nulls_equal=True).collect()


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
