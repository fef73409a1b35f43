"""Training again from what a run recorded: here for a gate, or an old version from its own commit."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from mlcicd_assets.assets.trained_model import Made, Material, gather, make
from mlcicd_assets.ml.artifact.package import Package, PackageError, read_package
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.evaluation.reproducibility import Repeated, ReproductionError, compare
from mlcicd_assets.ml.training.environment import Environment, differences
from mlcicd_assets.ml.training.fitting import TrainingError
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import HOLDOUT, PACKAGE, TRAINING
from resources.protocols import Git, Lake, Ledger, ModelVersion, ResourceError, Revision, Tracking

# -- the gate --------------------------------------------------------------------------------------------


def repeat(lane: ModelLane, lake: Lake, record: TrainingRecord, scratch: Path) -> Made:
    """Train again, from the recorded windows and table versions, with the code that is loaded."""
    return make(lane, lake, recorded_material(lane, lake, record), scratch, _revision(record), record.tuning)


def recorded_material(lane: ModelLane, lake: Lake, record: TrainingRecord) -> Material:
    """The very rows that a training read; raises ReproductionError where a table's version is gone."""
    tables = record.tables or {used.table: used.version for used in record.data}
    try:
        return gather(lane, lake, record.as_of.isoformat(), at=tables)
    except ResourceError as error:
        raise ReproductionError(
            f"{lane.model.name}: the recorded data cannot be read any more ({error}); "
            "table versions are kept as long as retention says"
        ) from error


def repeated(
    lane: ModelLane,
    lake: Lake,
    package: Package,
    record: TrainingRecord,
    holdout: pl.DataFrame,
    scratch: Path,
) -> Repeated:
    """Train the candidate again, in full or twice on the declared sample, and compare."""
    started = time.perf_counter()
    rule = lane.model.reproducible
    sampled = 0 < rule.sample < record.train_rows
    try:
        if sampled:
            first, second = _twice(lane, lake, record, rule.sample, scratch)
            packages, scores = (
                (first.package, second.package),
                (_scores(first.holdout), _scores(second.holdout)),
            )
        else:
            again = repeat(lane, lake, record, scratch / "again")
            packages, scores = (package, again.package), (_scores(holdout), _scores(again.holdout))
    except (TrainingError, ReproductionError, PackageError) as error:
        return _failed(package, record, rule.tolerance, str(error), time.perf_counter() - started)
    return compare(
        *packages,
        scores,
        trained_on=rule.sample if sampled else record.train_rows,
        sampled=sampled,
        tolerance=rule.tolerance,
        seconds=round(time.perf_counter() - started, 3),
    )


def _twice(
    lane: ModelLane, lake: Lake, record: TrainingRecord, rows: int, scratch: Path
) -> tuple[Made, Made]:
    material = recorded_material(lane, lake, record)
    chosen = replace(material, train=material.train.sample(rows, seed=lane.model.seed))
    first, second = (
        make(lane, lake, chosen, scratch / name, _revision(record), record.tuning)
        for name in ("sampled", "again")
    )
    return first, second


def _failed(
    package: Package, record: TrainingRecord, tolerance: float, problem: str, seconds: float
) -> Repeated:
    return Repeated(
        digest=package.digest,
        again="",
        rows=record.holdout_rows,
        trained_on=0,
        sampled=False,
        difference=None,
        tolerance=tolerance,
        seconds=round(seconds, 3),
        problem=problem,
    )


def _revision(record: TrainingRecord) -> Revision:
    return Revision(record.commit, record.dirty, author="")


# -- an old version --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reproduced:
    """A registered version trained again from its recorded commit and table versions."""

    version: ModelVersion
    commit: str
    repeated: Repeated
    differences: list[str]  # of code and environment, in plain words

    @property
    def passed(self) -> bool:
        """The same digest, or scores within the tolerance."""
        return self.repeated.passed


def reproduce(
    version: ModelVersion,
    tracking: Tracking,
    git: Git,
    environment: Mapping[str, str],
    scratch: Path,
    *,
    tolerance: float,
) -> Reproduced:
    """Train a version again with the code of its own commit, in a process of its own.

    `environment` is the process's, with the home that holds the lake. Raises ReproductionError.
    """
    kept = tracking.fetch(version.run_id, TRAINING, scratch)
    record = TrainingRecord.model_validate_json(kept.read_bytes())
    package = read_package(tracking.fetch(version.run_id, PACKAGE, scratch), expected=version.digest)
    holdout = pl.read_parquet(tracking.fetch(version.run_id, HOLDOUT, scratch))
    source = git.export(record.commit, scratch)
    started = time.perf_counter()
    again = retrained(source, version.model, kept, scratch / "again", environment)
    now = TrainingRecord.model_validate_json((again / TRAINING).read_bytes())
    found = compare(
        package,
        read_package(again / PACKAGE),
        (_scores(holdout), _scores(pl.read_parquet(again / HOLDOUT))),
        trained_on=now.train_rows,
        sampled=False,
        tolerance=tolerance,
        seconds=round(time.perf_counter() - started, 3),
    )
    return Reproduced(version, record.commit, found, _said(record, now.environment))


def retrained(source: Path, model: str, record: Path, into: Path, environment: Mapping[str, str]) -> Path:
    """Run the training of another commit; returns the folder with its package, record and holdout."""
    command = [sys.executable, "-m", "mlcicd_assets.cli", "retrain", model, "--record", str(record)]
    done = subprocess.run(
        [*command, "--into", str(into)],
        cwd=source,
        # In front of the installed package, so that the commit's own code runs.
        env={**environment, "PYTHONPATH": os.pathsep.join([str(source), environment.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        hint = (
            "its commit is from before versions could be trained again: "
            if "No such command" in done.stderr
            else ""
        )
        raise ReproductionError(f"{model}: training again failed: {hint}{lines[-1]}")
    return into


def retrain(lane: ModelLane, lake: Lake, record: Path, into: Path) -> None:
    """What `retrained` runs on the other side."""
    recorded = TrainingRecord.model_validate_json(record.read_bytes())
    into.mkdir(parents=True)
    made = repeat(lane, lake, recorded, into)
    (into / TRAINING).write_text(made.record.model_dump_json(indent=1))
    made.holdout.write_parquet(into / HOLDOUT)


def record_reproduction(ledger: Ledger, found: Reproduced, actor: str) -> None:
    """Write into the history whether a version could be made again."""
    ledger.append(
        "reproduced" if found.passed else "not_reproduced",
        found.version.model,
        actor=actor,
        version=found.version.version,
        digest=found.version.digest,
        reason=found.repeated.conclusion,
        details={"again": found.repeated.again, "difference": found.repeated.difference},
    )


def _said(record: TrainingRecord, now: Environment | None) -> list[str]:
    code = ["code: it was trained with uncommitted changes, which no commit holds"] if record.dirty else []
    return [*code, *(differences(record.environment, now) if now else [])]


def _scores(holdout: pl.DataFrame) -> np.ndarray:
    scores: np.ndarray = holdout["_score"].to_numpy()
    return scores
