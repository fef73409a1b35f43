"""A fitted scikit-learn estimator as an ONNX graph: an input per feature, the same bytes each time."""

from collections.abc import Sequence
from typing import Any

from mlcicd_assets.ml.artifact.package import Feature

# The newest that skl2onnx 1.20 writes and every ONNX Runtime since 1.18 reads.
_OPSET = 21


class ExportError(ValueError):
    """An estimator that ONNX cannot express; says which step and what to use instead."""


def to_onnx(estimator: Any, features: Sequence[Feature]) -> bytes:
    """Convert a fitted classifier or pipeline; raises ExportError.

    Inputs are named like the features, shape [None, 1]; outputs are `label` and `probabilities` [n, classes].
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {"Float32": FloatTensorType, "String": StringTensorType}
    inputs = [(feature.name, kinds[feature.dtype]([None, 1])) for feature in features]
    try:
        graph = convert_sklearn(
            estimator,
            name="model",
            initial_types=inputs,
            options={id(estimator): {"zipmap": False}},
            target_opset=_OPSET,
        )
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ExportError(
            f"the estimator cannot be expressed in ONNX: {type(error).__name__}: {''.join(reason[:1])}; "
            "use steps that skl2onnx converts (see its list of supported operators), "
            "and encode text columns before the classifier"
        ) from error
    return _stable_bytes(graph)


def _stable_bytes(graph: Any) -> bytes:
    # skl2onnx collects operator sets in a Python set, whose order changes from process to process.
    operators = sorted((entry.domain, entry.version) for entry in graph.opset_import)
    del graph.opset_import[:]
    for domain, version in operators:
        graph.opset_import.add(domain=domain, version=version)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content
