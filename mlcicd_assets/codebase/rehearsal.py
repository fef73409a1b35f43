"""Training on a sample, from contract to package, to see within a minute whether a change works at all.

Nothing is kept: no run, no candidate, no version. What it measures is of few rows and decides nothing.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.records import records_at_hand
from mlcicd_assets.ml.catalogue import DataLane, ModelLane, read_reference
from mlcicd_assets.ml.data.contract_schema import conform, nullable_columns
from mlcicd_assets.ml.data.labels import label_column
from mlcicd_assets.ml.periods import overlapping
from mlcicd_assets.ml.user_code import load_function, load_object

_LOOKUP_ROWS = 1_000_000


class NothingAtHand(Exception):
    """There are no records to try it on; says how some get here."""


@dataclass(frozen=True)
class Rehearsed:
    """How it went: passed, failed, or not tried where there was nothing to try it on."""

    model: str
    outcome: str
    message: str
    seconds: float = 0.0
    rows: int = 0
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def rehearse(project: Project, lane: ModelLane, datasets: Mapping[str, DataLane]) -> Rehearsed:
    """Contract, features, training, package and parity on a sample; whatever is raised is the outcome."""
    started = time.perf_counter()
    name = lane.model.name
    try:
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            rows, metrics, said = _trained(project, lane, datasets, Path(scratch))
    except NothingAtHand as nothing:
        return Rehearsed(name, "not tried", str(nothing))
    except Exception as error:  # noqa: BLE001  a user's estimator may raise anything: that is what was asked
        told = " ".join(str(error).split()) or type(error).__name__
        return Rehearsed(name, "failed", told, round(time.perf_counter() - started, 1))
    return Rehearsed(name, "passed", said, round(time.perf_counter() - started, 1), rows, metrics)


def _trained(
    project: Project, lane: ModelLane, datasets: Mapping[str, DataLane], scratch: Path
) -> tuple[int, dict[str, float | None], str]:
    from mlcicd_assets.ml.artifact.packaging import package_model
    from mlcicd_assets.ml.artifact.parity import TOLERANCE, compare_scores
    from mlcicd_assets.ml.artifact.scoring import Scorer
    from mlcicd_assets.ml.data.contracts import ContractBroken, examine
    from mlcicd_assets.ml.data.feature_table import ARRIVES, LABEL, TIME, assemble, model_columns
    from mlcicd_assets.ml.data.features import compute_features
    from mlcicd_assets.ml.evaluation.target import Target
    from mlcicd_assets.ml.training.fitting import new_estimator, scores, train
    from mlcicd_assets.ml.training.splits import choose_windows, rows_of

    dataset = lane.data.dataset
    contract = load_object(*read_reference(lane.data.folder, dataset.contract))
    records, where = sample(project, lane)
    targets = {target: target.split(".")[0] for target in dataset.references.values()}
    known = {
        target: records_at_hand(project, datasets[name], _LOOKUP_ROWS)[0].lazy()
        for target, name in targets.items()
    }
    report = examine(records, contract, dataset, known).report
    if not report.passed:
        raise ContractBroken(f"{lane.data.table('raw_data')}: {report.summary()}")
    lookups = {name: records_at_hand(project, datasets[name], _LOOKUP_ROWS)[0] for name in dataset.lookups}
    features = read_reference(lane.data.folder, dataset.features or "")
    lazy = {name: table.lazy() for name, table in lookups.items()}
    columns = compute_features(load_function(*features), records, lazy, hidden=dataset.hidden)
    late = ARRIVES if dataset.label and dataset.label.arrives else None
    table = assemble(dataset, records, columns).with_row_index("_row")
    newest: Any = table[TIME].max()
    split = choose_windows(table, lane.model, as_of=newest + timedelta(microseconds=1), arrives=late)
    learned, held = (
        rows_of(table.lazy(), window, as_of=split.as_of, arrives=late).collect()
        for window in (split.train, split.holdout)
    )
    names = model_columns(columns.columns)
    trained = train(
        new_estimator(load_function(*read_reference(lane.folder, lane.model.estimator)), lane.model.task),
        learned.select(names),
        learned[LABEL],
        task=lane.model.task,
        imbalance=lane.model.imbalance,
        seed=lane.model.seed,
        trusted=lane.model.trusted_types,
    )
    package = package_model(
        scratch / "package",
        trained,
        model=lane.model.name,
        threshold=lane.model.threshold,
        features=features,
        records=records[learned["_row"].to_list()[:1000]],
        hidden=dataset.hidden,
        lookups=lookups,
        nullable=nullable_columns(records.columns, contract, dataset.contract),
    )
    target = Target.of(package.signature, lane.model.costs)
    served = target.scores(Scorer.load(package).predict(records[held["_row"].to_list()]))
    own = scores(trained.estimator, held.select(names), lane.model.task, trained.classes)
    parity = compare_scores(served, own, lane.model.threshold if lane.model.task == "binary" else None)
    if parity.max_difference is None or parity.max_difference > TOLERANCE:
        raise ContractBroken(
            f"what is packaged answers otherwise than what was trained: {parity.max_difference}"
        )
    measured = target.measure(target.truth(held[LABEL]), served).metrics
    said = f"trained on {learned.height} and judged on {held.height} rows of {where}"
    return learned.height + held.height, dict(measured), said


def sample(project: Project, lane: ModelLane) -> tuple[pl.DataFrame, str]:
    """At most the declared rows of the newest windows, each class with its share; and where they are from.

    Raises NothingAtHand.
    """
    declared, dataset = project.declared.sample, lane.data.dataset
    span = lane.model.train_window + lane.model.holdout_window
    records, where = _newest(project, lane.data, span)
    time_column = dataset.time or ""
    if dataset.label:
        records = records.with_columns(_drawn=label_column(dataset.label, records))
        records = records.filter(pl.col("_drawn").is_not_null())
    if records.height > declared.rows:
        records = stratified(records, declared.rows, declared.seed, lane.model.task != "regression")
    return records.drop("_drawn", strict=False).sort(time_column, maintain_order=True), where


def stratified(records: pl.DataFrame, rows: int, seed: int, by_class: bool) -> pl.DataFrame:
    """So many rows in their order; with `by_class` each class of `_drawn` keeps its share of them."""
    numbered = records.with_row_index("_at")
    fraction = rows / records.height
    if not by_class:
        return numbered.sample(rows, seed=seed).sort("_at").drop("_at")
    drawn = [
        group.sample(max(1, int(group.height * fraction)), seed=seed)
        for group in numbered.sort("_drawn", "_at").partition_by("_drawn", maintain_order=True)
    ]
    return pl.concat(drawn).sort("_at").drop("_at")


def _newest(project: Project, data: DataLane, span: timedelta) -> tuple[pl.DataFrame, str]:
    time_column = data.dataset.time or ""
    table = data.table("validated_data")
    if project.lake and project.lake.versions(table):
        lazy = project.lake.scan(table)
        newest: Any = lazy.select(pl.col(time_column).max()).collect().item()
        return lazy.filter(pl.col(time_column) > newest - span).collect(), table
    landed = _landed(project, data, span)
    if landed is None:
        raise NothingAtHand(
            f"no records of {data.dataset.name} are here, so nothing was trained; "
            f"let some land, or materialize {table}"
        )
    contract = load_object(*read_reference(data.folder, data.dataset.contract))
    return conform(landed, contract, data.dataset.contract), "what has landed"


def _landed(project: Project, data: DataLane, span: timedelta) -> pl.DataFrame | None:
    template, kind = data.dataset.source.files, data.dataset.partitions
    if project.landing is None or not template:
        return None
    from resources.protocols import ResourceError

    try:
        if kind == "none":
            return project.landing.read(project.landing.find(template, None))
        keys = project.landing.partitions(template)
        chosen = _latest(kind, keys, span)
        frames = [project.landing.read(project.landing.find(template, key)) for key in chosen]
    except ResourceError:  # none has landed, or it cannot be read: the data lane says so
        return None
    return pl.concat(frames, how="vertical_relaxed") if frames else None


def _latest(kind: str, keys: list[str], span: timedelta) -> list[str]:
    if not keys or kind == "dynamic":
        return keys
    from mlcicd_assets.ml.periods import end_of

    end: datetime = end_of(kind, keys[-1])
    return overlapping(kind, keys, end - span, end)
