"""The fitted scikit-learn estimator in skops: nothing is unpickled, and what is trusted is named."""

from collections.abc import Sequence
from typing import Any

from mlcicd_assets.ml.artifact.skops_canonical import canonical_skops

# Inert containers of fitted numbers, and choices of columns, that scikit-learn's own estimators need beyond
# what skops trusts already. None of them runs code of the file. What is served trusts only what is declared.
TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
# Modules that exist in the process that trains only: no other can load their classes.
_ONLY_HERE = ("mlcicd_user_code_", "__main__")


class KeepingError(ValueError):
    """An estimator that cannot be kept or loaded safely; names the types."""


def kept(estimator: Any, trusted: Sequence[str] = ()) -> tuple[str, bytes]:
    """The file that keeps a fitted estimator beside its package, and its content; raises KeepingError.

    A network's weights are kept as safetensors, by their names in the module; the steps before a network,
    which skops could not hold together with it, are kept in the package's ONNX graph only.
    """
    from mlcicd_assets.ml.artifact.torch_export import network_of

    network = network_of(estimator)
    if network is None:
        return "estimator.skops", to_skops(estimator, (*TRUSTED_TYPES, *trusted))
    from safetensors.torch import save

    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.module_.state_dict().items()
    }
    return "estimator.safetensors", save(weights)


def to_skops(estimator: Any, trusted: Sequence[str] = TRUSTED_TYPES) -> bytes:
    """Serialise a fitted estimator; raises KeepingError when it holds types outside `trusted`."""
    content = _dumped(estimator)
    _refuse_untrusted(content, trusted)
    return content


def from_skops(content: bytes, trusted: Sequence[str] = TRUSTED_TYPES) -> Any:
    """Load an estimator; raises KeepingError on types outside `trusted`, before anything is built."""
    import skops.io

    _refuse_untrusted(content, trusted)
    return skops.io.loads(content, trusted=list(trusted))


def served_skops(estimator: Any, trusted: Sequence[str]) -> bytes:
    """Serialise a fitted estimator to be served; raises KeepingError for types that are not declared."""
    found = untrusted_types(estimator)
    private = [name for name in found if name.startswith(_ONLY_HERE)]
    if private:
        raise KeepingError(
            f"{', '.join(name.rpartition('.')[2] for name in private)} is defined in the model's own file, "
            "which the model server does not have; move it into a package that is installed there"
        )
    missing = sorted(set(found) - set(trusted))
    if missing:
        raise KeepingError(
            f"the estimator holds types that are not declared: look at what they do, then add "
            f"{', '.join(missing)} to trusted_types"
        )
    return _dumped(estimator)


def untrusted_types(estimator: Any) -> list[str]:
    """The types of an estimator that skops does not trust by itself, sorted; raises KeepingError."""
    return _untrusted(_dumped(estimator))


def _dumped(estimator: Any) -> bytes:
    import skops.io

    try:
        return canonical_skops(skops.io.dumps(estimator))
    except Exception as error:
        raise KeepingError(
            f"{type(estimator).__name__} cannot be written by skops: {type(error).__name__}: {error}; build "
            "it from scikit-learn's own steps, without lambdas and local functions"
        ) from error


def _untrusted(content: bytes) -> list[str]:
    import zipfile

    import skops.io

    try:
        return sorted(set(skops.io.get_untrusted_types(data=content)))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise KeepingError(f"this is not a whole skops file ({error}); fetch it again") from error


def _refuse_untrusted(content: bytes, trusted: Sequence[str]) -> None:
    untrusted = sorted(set(_untrusted(content)) - set(trusted))
    if untrusted:
        raise KeepingError(
            f"the estimator holds types that are not trusted: {', '.join(untrusted)}; "
            "build it from scikit-learn's own steps; beyond what skops trusts by itself, allowed are "
            f"{', '.join(trusted)}"
        )
