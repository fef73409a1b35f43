"""Disturbing a sample of records, and what comes of it: a drop on the same rows, or a failing record."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.artifact.scoring import ScoringError
from mlcicd_assets.ml.evaluation.bootstrap import Ranked, bootstrap
from mlcicd_assets.ml.evaluation.delong import components, standard_error
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.perturbations import (
    KINDS,
    Kind,
    disturb,
    disturbed_columns,
    in_unit,
    units,
)
from mlcicd_assets.ml.evaluation.plans import RobustnessPlan
from mlcicd_assets.ml.evaluation.proportions import critical
from mlcicd_assets.ml.evaluation.slice_metrics import slice_metric
from mlcicd_assets.ml.evaluation.slices import Scored
from mlcicd_assets.ml.evaluation.spreads import Sampling, spreads
from mlcicd_assets.ml.evaluation.target import Target

CONFIDENCE = 0.95
_RESAMPLES = 200
# Float32 results of the same row may differ in the last bits between one batch and another (SIMD).
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6
_ALONE = 8
_SHOWN = 60  # characters of a value

# Raw records -> scores as `Target` makes them; raises ScoringError.
Predict = Callable[[pl.DataFrame], np.ndarray]


class Disturbance(Evidence):
    """One way of disturbing the records, and what came of it."""

    name: str  # noise, missing, unseen, extremes, units, row_order, column_order, duplicates, alone, null
    what: str  # in words
    columns: list[str] = []
    value: float | None = None  # the metric on the disturbed records
    drop: float | None = None  # how much worse that is
    low: float | None = None
    high: float | None = None
    failure: str = ""
    example: dict[str, str] = {}  # a record that fails
    note: str = ""


def sample(truth: np.ndarray, rows: int, seed: int, *, by_class: bool) -> np.ndarray:
    """Rows of a seeded sample in their order; every class keeps its share, and at least one row."""
    if len(truth) <= rows:
        return np.arange(len(truth))
    random = np.random.default_rng(seed)
    if not by_class:
        return np.sort(random.choice(len(truth), rows, replace=False))
    members = [np.flatnonzero(truth == name) for name in np.unique(truth)]
    chosen = [
        random.choice(of, min(len(of), max(1, round(rows * len(of) / len(truth)))), replace=False)
        for of in members
    ]
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class Laboratory:
    """One sample, and the model that it is disturbed for."""

    predict: Predict
    target: Target
    frame: pl.DataFrame
    truth: np.ndarray
    clean: np.ndarray  # the scores of the frame as it is
    inputs: list[Column]
    metric: str
    more_is_better: bool
    plan: RobustnessPlan
    seed: int

    def kinds(self) -> list[Disturbance]:
        """Noise, missing values, unseen categories, extremes: those that an input can have."""
        return [self.kind(kind) for kind in KINDS if disturbed_columns(kind, self.inputs, self.plan)]

    def units(self) -> list[Disturbance]:
        """Each unit, one column at a time."""
        return [
            self.scored(
                Disturbance(name="units", what=f"{unit.column} {unit.name}", columns=[unit.column]),
                in_unit(self.frame, unit),
            )
            for unit in units(self.inputs, self.plan)
        ]

    def kind(self, kind: Kind) -> Disturbance:
        """All columns at once; where that fails, the first column and record that fail alone."""
        columns = disturbed_columns(kind, self.inputs, self.plan)
        what = {
            "noise": f"noise of {self.plan.noise:g} standard deviations",
            "missing": f"{self.plan.missing:.0%} missing values",
            "unseen": f"{self.plan.unseen:.0%} values never seen",
            "extremes": f"{self.plan.extremes:.0%} extreme values",
        }[kind]
        changed = disturb(self.frame, kind, columns, self.plan, self.seed)
        found = self.scored(Disturbance(name=kind, what=what, columns=columns), changed)
        if not found.failure:
            return found
        for column in columns:
            alone = disturb(self.frame, kind, [column], self.plan, self.seed)
            failed = self.scored(Disturbance(name=kind, what=what, columns=[column]), alone)
            if failed.failure:
                return failed.model_copy(update={"failure": f"{column}: {failed.failure}"})
        return found

    def scored(self, asked: Disturbance, changed: pl.DataFrame) -> Disturbance:
        """The drop, or the failure with an example."""
        scores, problem = self.attempt(changed)
        if scores is None:
            row = self.example(changed)
            shown = {name: _shown(value) for name, value in row.items()} if row else {}
            return asked.model_copy(update={"failure": problem, "example": shown})
        return self.dropped(asked, scores)

    def attempt(self, frame: pl.DataFrame) -> tuple[np.ndarray | None, str]:
        """Scores, or why there are none."""
        try:
            scores = self.predict(frame)
        except ScoringError as error:
            return None, str(error)
        bad = int((~np.isfinite(scores)).sum())
        return (None, f"{bad} scores are no numbers") if bad else (scores, "")

    def example(self, frame: pl.DataFrame) -> dict[str, object] | None:
        """A record that fails, by halving; None where only many together do."""
        while frame.height > 1:
            half = frame.height // 2
            parts = [part for part in (frame[:half], frame[half:]) if self.attempt(part)[0] is None]
            if not parts:
                return None
            frame = parts[0]
        return frame.row(0, named=True)

    def dropped(self, asked: Disturbance, scores: np.ndarray) -> Disturbance:
        """How much worse the metric is, with its interval."""
        before = slice_metric(self.target, self.truth, self.clean, self.metric).value
        after = slice_metric(self.target, self.truth, scores, self.metric).value
        if before is None or after is None:
            lost = f"the sample of {len(self.truth)} rows does not define {self.metric}"
            return asked.model_copy(update={"note": lost})
        sign = 1.0 if self.more_is_better else -1.0
        ends = self.limits(scores)
        low, high = sorted(sign * end for end in ends) if ends else (None, None)
        return asked.model_copy(
            update={"value": after, "drop": sign * (before - after), "low": low, "high": high}
        )

    def limits(self, scores: np.ndarray) -> tuple[float, float] | None:
        """The interval of undisturbed minus disturbed, on the same rows."""
        if self.metric == "roc_auc":  # in closed form, and so ten times faster than all metrics resampled
            parts = components(self.truth, self.clean) - components(self.truth, scores)
            apart = float(parts[self.truth == 1].sum())
            half = critical(CONFIDENCE) * standard_error(self.truth, parts)
            return apart - half, apart + half
        how = Sampling(CONFIDENCE, _RESAMPLES, self.seed)
        if self.metric == "average_precision":  # alone, for all metrics resampled take five times longer
            ranked = [Ranked(self.truth == 1, one, []) for one in (self.clean, scores)]
            drawn = bootstrap(ranked, rows=len(self.truth), resamples=_RESAMPLES, seed=self.seed)
            low, high = np.quantile(drawn[0][0] - drawn[1][0], how.ends)
            return float(low), float(high)
        before, after = Scored(self.target, self.truth, self.clean), Scored(self.target, self.truth, scores)
        found = spreads(before, after, how).get(self.metric)
        return found.difference if found else None

    def order(self) -> list[Disturbance]:
        """Scores follow their rows: whatever the order of rows and columns, and whoever stands beside."""
        rows = np.random.default_rng(self.seed).permutation(self.frame.height)
        few = np.arange(min(_ALONE, self.frame.height))
        columns = self.frame.select(reversed(self.frame.columns)).with_columns(_further=pl.lit("ignored"))
        twice = np.concatenate([rows, rows])
        tried = [
            ("row_order", "rows in another order", self.frame[rows], self.clean[rows]),
            ("column_order", "columns in another order, and a further one", columns, self.clean),
            ("duplicates", "every row twice", self.frame[twice], self.clean[twice]),
        ]
        found = [self.same(name, what, frame, wanted) for name, what, frame, wanted in tried]
        singles = [
            self.same("alone", "one row at a time", self.frame[int(n) : int(n) + 1], self.clean[n : n + 1])
            for n in few
        ]
        return [*found, next((one for one in singles if one.failure), singles[0])]

    def same(self, name: str, what: str, frame: pl.DataFrame, wanted: np.ndarray) -> Disturbance:
        """Whether every row keeps its score."""
        asked = Disturbance(name=name, what=what)
        scores, problem = self.attempt(frame)
        if scores is None:
            return asked.model_copy(update={"failure": problem})
        close = np.isclose(scores, wanted, rtol=_RELATIVE, atol=_ABSOLUTE)
        wrong = np.flatnonzero(~close.reshape(len(close), -1).all(axis=1))
        if not len(wrong):
            return asked
        row = frame.row(int(wrong[0]), named=True)
        return asked.model_copy(
            update={
                "failure": f"{len(wrong)} of {len(scores)} rows get another score, so it depends on more "
                "than the row; compute features from the row and lookups only",
                "example": {key: _shown(value) for key, value in row.items()},
            }
        )

    def nulls(self) -> list[Disturbance]:
        """A null is refused where the contract allows none."""
        results = []
        for column in (one for one in self.inputs if not one.nullable):
            empty = self.frame[:1].with_columns(pl.lit(None, dtype=column.polars).alias(column.name))
            asked = Disturbance(name="null", what=f"{column.name} is null", columns=[column.name])
            scores, problem = self.attempt(empty)
            accepted = "a null was scored, although the contract allows none"
            results.append(
                asked.model_copy(
                    update={"note": f"refused: {problem}"} if scores is None else {"failure": accepted}
                )
            )
        return results


def _shown(value: object) -> str:
    text = "null" if value is None else str(value) if value != "" else "''"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
