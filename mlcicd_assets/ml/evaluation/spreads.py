"""How far each metric of one holdout can be trusted: its interval, and that of the difference of two models.

By the method that fits the metric: DeLong for ROC AUC, multinomial counts for decisions, and the paired
bootstrap for ranks and means. All are stratified by class, so that they say what would be seen on another
holdout with the same number of rows of each class.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mlcicd_assets.ml.evaluation.bootstrap import Means, Ranked, Statistic, bootstrap
from mlcicd_assets.ml.evaluation.counts import confusion_draws, decision_metrics
from mlcicd_assets.ml.evaluation.delong import components, standard_error
from mlcicd_assets.ml.evaluation.slices import Scored

DELONG, COUNTS, BOOTSTRAP = "DeLong", "multinomial bootstrap", "bootstrap"
# What only some resamples define (a precision without alarms) has no interval beyond this share of them.
_UNDEFINED = 0.01
_SMALLEST = float(np.finfo(np.float64).eps)
_SHARES = {"recall_at_1pct_alerts": 0.01, "recall_at_5pct_alerts": 0.05, "recall_at_10pct_alerts": 0.10}


@dataclass(frozen=True)
class Spread:
    """One metric's interval; with a champion also its interval, the difference's, and its standard error."""

    method: str
    mine: tuple[float, float]
    theirs: tuple[float, float] | None = None
    difference: tuple[float, float] | None = None  # mine - theirs, in the metric's own unit
    error: float | None = None


@dataclass(frozen=True)
class Sampling:
    """How intervals are made."""

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    @property
    def ends(self) -> tuple[float, float]:
        """The two quantiles."""
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2


def spreads(mine: Scored, theirs: Scored | None, how: Sampling) -> dict[str, Spread]:
    """The intervals of every metric that has one on this holdout; what is undefined is left out."""
    truth, task = mine.truth, mine.target.task
    models = [mine, *([theirs] if theirs else [])]
    found: dict[str, Spread] = {}
    if task != "regression":
        found |= _areas(truth, models, how)
        found |= _decisions(truth, models, how)
    found |= _resampled(truth, models, how)
    return found


def _areas(truth: np.ndarray, models: Sequence[Scored], how: Sampling) -> dict[str, Spread]:
    """ROC AUC by DeLong; none unless each class has the two rows that a variance needs."""
    target = models[0].target
    classes = len(target.classes)
    if np.bincount(truth, minlength=classes).min() < 2:
        return {}
    parts = [components(truth, m.scores if m.scores.ndim == 1 else m.scores[:, :classes]) for m in models]
    wald = NormalDist().inv_cdf(how.ends[1])
    areas = [(_area(part), standard_error(truth, part)) for part in parts]
    singles = [(max(0.0, area - wald * error), min(1.0, area + wald * error)) for area, error in areas]
    name = "roc_auc" if target.task == "binary" else "roc_auc_ovr"
    if len(models) == 1:
        return {name: Spread(DELONG, singles[0])}
    apart = areas[0][0] - areas[1][0]
    error = standard_error(truth, parts[0] - parts[1])
    return {name: Spread(DELONG, singles[0], singles[1], (apart - wald * error, apart + wald * error), error)}


def _area(part: np.ndarray) -> float:
    """Positives' and negatives' placements each add up to the area."""
    return float(part.sum()) / 2


def _decisions(truth: np.ndarray, models: Sequence[Scored], how: Sampling) -> dict[str, Spread]:
    target = models[0].target
    answers = [model.target.answers(model.scores) for model in models]
    # A class that only one of the models knows is an answer too, and a wrong one.
    width = max(len(target.classes), *(int(answer.max()) + 1 for answer in answers))
    drawn = confusion_draws(
        truth,
        answers[0],
        answers[1] if len(answers) > 1 else None,
        classes=len(target.classes),
        answers=width,
        resamples=how.resamples,
        seed=how.seed,
    )
    values = [decision_metrics(one, binary=target.task == "binary") for one in drawn[: len(models)]]
    samples = {name: [value[name] for value in values] for name in values[0]}
    return dict(_from_draws(samples, COUNTS, how))


def _resampled(truth: np.ndarray, models: Sequence[Scored], how: Sampling) -> dict[str, Spread]:
    """Ranks and means on the same resamples."""
    binary = models[0].target.task == "binary"
    losses = [_losses(truth, model) for model in models]
    shared = [name for name in losses[0] if all(name in one for one in losses)]
    if not shared and not binary:
        return {}
    classes = truth if models[0].target.task != "regression" else np.zeros(len(truth), dtype=np.int64)
    order = _canonical(truth, models, classes)
    columns = [losses[0][name] for name in shared]
    # The difference of each row, not of the means: identical models then differ by nothing at all.
    columns += [losses[0][name] - other[name] for other in losses[1:] for name in shared]
    statistics: list[Statistic] = [Means(np.column_stack(columns)[order], classes[order])] if columns else []
    if binary and 0 < truth.sum() < len(truth):
        positive = truth[order] == 1
        statistics += [Ranked(positive, model.scores[order], list(_SHARES.values())) for model in models]
    drawn = bootstrap(statistics, rows=len(truth), resamples=how.resamples, seed=how.seed)
    samples: dict[str, list[np.ndarray]] = {}
    if columns:
        samples |= _of_means(shared, drawn.pop(0), paired=len(models) > 1)
    if drawn:
        names = ["average_precision", *_SHARES]
        samples |= {name: [model[i] for model in drawn] for i, name in enumerate(names)}
    return dict(_from_draws(samples, BOOTSTRAP, how))


def _canonical(truth: np.ndarray, models: Sequence[Scored], classes: np.ndarray) -> np.ndarray:
    """An order of rows that does not depend on theirs: the same holdout always gets the same intervals.

    By class first: then the means need no order of their own.
    """
    columns = [one for model in models for one in np.atleast_2d(model.scores.T)]
    order: np.ndarray = np.lexsort((*columns, truth, classes))
    return order


def _losses(truth: np.ndarray, model: Scored) -> dict[str, np.ndarray]:
    """What each row adds to the metrics that are means."""
    if model.target.task == "regression":
        return _errors(truth, model.scores.astype(np.float64))
    found = dict(_probabilistic(truth, model.scores.astype(np.float64)))
    if model.target.task == "multiclass":
        found |= _top(truth, model.scores)
    try:
        cost = model.target.cost_per_row(truth, model.scores)
    except ValueError:  # an answer without a declared cost: the metric itself is missing then, and says why
        cost = None
    return found if cost is None else {**found, "expected_cost": cost.astype(np.float64)}


def _errors(truth: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    errors = np.abs(values - truth)
    squares = errors**2
    found = {"mae": errors, "rmse": squares}
    if (truth != 0).all():
        found["mape"] = errors / np.abs(truth)
    if np.ptp(truth) > 0:
        centred = truth - truth.mean()
        # Its three means make R² of a resample.
        found |= {"r2": squares, "r2/value": centred, "r2/square": centred**2}
    return found


def _probabilistic(truth: np.ndarray, scores: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if scores.min() < 0 or scores.max() > 1:
        return
    if scores.ndim == 1:
        own = np.where(truth == 1, scores, 1 - scores)
        yield "brier", (scores - truth) ** 2
    else:
        own = scores[np.arange(len(truth)), truth]
        yield "brier", (scores**2).sum(axis=1) - 2 * own + 1
    yield "log_loss", -np.log(own.clip(_SMALLEST, 1.0))


def _top(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    own = probabilities[np.arange(len(truth)), truth][:, None]
    above, tied = (probabilities > own).sum(axis=1), (probabilities == own).sum(axis=1)
    return {
        f"top_{k}_accuracy": ((k - above) / tied).clip(0.0, 1.0) for k in (3, 5) if probabilities.shape[1] > k
    }


def _of_means(names: Sequence[str], drawn: np.ndarray, *, paired: bool) -> dict[str, list[np.ndarray]]:
    """Means and their differences as samples of each model's metric."""
    mine = dict(zip(names, drawn, strict=False))
    models = [mine]
    if paired:
        apart = dict(zip(names, drawn[len(names) :], strict=True))
        models.append({name: mine[name] - apart[name] for name in names})
    plain = [name for name in names if name not in {"rmse", "r2"} and "/" not in name]
    samples = {name: [model[name] for model in models] for name in plain}
    if "rmse" in names:
        samples["rmse"] = [np.sqrt(np.maximum(model["rmse"], 0)) for model in models]
    if "r2" in names:
        spread = np.maximum(mine["r2/square"] - mine["r2/value"] ** 2, _SMALLEST)
        samples["r2"] = [1 - model["r2"] / spread for model in models]
    return samples


def _from_draws(
    samples: Mapping[str, Sequence[np.ndarray]], method: str, how: Sampling
) -> Iterator[tuple[str, Spread]]:
    """Percentile intervals: they keep to a metric's range, and follow a skewed distribution."""
    for name, drawn in samples.items():
        known = np.isfinite(np.stack(drawn)).all(axis=0)
        if known.mean() < 1 - _UNDEFINED:
            continue
        singles = [_percentiles(one[known], how) for one in drawn]
        if len(drawn) == 1:
            yield name, Spread(method, singles[0])
            continue
        apart = drawn[0][known] - drawn[1][known]
        yield name, Spread(method, singles[0], singles[1], _percentiles(apart, how), float(apart.std(ddof=1)))


def _percentiles(drawn: np.ndarray, how: Sampling) -> tuple[float, float]:
    low, high = np.quantile(drawn, how.ends)
    return float(low), float(high)
