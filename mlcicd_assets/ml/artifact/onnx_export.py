"""A fitted scikit-learn estimator as an ONNX graph: an input per feature, the same bytes each time."""

from collections.abc import Sequence
from typing import Any

from mlcicd_assets.ml.artifact.package import Feature

# The newest that skl2onnx 1.20 writes and every ONNX Runtime since 1.18 reads.
OPSET = 21


class ExportError(ValueError):
    """An estimator that ONNX cannot express; says which step and what to use instead."""


def to_onnx(estimator: Any, features: Sequence[Feature]) -> bytes:
    """Convert a fitted classifier, regressor or pipeline; raises ExportError.

    Inputs are named like the features, shape [None, 1]; outputs are `label` and `probabilities` [n, classes],
    or `values` [n, 1] of a regressor.
    """
    from sklearn.base import is_regressor

    from mlcicd_assets.ml.artifact.torch_export import network_of, network_to_onnx

    network = network_of(estimator)
    if network is not None:
        return _stable_bytes(network_to_onnx(estimator, network, features))
    regressor = is_regressor(estimator)
    graph = convert(estimator, features, options=None if regressor else {id(estimator): {"zipmap": False}})
    if regressor:
        _name_output(graph, "values")
    return _stable_bytes(graph)


def convert(estimator: Any, features: Sequence[Feature], options: Any = None) -> Any:
    """The graph that skl2onnx makes of fitted steps, an input for each feature; raises ExportError."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {"Float32": FloatTensorType, "String": StringTensorType}
    inputs = [(feature.name, kinds[feature.dtype]([None, 1])) for feature in features]
    try:
        return convert_sklearn(
            estimator, name="model", initial_types=inputs, options=options, target_opset=OPSET
        )
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ExportError(
            f"the estimator cannot be expressed in ONNX: {type(error).__name__}: {''.join(reason[:1])}; "
            "use steps that skl2onnx converts (see its list of supported operators), "
            "and encode text columns before the last step"
        ) from error


def _name_output(graph: Any, name: str) -> None:
    """Call the only output so; skl2onnx calls it `variable`."""
    output = graph.graph.output[0]
    for node in graph.graph.node:
        for index, made in enumerate(node.output):
            if made == output.name:
                node.output[index] = name
    output.name = name


def _stable_bytes(graph: Any) -> bytes:
    # skl2onnx collects operator sets in a Python set, whose order changes from process to process.
    operators = sorted((entry.domain, entry.version) for entry in graph.opset_import)
    del graph.opset_import[:]
    for domain, version in operators:
        graph.opset_import.add(domain=domain, version=version)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content
