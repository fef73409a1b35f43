"""Telling what a person can mend in one sentence, and leaving the traceback to our own faults."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from mlcicd_assets.ml.artifact.keeping import KeepingError
from mlcicd_assets.ml.artifact.onnx_export import ExportError
from mlcicd_assets.ml.artifact.package import PackageError
from mlcicd_assets.ml.artifact.parity import AlignmentError
from mlcicd_assets.ml.artifact.scoring import ScoringError
from mlcicd_assets.ml.backtest.replay import BacktestError
from mlcicd_assets.ml.data.contracts import ContractBroken
from mlcicd_assets.ml.data.features import FeaturesError
from mlcicd_assets.ml.data.labels import LabelError
from mlcicd_assets.ml.evaluation.evaluate import EvaluationError
from mlcicd_assets.ml.evaluation.reproducibility import ReproductionError
from mlcicd_assets.ml.training.fitting import TrainingError
from mlcicd_assets.ml.training.splits import NotEnoughData
from mlcicd_assets.ml.user_code import UserCodeError
from mlcicd_assets.serving.client import ServingError
from resources.protocols import ResourceError

EXPECTED = (
    AlignmentError,
    BacktestError,
    ContractBroken,
    EvaluationError,
    ExportError,
    FeaturesError,
    KeepingError,
    LabelError,
    NotEnoughData,
    PackageError,
    ReproductionError,
    ResourceError,
    ScoringError,
    ServingError,
    TrainingError,
    UserCodeError,
)


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn a fault with a remedy into a Dagster failure that says just that."""
    try:
        yield
    except EXPECTED as error:
        raise dg.Failure(str(error), allow_retries=False) from None
