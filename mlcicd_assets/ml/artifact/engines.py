"""What computes a package's answers from its features: ONNX Runtime, or scikit-learn loaded by skops."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Package, PackageError
from mlcicd_assets.ml.data.features import model_arrays

# Features in; probabilities [n, classes] or values [n, 1] out, float32. Safe to call from many threads.
Engine = Callable[[pl.DataFrame], np.ndarray]


def load_engine(package: Package, threads: int = 1) -> Engine:
    """Load a verified package's model; raises PackageError."""
    return _skops(package) if package.signature.engine == "skops" else _onnx(package, threads)


def _skops(package: Package) -> Engine:
    from mlcicd_assets.ml.artifact.keeping import KeepingError, from_skops
    from mlcicd_assets.ml.data.features import to_pandas

    signature = package.signature
    try:
        estimator = from_skops(package.files[signature.model_file], signature.trusted_types)
    except KeepingError as error:
        raise PackageError(f"{package.folder}/{signature.model_file}: {error}") from error
    except Exception as error:
        raise PackageError(
            f"{package.folder}/{signature.model_file}: skops cannot load it ({type(error).__name__}: {error})"
            "; install here what it was trained with: the versions of its training record"
        ) from error
    if signature.task == "regression":
        return lambda features: np.asarray(estimator.predict(to_pandas(features)), np.float32).reshape(-1, 1)
    order = [list(estimator.classes_).index(name) for name in signature.classes]
    return lambda features: np.asarray(estimator.predict_proba(to_pandas(features)), np.float32)[:, order]


def _onnx(package: Package, threads: int) -> Engine:
    session = _session(package, threads)
    output = [package.signature.output]

    def answer(features: pl.DataFrame) -> np.ndarray:
        found: np.ndarray = session.run(output, model_arrays(features))[0]
        return found

    return answer


def _session(package: Package, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One row at a time is the rule; more threads only add hand-over, and contend with the server's own.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            package.files["model.onnx"], options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise PackageError(f"{package.folder}/model.onnx: ONNX Runtime cannot load it: {error}") from error
    _check_graph(package, session)
    return session


def _check_graph(package: Package, session: Any) -> None:
    kinds = {"tensor(float)": "Float32", "tensor(string)": "String"}
    graph = {entry.name: kinds.get(entry.type, entry.type) for entry in session.get_inputs()}
    promised = {feature.name: feature.dtype for feature in package.signature.features}
    outputs = [entry.name for entry in session.get_outputs()]
    if graph != promised or package.signature.output not in outputs:
        raise PackageError(
            f"{package.folder}/model.onnx: takes {graph} and gives {outputs}; signature.json promises "
            f"{promised} and {package.signature.output!r}; build the package again"
        )
