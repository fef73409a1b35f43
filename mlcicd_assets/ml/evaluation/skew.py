"""Training–serving skew: raw records through HTTP against what was trained on, value by value.

The served side starts from the raw record as JSON; the trained side is the lake's features table and the
fitted estimator's own scores of the same holdout rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.artifact.parity import compare_scores
from mlcicd_assets.ml.evaluation.evidence import Evidence

SAMPLE = 200
UNSEEN = "never seen in training"


class ColumnSkew(Evidence):
    """One feature that is another when it is served: in how many rows, and by how much (numbers only)."""

    column: str
    rows: int
    max_difference: float | None
    trained: str  # in the row that differs most
    served: str


class WorstRow(Evidence):
    """The row whose score differs most, and its features that do."""

    keys: dict[str, str]
    trained: float
    served: float
    columns: list[ColumnSkew]


class Probe(Evidence):
    """Records made to be difficult, over HTTP and by the package; `max_difference` None when it failed."""

    name: str
    rows: int
    max_difference: float | None
    problem: str = ""


class Skew(Evidence):
    """How far what is served is from what was trained; `problem` says why there is no difference."""

    rows: int
    max_difference: float | None  # of a score, probes included; as onnx_parity measures it
    label_flips: int = 0
    columns: list[ColumnSkew] = []
    order: str = ""  # set where the served features come in another order or under other names
    worst: WorstRow | None = None
    probes: list[Probe] = []
    problem: str = ""


@dataclass(frozen=True)
class Sides:
    """The same rows on both sides; scores as `compare_scores` takes them."""

    keys: pl.DataFrame
    trained: np.ndarray
    served: np.ndarray
    trained_features: pl.DataFrame
    served_features: pl.DataFrame


def choose_rows(records: pl.DataFrame, inputs: Sequence[Column], *, size: int = SAMPLE) -> list[int]:
    """Positions of a sample that has each input's extremes: a null, the least, the largest, the rarest.

    The rest are spread evenly over the records. Deterministic; sorted.
    """
    chosen: dict[int, None] = {}
    for column in inputs:
        if column.name in records.columns:
            chosen.update(dict.fromkeys(_extremes(records[column.name])))
    spread = np.linspace(0, records.height - 1, min(size, records.height)).astype(int).tolist()
    chosen.update(dict.fromkeys(spread))
    return sorted(list(chosen)[:size])


def _extremes(series: pl.Series) -> list[int]:
    present = series.is_not_null()
    found = [series.is_null().arg_max() if series.null_count() else None]
    if present.any() and series.dtype == pl.String:
        counts = series.drop_nulls().value_counts().sort("count", series.name)
        found.append((series == counts[series.name][0]).arg_max())
    elif present.any():
        found += [series.arg_min(), series.arg_max()]
    return [position for position in found if position is not None]


def compare(sides: Sides, threshold: float | None, probes: Sequence[Probe] = ()) -> Skew:
    """Compare both sides; NaN on either makes the difference None, and so does a probe that failed."""
    parity = compare_scores(sides.served, sides.trained, threshold)
    differences = [parity.max_difference, *(_value(probe.max_difference) for probe in probes)]
    largest = float(np.max(differences))
    order = _order(sides.trained_features.columns, sides.served_features.columns)
    return Skew(
        rows=parity.rows,
        max_difference=largest if np.isfinite(largest) and not order else None,
        label_flips=parity.label_flips,
        columns=[] if order else _columns(sides.trained_features, sides.served_features),
        order=order,
        worst=_worst(sides) if parity.rows and not order else None,
        probes=list(probes),
        problem=order or "; ".join(f"{probe.name}: {probe.problem}" for probe in probes if probe.problem),
    )


def _value(difference: float | None) -> float:
    return float("nan") if difference is None else difference


def _order(trained: Sequence[str], served: Sequence[str]) -> str:
    if list(trained) == list(served):
        return ""
    return f"the served features are {', '.join(served)}, the trained ones {', '.join(trained)}"


def _columns(trained: pl.DataFrame, served: pl.DataFrame) -> list[ColumnSkew]:
    found = (_column(trained[name], served[name]) for name in trained.columns)
    return [column for column in found if column is not None]


def _column(trained: pl.Series, served: pl.Series) -> ColumnSkew | None:
    if trained.dtype.is_numeric() and served.dtype.is_numeric():
        return _numeric(trained, served)
    different = trained.cast(pl.String).ne_missing(served.cast(pl.String))
    if not different.any():
        return None
    row = int(different.arg_max() or 0)
    return ColumnSkew(
        column=trained.name,
        rows=int(different.sum()),
        max_difference=None,
        trained=str(trained[row]),
        served=str(served[row]),
    )


def _numeric(trained: pl.Series, served: pl.Series) -> ColumnSkew | None:
    # Missing is NaN to the model, whichever of null and NaN it was.
    left, right = (side.cast(pl.Float64).fill_null(float("nan")).to_numpy() for side in (trained, served))
    missing = np.isnan(left) != np.isnan(right)
    difference = np.where(np.isnan(left) | np.isnan(right) | (left == right), 0.0, np.abs(left - right))
    different = missing | (difference > 0)
    if not different.any():
        return None
    row = int(np.argmax(np.where(missing, np.inf, difference)))
    return ColumnSkew(
        column=trained.name,
        rows=int(different.sum()),
        max_difference=float(difference.max()),
        trained=str(trained[row]),
        served=str(served[row]),
    )


def _worst(sides: Sides) -> WorstRow | None:
    difference = np.abs(sides.served.astype(np.float64) - sides.trained.astype(np.float64))
    by_row = difference.max(axis=1) if difference.ndim == 2 else difference
    row = int(np.argmax(np.nan_to_num(by_row, nan=np.inf)))
    cell = int(np.argmax(np.nan_to_num(difference[row], nan=np.inf))) if difference.ndim == 2 else None
    trained, served = (
        float(side[row] if cell is None else side[row, cell]) for side in (sides.trained, sides.served)
    )
    if not np.isfinite([trained, served]).all() or by_row[row] == 0:
        return None
    return WorstRow(
        keys={name: str(sides.keys[name][row]) for name in sides.keys.columns},
        trained=trained,
        served=served,
        columns=_columns(sides.trained_features[row : row + 1], sides.served_features[row : row + 1]),
    )


def probes_of(records: pl.DataFrame, inputs: Sequence[Column]) -> Mapping[str, pl.DataFrame]:
    """Difficult records, made of real ones: each nullable input missing, and each text one never seen."""
    few = records.head(5)
    made = {}
    for column in inputs:
        if column.name not in few.columns:
            continue
        if column.nullable:
            made[f"{column.name} missing"] = few.with_columns(pl.lit(None, column.polars).alias(column.name))
        if column.dtype == "String":
            made[f"{column.name} unseen"] = few.with_columns(pl.lit(UNSEEN).alias(column.name))
    return made
