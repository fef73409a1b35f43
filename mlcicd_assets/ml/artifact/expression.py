"""How a fitted estimator is written down to be served: as an ONNX graph or, where it is allowed, by skops."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.keeping import KeepingError, served_skops, untrusted_types
from mlcicd_assets.ml.artifact.onnx_export import ExportError, to_onnx
from mlcicd_assets.ml.artifact.package import Feature
from mlcicd_assets.ml.artifact.parity import TOLERANCE
from mlcicd_assets.ml.artifact.torch_export import network_of
from mlcicd_assets.ml.data.features import model_arrays

Engine = Literal["onnx", "skops"]

# ONNX computes in float32, so that now and then a row falls on the other side of a split; the gate on parity
# looks at the holdout row by row. From this share of the rows on it is another model.
_OTHER_MODEL = 0.01


@dataclass(frozen=True)
class Expressed:
    """What the model server loads, and by what."""

    engine: Engine
    content: bytes
    trusted_types: tuple[str, ...] = ()  # that skops may build beyond its own
    not_onnx: str = ""  # why it is not ONNX


def express(
    estimator: Any,
    features: Sequence[Feature],
    sample: pl.DataFrame,
    answers: np.ndarray,
    trusted: Sequence[str] | None = None,
) -> Expressed:
    """Write a fitted estimator as ONNX, else, where `trusted` types are declared, by skops.

    `answers` are what the estimator says of the `sample`, as `fitting.scores` gives them: a graph that says
    something else is refused. Raises ExportError, naming what to declare or to change.
    """
    try:
        content = to_onnx(estimator, features)
        _check_answers(content, sample, answers)
    except ExportError as error:
        if trusted is None or network_of(estimator) is not None:
            raise ExportError(f"{error}{_remedy(estimator)}") from error
        return Expressed(
            "skops", _by_skops(estimator, trusted, error), tuple(sorted(set(trusted))), str(error)
        )
    return Expressed("onnx", content)


def _check_answers(content: bytes, sample: pl.DataFrame, answers: np.ndarray) -> None:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        output = session.get_outputs()[-1].name
        served = np.asarray(session.run([output], model_arrays(sample))[0], dtype=np.float64)
    except Exception as error:
        raise ExportError(
            f"the estimator's ONNX graph cannot be run: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error
    if answers.ndim == 1:
        served = served[:, -1]
    scale = max(1.0, float(np.abs(answers).max(initial=0.0)))
    differs = ~(np.abs(served - answers) <= TOLERANCE * scale)
    rows = float(differs.reshape(len(answers), -1).any(axis=1).mean()) if len(answers) else 0.0
    if rows > _OTHER_MODEL:
        raise ExportError(
            f"the estimator's ONNX graph answers otherwise than the estimator for {rows:.0%} of the rows: "
            "a step is converted wrongly (known: HistGradientBoosting with categorical_features; encode the "
            "categories by OrdinalEncoder or TargetEncoder and leave categorical_features out)"
        )


def _by_skops(estimator: Any, trusted: Sequence[str], why: ExportError) -> bytes:
    try:
        return served_skops(estimator, trusted)
    except KeepingError as error:
        raise ExportError(f"{why}; and by skops: {error}") from error


def _remedy(estimator: Any) -> str:
    if network_of(estimator) is not None:
        return ""
    try:
        needed = untrusted_types(estimator)
        served_skops(estimator, needed)
    except KeepingError as error:
        return f"; nor can skops serve it: {error}"
    return (
        "; or have it served by scikit-learn itself: declare 'trusted_types: "
        f"[{', '.join(needed)}]' on the model, after looking at what these types do"
    )
