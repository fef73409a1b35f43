"""Keeping the fitted scikit-learn estimator, in skops: nothing is unpickled, and what is trusted is named."""

from typing import Any

# Inert containers of fitted numbers, and choices of columns, that scikit-learn's own estimators need beyond
# what skops trusts already. None of them runs code of the file.
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


class KeepingError(ValueError):
    """An estimator that cannot be kept or loaded safely; names the types."""


def to_skops(estimator: Any) -> bytes:
    """Serialise a fitted estimator; raises KeepingError when it holds types outside TRUSTED_TYPES."""
    import skops.io

    content: bytes = skops.io.dumps(estimator)
    _refuse_untrusted(content)
    return content


def from_skops(content: bytes) -> Any:
    """Load an estimator; raises KeepingError on types outside TRUSTED_TYPES, before anything is built."""
    import skops.io

    _refuse_untrusted(content)
    return skops.io.loads(content, trusted=list(TRUSTED_TYPES))


def _refuse_untrusted(content: bytes) -> None:
    import zipfile

    import skops.io

    try:
        found = skops.io.get_untrusted_types(data=content)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise KeepingError(f"this is not a whole skops file ({error}); fetch it again") from error
    untrusted = sorted(set(found) - set(TRUSTED_TYPES))
    if untrusted:
        raise KeepingError(
            f"the estimator holds types that are not trusted: {', '.join(untrusted)}; "
            "build it from scikit-learn's own steps; beyond what skops trusts by itself, allowed are "
            f"{', '.join(TRUSTED_TYPES)}"
        )
