"""A trained network as part of an ONNX graph: torch exports it, the steps before it come from skl2onnx."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlcicd_assets.ml.artifact.onnx_export import (
    IR,
    MATRIX,
    OPSET,
    ExportError,
    concatenated,
    convert,
    unify,
)
from mlcicd_assets.ml.artifact.package import Feature


def network_of(estimator: Any) -> Any | None:
    """The skorch network that an estimator is, or that a pipeline ends in; None for everything else."""
    skorch = sys.modules.get("skorch")  # an estimator that is one has imported it
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") and estimator.steps else estimator
    return last if skorch is not None and isinstance(last, skorch.NeuralNet) else None


def network_to_onnx(estimator: Any, network: Any, features: Sequence[Feature]) -> Any:
    """The graph of a fitted skorch network, or of a pipeline that ends in one; raises ExportError.

    Inputs and outputs are as `onnx_export` has them; a regressor gives `prediction` [n, 1].
    """
    import onnx.compose

    before = _before(estimator, features)
    net = onnx.compose.add_prefix(_exported(network), "net/")
    merged = onnx.compose.merge_models(
        before, net, io_map=[(before.graph.output[0].name, net.graph.input[0].name)], name="model"
    )
    return _with_answers(merged, net.graph.output[0].name, getattr(network, "classes_", None))


def _before(estimator: Any, features: Sequence[Feature]) -> Any:
    """The graph from the features to one float matrix."""
    from onnx import TensorProto, helper

    if hasattr(estimator, "steps") and len(estimator.steps) > 1:
        graph = convert(estimator[:-1], features)
        unify(graph)
        source = graph.graph.output[0].name
        del graph.graph.output[:]
        graph.graph.node.append(
            helper.make_node("Cast", [source], [MATRIX], name="to_matrix", to=TensorProto.FLOAT)
        )
        graph.graph.output.append(helper.make_tensor_value_info(MATRIX, TensorProto.FLOAT, [None, None]))
        return graph
    text = [feature.name for feature in features if feature.dtype != "Float32"]
    if text:
        raise ExportError(
            f"a network takes numbers only, not {', '.join(text)}; encode text before it in a Pipeline"
        )
    return concatenated(features)


def _exported(network: Any) -> Any:
    import copy

    import torch

    module = copy.deepcopy(network.module_).cpu().eval()
    rows = torch.export.Dim("rows")
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (torch.zeros(2, network.inputs_),),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=({0: rows},),
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ExportError(
            f"{type(module).__name__} cannot be expressed in ONNX: {type(error).__name__}: "
            f"{''.join(reason[:1])}; use operations that torch.onnx exports, for any number of rows, "
            "without branches that depend on data"
        ) from error
    if program is None:
        raise ExportError(f"{type(module).__name__}: torch.onnx gave nothing; use operations that it exports")
    found = program.model_proto
    found.ir_version = IR
    _forget_origins(found)
    return found


def _forget_origins(model: Any) -> None:
    """Drop what torch notes of its own: paths and lines of this machine, which would change the digest."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.producer_version = ""
    for entry in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    ):
        del entry.metadata_props[:]
        entry.doc_string = ""


def _with_answers(model: Any, source: str, classes: Any) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    del graph.output[:]
    if classes is None:
        graph.node.append(helper.make_node("Identity", [source], ["values"], name="answer"))
        graph.output.append(helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, 1]))
        return model
    labels = numpy_helper.from_array(_labels(classes), "labels")
    graph.initializer.append(labels)
    graph.node.extend(
        [
            helper.make_node("Softmax", [source], ["probabilities"], axis=1, name="softmax"),
            helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0, name="argmax"),
            helper.make_node("Gather", ["labels", "best"], ["label"], name="label"),
        ]
    )
    graph.output.extend(
        [
            helper.make_tensor_value_info("label", labels.data_type, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(classes)]),
        ]
    )
    return model


def _labels(classes: Any) -> Any:
    import numpy as np

    found = np.asarray(classes)
    return found.astype(np.int64) if found.dtype.kind in "iub" else found.astype(str).astype(object)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of libraries that are not installed, and of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
