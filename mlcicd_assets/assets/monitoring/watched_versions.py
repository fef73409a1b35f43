"""The versions that answered, each with its package and what it is compared with, fetched once per run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import ValidationError

from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.artifact.scoring import Scorer, ScoringError
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.feature_table import TIME
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.target import Target
from mlcicd_assets.ml.monitoring.performance import Watched
from mlcicd_assets.ml.periods import overlapping
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.ml.user_code import UserCodeError
from mlcicd_assets.release.run_files import EVALUATION, HOLDOUT, PACKAGE, TRAINING
from resources.protocols import Lake, ModelVersion, Registry, ResourceError, Tracking

# Enough for every effect size; a large holdout is thinned evenly.
REFERENCE_ROWS = 200_000


class NoReference(ValueError):
    """Something that a version is compared with cannot be had; says what, and why."""


@dataclass
class WatchedVersion:
    """One version; what cannot be had raises NoReference where it is asked for."""

    lane: ModelLane
    lake: Lake
    tracking: Tracking
    registry: Registry
    version: int
    folder: Path

    @cached_property
    def registered(self) -> ModelVersion:
        """Its entry in the registry."""
        found = self.registry.get(self.lane.model.name, self.version)
        if found is None:
            raise NoReference(f"the registry has no version {self.version} any more")
        return found

    @cached_property
    def scorer(self) -> Scorer:
        """Its package, verified."""
        try:
            place = self.registry.fetch(self.lane.model.name, self.version, self.folder / str(self.version))
            return Scorer.load(read_package(place / PACKAGE, expected=self.registered.digest))
        except (ResourceError, PackageError, UserCodeError) as error:
            raise NoReference(f"version {self.version} cannot be loaded: {error}") from error

    @cached_property
    def training(self) -> TrainingRecord:
        """Its training's windows and data versions."""
        return TrainingRecord.model_validate_json(self._file(TRAINING).read_bytes())

    @cached_property
    def evaluated(self) -> Mapping[str, float | None]:
        """Every metric as the evaluation measured it."""
        try:
            return Evaluation.model_validate_json(self._file(EVALUATION).read_bytes()).metrics
        except (NoReference, ValidationError):  # then a declared bound may still judge
            return {}

    @cached_property
    def target(self) -> Target:
        """What its answers are held against."""
        return Target.of(self.scorer.signature, self.lane.model.costs)

    def watched(self, confidence: float) -> Watched:
        """The metric and how its interval is made."""
        model = self.lane.model
        rule = model.monitor.performance
        metric = (rule.metric if rule else "") or model.champion.metric
        settings = model.champion.model_copy(update={"confidence": confidence, "resamples": 1000})
        return Watched(self.target, settings, metric, model.seed)

    @cached_property
    def holdout_scores(self) -> pl.DataFrame:
        """`score`, and `label` of a model with many classes, on the holdout that it was evaluated on."""
        scores = pl.read_parquet(self._file(HOLDOUT))["_score"]
        if self.lane.model.task != "multiclass":
            return pl.DataFrame({"score": scores.cast(pl.Float64)})
        probabilities = np.array(scores.to_list(), dtype=np.float64)
        classes = np.array([str(name) for name in self.target.classes])
        return pl.DataFrame(
            {"score": probabilities.max(axis=1), "label": classes[probabilities.argmax(axis=1)]}
        )

    @cached_property
    def holdout_features(self) -> pl.DataFrame:
        """The features of that holdout with their time, as the training read them."""
        table = self.lane.data.table("features")
        used = [one for one in self.training.data if one.table == table]
        if not used:
            raise NoReference(f"the training record of version {self.version} names no {table}")
        keys = [one.partition for one in used if one.partition is not None]
        start, end = self.training.holdout
        kind = self.lane.data.dataset.partitions
        chosen = (
            overlapping(kind, keys, start.replace(tzinfo=None), end.replace(tzinfo=None)) if keys else None
        )
        try:
            rows = self.lake.scan(table, partitions=chosen, version=used[0].version)
            inside = rows.filter(pl.col(TIME).is_between(start, end, closed="left"))
            frame = inside.select(TIME, *self.training.features).collect()
        except ResourceError as error:
            raise NoReference(
                f"the features that version {self.version} was evaluated on: {error}"
            ) from error
        return frame

    def features(self, inputs: pl.Series) -> pl.DataFrame:
        """The features of recorded inputs, by the version's own function; raises NoReference."""
        try:
            return self.scorer.features(inputs.struct.unnest())
        except ScoringError as error:
            raise NoReference(f"the recorded inputs give no features: {error}") from error

    def probabilities(self, inputs: pl.Series) -> np.ndarray:
        """What the package says to recorded inputs: of many classes the log has the likeliest only."""
        try:
            return self.scorer.predict(inputs.struct.unnest()).probabilities
        except ScoringError as error:
            raise NoReference(f"the recorded inputs cannot be scored: {error}") from error

    def _file(self, name: str) -> Path:
        into = self.folder / f"{self.version}-run"
        into.mkdir(parents=True, exist_ok=True)
        try:
            return self.tracking.fetch(self.registered.run_id, name, into)
        except ResourceError as error:
            raise NoReference(f"{name} of version {self.version}: {error}") from error


@dataclass
class WatchedVersions:
    """Every version that is asked for, by number."""

    lane: ModelLane
    lake: Lake
    tracking: Tracking
    registry: Registry
    folder: Path
    _known: dict[int, WatchedVersion] = field(default_factory=dict)

    def of(self, version: int) -> WatchedVersion:
        """Found at once; what it needs is fetched when it is asked for."""
        if version not in self._known:
            self._known[version] = WatchedVersion(
                self.lane, self.lake, self.tracking, self.registry, version, self.folder
            )
        return self._known[version]
