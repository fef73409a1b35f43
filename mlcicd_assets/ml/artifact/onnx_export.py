"""A fitted scikit-learn estimator as an ONNX graph: an input per feature, the same bytes each time."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlcicd_assets.ml.artifact.package import Feature

# The newest that skl2onnx 1.20 writes and every ONNX Runtime since 1.18 reads.
OPSET = 21
IR = 10
MATRIX = "matrix"


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
    graph = _graph(estimator, features, regressor=regressor)
    if regressor:
        _name_output(graph, "values")
    return _stable_bytes(graph)


def _graph(estimator: Any, features: Sequence[Feature], *, regressor: bool) -> Any:
    """As it is where its first step takes an input per feature, else with the features put together."""
    problem: ExportError | None = None
    for form in _forms(estimator, features):
        try:
            return convert(form, features, options=None if regressor else {id(form): {"zipmap": False}})
        except ExportError as error:
            problem = problem or error
    assert problem is not None  # noqa: S101  there is always a form
    raise problem


def _forms(estimator: Any, features: Sequence[Feature]) -> Iterator[Any]:
    from sklearn.pipeline import Pipeline

    numbers = all(feature.dtype == "Float32" for feature in features)
    if isinstance(estimator, Pipeline) or not numbers or len(features) == 1:
        yield estimator
    if numbers and len(features) > 1:
        yield _put_together(estimator, features)


def _put_together(estimator: Any, features: Sequence[Feature]) -> Any:
    """The same estimator behind one matrix: skl2onnx gives most models one input only."""
    import pandas as pd  # type: ignore[import-untyped]
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    names = [feature.name for feature in features]
    columns = ColumnTransformer([("features", "passthrough", names)])
    columns.fit(pd.DataFrame({name: [0.0] for name in names}))
    return Pipeline([("columns", columns), ("model", estimator)])


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


def concatenated(features: Sequence[Feature]) -> Any:
    """The graph from features, all of them numbers, to one float matrix."""
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info(feature.name, TensorProto.FLOAT, [None, 1]) for feature in features
    ]
    output = helper.make_tensor_value_info(MATRIX, TensorProto.FLOAT, [None, len(features)])
    names = [feature.name for feature in features]
    node = helper.make_node("Concat", names, [MATRIX], axis=1, name="concat")
    graph = helper.make_graph([node], "before", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def unify(model: Any) -> None:
    """Declare what graphs must share to be joined.

    skl2onnx was asked for OPSET, and declares the oldest set that has its operators: the same as in OPSET.
    """
    model.ir_version = IR
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = OPSET


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
