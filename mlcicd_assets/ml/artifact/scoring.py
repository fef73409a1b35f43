"""From raw records to probabilities, through the package alone: the same code evaluates and serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from mlcicd_assets.ml.artifact.engines import Engine, load_engine
from mlcicd_assets.ml.artifact.package import Column, Package, PackageError, Signature, read_package
from mlcicd_assets.ml.data.features import FeatureFunction, model_columns
from mlcicd_assets.ml.user_code import load_function_from

# Nothing to gain for one row, and planning is most of its cost.
_PLAIN = pl.QueryOptFlags.none()
_MANY = 1_000


class ScoringError(ValueError):
    """Records that cannot be scored; names the column and what is expected."""


class NonFiniteScore(ScoringError):
    """A score that is NaN or infinite: never given as an answer."""


@dataclass(frozen=True)
class Predictions:
    """One row per record."""

    scores: np.ndarray  # float32: probabilities [n, classes], or the values [n] of a regression
    classes: np.ndarray | None = None  # [n], int64 or text: the class of each row; None of a regression

    @property
    def probabilities(self) -> np.ndarray:
        """Of a classifier, [n, classes]; raises TypeError for a regression."""
        if self.classes is None:
            raise TypeError("a regression has values, no probabilities")
        return self.scores

    @property
    def labels(self) -> np.ndarray:
        """Of a classifier, [n]; raises TypeError for a regression."""
        if self.classes is None:
            raise TypeError("a regression has values, no labels")
        return self.classes

    @property
    def values(self) -> np.ndarray:
        """Of a regression, [n]; raises TypeError for a classifier."""
        if self.classes is not None:
            raise TypeError("a classifier has probabilities and labels, no values")
        return self.scores


class Scorer:
    """A loaded model. Safe to use from many threads."""

    def __init__(
        self,
        package: Package,
        function: FeatureFunction,
        lookups: Mapping[str, pl.LazyFrame],
        engine: Engine,
    ) -> None:
        self.package = package
        self.signature: Signature = package.signature
        self._function = function
        self._lookups = dict(lookups)
        self._engine = engine
        self._schema = {column.name: column.polars for column in self.inputs}
        self._required = [column.name for column in self.inputs if not column.nullable]
        self._types = {
            f.name: (pl.Float32() if f.dtype == "Float32" else pl.String()) for f in self.signature.features
        }
        self._casts = self._plan()

    @classmethod
    def load(cls, package: Package | Path, *, expected: str | None = None, threads: int = 1) -> "Scorer":
        """Verify a package (its digest is the `expected`) and load it; raises PackageError, UserCodeError.

        `threads` is what ONNX Runtime may use for one request.
        """
        if isinstance(package, Path):
            package = read_package(package, expected=expected)
        elif expected is not None and package.digest != expected:
            raise PackageError(f"{package.folder}: digest {package.digest} is not the expected {expected}")
        signature = package.signature
        file = f"{package.folder}/features.py"
        function = load_function_from(package.files["features.py"], file, signature.function)
        lookups = {name: package.lookup(name).lazy() for name in signature.lookups}
        return cls(package, function, lookups, load_engine(package, threads))

    @property
    def inputs(self) -> list[Column]:
        """The raw columns a record must have."""
        return self.signature.inputs

    def predict(self, records: pl.DataFrame) -> Predictions:
        """Score raw records; further columns are ignored. Raises ScoringError."""
        features = self.features(records)
        try:
            scores = self._engine(features)
        except Exception as error:
            raise ScoringError(f"{self.signature.model}: the model failed: {error}") from error
        if not np.isfinite(scores).all():
            row = int(np.argwhere(~np.isfinite(scores))[0, 0])
            raise NonFiniteScore(
                f"{self.signature.model}: the model gives no number for row {row}; "
                "a value is missing, or out of the range that it can handle"
            )
        return _predictions(scores, self.signature)

    def features(self, records: pl.DataFrame) -> pl.DataFrame:
        """The model's feature columns for raw records; raises ScoringError."""
        checked = self._checked(records)
        try:
            plan = self._function(checked.lazy(), **self._lookups).lazy()
            plan = plan.select(self._casts) if self._casts else plan
            options = {} if checked.height > _MANY else {"optimizations": _PLAIN}
            features: pl.DataFrame = plan.collect(**options)
        except Exception as error:
            raise ScoringError(f"{self.signature.model}: the features function failed: {error}") from error
        if features.height != checked.height:
            raise ScoringError(
                f"{self.signature.model}: the features function gave {features.height} rows "
                f"for {checked.height} records"
            )
        return features

    def _plan(self) -> list[pl.Expr]:
        # Inputs have one schema, so the output has one too: it is worked out once, against the signature.
        # Without casts where the function already gives what the model takes.
        try:
            plan = self._function(pl.LazyFrame(schema=self._schema), **self._lookups).lazy()
            given = plan.collect_schema()
            casts = model_columns(given)
        except Exception as error:
            raise PackageError(
                f"{self.package.folder}/features.py: failed on its own inputs: {error}"
            ) from error
        found = dict(plan.select(casts).collect_schema())
        if list(found.items()) != list(self._types.items()):
            raise PackageError(
                f"{self.package.folder}/features.py: gives {found}, but signature.json promises "
                f"{self._types}; build the package again"
            )
        return [] if list(given.items()) == list(self._types.items()) else casts

    def _checked(self, records: pl.DataFrame) -> pl.DataFrame:
        missing = [name for name in self._schema if name not in records.columns]
        if missing:
            raise ScoringError(f"{self.signature.model}: missing column {', '.join(missing)}")
        schema = records.schema
        fits = schema.names() == list(self._schema) and schema.dtypes() == list(self._schema.values())
        chosen = records if fits else self._cast(records)
        for name in self._required:
            if chosen[name].null_count():
                raise ScoringError(f"{self.signature.model}: column {name!r} must not be null")
        return chosen

    def _cast(self, records: pl.DataFrame) -> pl.DataFrame:
        try:
            return pl.DataFrame([_converted(records[name], dtype) for name, dtype in self._schema.items()])
        except ScoringError as error:
            raise ScoringError(f"{self.signature.model}: {error}") from error.__cause__


def _predictions(scores: np.ndarray, signature: Signature) -> Predictions:
    if signature.task == "regression":
        return Predictions(scores.reshape(-1))
    if signature.threshold is not None:
        return Predictions(scores, (scores[:, 1] >= signature.threshold).astype(np.int64))
    return Predictions(scores, np.array(signature.classes)[scores.argmax(axis=1)])


def _converted(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if column.dtype == dtype:
        return column
    wanted = f"column {column.name!r} must be {dtype}, not {column.dtype}"
    if column.dtype != pl.Null and _kind(column.dtype) != _kind(dtype):
        raise ScoringError(wanted)
    try:
        converted = column.cast(dtype)
    except PolarsError as error:
        raise ScoringError(f"{wanted}: {error}") from error
    if column.dtype.is_float() and dtype.is_integer() and (converted != column).any():
        raise ScoringError(f"{wanted}: it has fractions")
    return converted


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else str(dtype)
