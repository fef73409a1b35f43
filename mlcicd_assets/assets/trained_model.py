"""`<model>/trained_model`: a package that can be served, and the run that made it."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.model_options import asset_options
from mlcicd_assets.assets.recording import remember, require_unrefused
from mlcicd_assets.assets.source_code import require_passed
from mlcicd_assets.assets.training_cost import cost_details, metered_training
from mlcicd_assets.assets.tuning import search, shown
from mlcicd_assets.assets.windows import late_column, windows_now
from mlcicd_assets.ml.artifact.keeping import kept
from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.packaging import package_model
from mlcicd_assets.ml.catalogue import ModelLane, read_reference
from mlcicd_assets.ml.data.contract_schema import nullable_columns
from mlcicd_assets.ml.data.feature_table import LABEL, TIME, model_columns
from mlcicd_assets.ml.training.cost import described, metrics_of
from mlcicd_assets.ml.training.environment import capture
from mlcicd_assets.ml.training.fitting import Trained, apply, new_estimator, scores, train
from mlcicd_assets.ml.training.splits import Split, rows_of
from mlcicd_assets.ml.training.training_record import DataUsed, TrainingRecord, used_contents, windows
from mlcicd_assets.ml.training.tuning_record import TuningRecord
from mlcicd_assets.ml.user_code import load_function, load_object
from mlcicd_assets.release.run_files import (
    HOLDOUT,
    PACKAGE,
    TRAINING,
    Candidate,
    candidate_pointer,
)
from mlcicd_assets.release.verdict import NOTHING_ASKED
from resources.protocols import Git, Lake, Ledger, Records, Revision, Studies, Tracking

# Beside the package in a checkout; an installed library has none, and the record says so.
LOCK = Path(__file__).parents[2] / "constraints.txt"


class TrainingConfig(dg.Config):
    """How a run may differ from the declaration."""

    as_of: str | None = None  # ISO 8601: train as if it were then; default: the end of the newest partition


def trained_model(lane: ModelLane) -> dg.AssetsDefinition:
    """Fit on the training window and build the package; tracked in a run of its own."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "trained_model", {"scikitlearn", "onnx", "mlflow"}),
        description=lane.model.description or f"{model}, trained on {lane.model.train} of features.",
    )
    @expected_failures()
    def _trained_model(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        ledger: dg.ResourceParam[Ledger],
        records: dg.ResourceParam[Records],
        git: dg.ResourceParam[Git],
        studies: dg.ResourceParam[Studies],
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        code = require_passed(lane.code, git, records)
        revision = git.revision()
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            material = gather(lane, lake, config.as_of)
            require_unrefused(records, used_contents(material.data))
            tags = {"dagster_run_id": context.run_id, "commit": revision.commit, "dirty": str(revision.dirty)}
            with tracking.run(model, f"{model} as of {material.split.as_of:%Y-%m-%d}", tags) as run:
                with metered_training(ledger, model, f"run {context.run_id}") as meter:
                    tuning = search(
                        lane,
                        material.train,
                        {**used_contents(material.data), "window": str(material.split.train)},
                        studies=studies,
                        tracking=tracking,
                        run_id=run.id,
                        scratch=Path(scratch),
                    )
                    made = make(lane, lake, material, Path(scratch), revision, tuning)
                made = replace(made, record=made.record.model_copy(update={"cost": meter.cost, "code": code}))
                keep(tracking, run.id, made, Path(scratch))
                tracking.log(run.id, metrics=metrics_of(meter.cost, lane.model.rates))
            before = ledger.pointer(candidate_pointer(model))
            ledger.move(
                candidate_pointer(model),
                expected=before,
                new=Candidate(run.id, made.package.digest).text(),
                action="trained",
                model=model,
                actor=f"run {context.run_id}",
                digest=made.package.digest,
                details={"run": run.id, "commit": revision.commit, **cost_details(meter.cost)},
            )
        remember(
            context,
            records,
            inputs=made.record.inputs(),
            content=made.package.digest,
            seconds=time.perf_counter() - started,
        )
        return dg.MaterializeResult(
            metadata={**_shown(made, tracking.url(run.id)), **described(meter.cost, lane.model.rates)},
            data_version=dg.DataVersion(made.package.digest),
        )

    return _trained_model


@dataclass(frozen=True)
class Material:
    """What is learned from, and what will be judged on, with the versions that were read."""

    split: Split
    train: pl.DataFrame
    holdout: pl.DataFrame
    data: list[DataUsed]
    tables: Mapping[str, int]  # every table that was or will be read, and its version


@dataclass(frozen=True)
class Made:
    """A trained package, and what is kept beside it."""

    package: Package
    trained: Trained
    record: TrainingRecord
    holdout: pl.DataFrame  # keys, label, protected columns, and `_score`: the estimator's own `scores`


def gather(
    lane: ModelLane, lake: Lake, as_of: str | None, *, at: Mapping[str, int] | None = None
) -> Material:
    """Choose the windows and read them; raises NotEnoughData or ResourceError.

    `at` are the tables' versions to read (a recorded training's `tables`); default: as they are now.
    """
    table = lane.data.table("features")
    tables = _versions(lane, lake, at or {})
    version = tables[table]
    known = windows_now(lane, lake, as_of=as_of, version=version)
    split, late = known.split, late_column(lane.data)
    used = known.partitions(split.train.start, split.holdout.end)
    chosen = lake.scan(table, partitions=used, version=version)
    order = [TIME, *(f"_{key}" for key in lane.data.dataset.keys)]
    return Material(
        split,
        # In order of time: validation inside the window takes the newest, and the order of files is chance.
        rows_of(chosen, split.train, as_of=split.as_of, arrives=late).sort(order).collect(),
        rows_of(chosen, split.holdout, as_of=split.as_of, arrives=late).sort(order).collect(),
        [
            *(
                DataUsed(table=table, partition=key, version=version, content=known.contents[key])
                for key in (used if used is not None else [None])
            ),
            *(_lookup(lake, name, tables[name]) for name in _lookups(lane)),
        ],
        tables,
    )


def _versions(lane: ModelLane, lake: Lake, at: Mapping[str, int]) -> dict[str, int]:
    """Every table that a training reads, and the version to read."""
    tables = [lane.data.table("features"), lane.data.table("validated_data"), *_lookups(lane)]
    return {table: at[table] if table in at else lake.table_version(table) for table in tables}


def _lookups(lane: ModelLane) -> list[str]:
    return [f"{name}/validated_data" for name in lane.data.dataset.lookups]


def _lookup(lake: Lake, table: str, version: int) -> DataUsed:
    """A reference table that travels in the package, whole."""
    return DataUsed(table=table, partition=None, version=version, content=lake.versions(table)[None].content)


def make(
    lane: ModelLane,
    lake: Lake,
    material: Material,
    scratch: Path,
    revision: Revision,
    tuning: TuningRecord | None = None,
) -> Made:
    """Train, with the parameters that a search chose, and package; touches nothing outside `scratch`."""
    started = time.perf_counter()
    dataset = lane.data.dataset
    names = model_columns(material.train.columns)
    task = lane.model.task
    estimator = new_estimator(load_function(*read_reference(lane.folder, lane.model.estimator)), task)
    if tuning is not None:
        estimator = apply(estimator, tuning.best_trial.params)
    fitted = train(
        estimator,
        material.train.select(names),
        material.train[LABEL],
        task=task,
        imbalance=lane.model.imbalance,
        seed=lane.model.seed,
        trusted=lane.model.trusted_types,
    )
    seconds = time.perf_counter() - started
    validated = lane.data.table("validated_data")
    records = lake.scan(validated, version=material.tables[validated]).head(1000).collect()
    contract = load_object(*read_reference(lane.data.folder, dataset.contract))
    package = package_model(
        scratch / PACKAGE,
        fitted,
        model=lane.model.name,
        threshold=lane.model.threshold,
        features=read_reference(lane.data.folder, dataset.features or ""),
        records=records,
        hidden=dataset.hidden,
        lookups={
            name: lake.scan(table, version=material.tables[table]).collect()
            for name, table in zip(dataset.lookups, _lookups(lane), strict=True)
        },
        nullable=nullable_columns(records.columns, contract, dataset.contract),
    )
    record = TrainingRecord.model_validate(
        {
            **windows(material.split),
            "model": lane.model.name,
            "digest": package.digest,
            "data": material.data,
            "tables": dict(material.tables),
            "environment": capture(LOCK.read_bytes() if LOCK.is_file() else None),
            "task": task,
            "imbalance": lane.model.imbalance,
            "class_rows": dict(fitted.class_rows),
            "engine": fitted.served.engine,
            "not_onnx": fitted.served.not_onnx,
            "tuning": tuning,
            "features": names,
            "params": dict(fitted.params),
            "seed": lane.model.seed,
            "seconds": round(seconds, 3),
            "commit": revision.commit,
            "dirty": revision.dirty,
            "author": revision.author,
        }
    )
    about = [LABEL, *(f"_{name}" for name in [*dataset.keys, *dataset.protected])]
    own = material.holdout.select(list(dict.fromkeys(about))).with_columns(
        # Of many classes an array per row.
        _score=pl.Series(scores(fitted.estimator, material.holdout.select(names), task, fitted.classes))
    )
    return Made(package, fitted, record, own)


def keep(tracking: Tracking, run_id: str, made: Made, scratch: Path) -> None:
    """Put package, estimator, record and holdout into the run."""
    (scratch / TRAINING).write_text(made.record.model_dump_json(indent=1))
    estimator, content = kept(made.trained.estimator, made.trained.served.trusted_types)
    (scratch / estimator).write_bytes(content)
    made.holdout.write_parquet(scratch / HOLDOUT)
    tracking.store(run_id, scratch / PACKAGE, PACKAGE)
    for name in (TRAINING, estimator, HOLDOUT):
        tracking.store(run_id, scratch / name, "")
    tracking.log(
        run_id,
        params={**made.record.params, "train": str(made.record.train), "seed": made.record.seed}
        | {"task": made.record.task, "imbalance": made.record.imbalance, "engine": made.record.engine},
        metrics={"train_seconds": made.record.seconds, "train_rows": made.record.train_rows},
        # MLflow allows no "@" in a tag's name.
        tags={"digest": made.package.digest}
        | (made.record.environment.tags() if made.record.environment else {})
        | {name.replace("@", ":"): content for name, content in made.record.inputs().items()},
    )


def _shown(made: Made, url: str) -> dict[str, Any]:
    record = made.record
    data = [
        dg.TableRecord(
            {
                "table": used.table,
                "partition": used.partition or "",
                "version": used.version,
                "data": used.content[:16],
            }
        )
        for used in record.data
    ]
    return {
        "digest": record.digest,
        "training window": f"{record.train[0]:%Y-%m-%d} to {record.train[1]:%Y-%m-%d}",
        "task": record.task,
        "training rows": record.train_rows,
        "holdout window": f"{record.holdout[0]:%Y-%m-%d} to {record.holdout[1]:%Y-%m-%d}",
        "holdout rows": record.holdout_rows,
        "rows without a label": record.excluded_rows,
        "data": dg.MetadataValue.table(data),
        "features": ", ".join(record.features),
        **_classes_shown(record),
        "served by": _served_by(record),
        **shown(record.tuning),
        "training seconds": record.seconds,
        "commit": record.commit + (" (with uncommitted changes)" if record.dirty else ""),
        "code": f"{record.code.tree[:12]}: {', '.join(record.code.checks)}" if record.code else NOTHING_ASKED,
        "run": dg.MetadataValue.url(url) if url.startswith("http") else url,
    }


def _served_by(record: TrainingRecord) -> str:
    return "ONNX Runtime" if record.engine == "onnx" else f"scikit-learn through skops: {record.not_onnx}"


def _classes_shown(record: TrainingRecord) -> dict[str, Any]:
    if not record.class_rows:
        return {}
    rows = [dg.TableRecord({"class": name, "rows": rows}) for name, rows in record.class_rows.items()]
    return {"classes": dg.MetadataValue.table(rows), "imbalance": record.imbalance}
