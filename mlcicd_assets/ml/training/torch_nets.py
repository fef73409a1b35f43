"""The networks that `torch_models` offers; imported, and torch with it, when one is asked for."""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import to_numpy
from torch.utils.data import Subset

from mlcicd_assets.ml.training.targets import TrainingError


class NewestRows:
    """Validate on the newest share of the rows, which come in order of time."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, dataset: Any, y: Any = None) -> tuple[Any, Any]:  # noqa: ARG002  skorch's signature
        """Split a dataset in two, without shuffling."""
        rows = len(dataset)
        first = rows - max(1, round(rows * self.share))
        if first < 1:
            raise TrainingError(f"{rows} rows cannot be split for validation; lengthen the training window")
        return Subset(dataset, range(first)), Subset(dataset, range(first, rows))


class FiniteLoss(Callback):  # type: ignore[misc]  # skorch is untyped
    """Stop at the first batch whose loss is no number; what was learned by then is worthless."""

    def on_batch_end(self, net: Any, **_: Any) -> None:
        """Look at the batch that was just recorded."""
        batch = net.history[-1]["batches"][-1]
        for name in ("train_loss", "valid_loss"):
            if not math.isfinite(batch.get(name, 0.0)):
                raise TrainingError(
                    f"the loss of {type(net.module_).__name__} became {batch[name]} in epoch "
                    f"{len(net.history)}: lower learning_rate (now {net.lr}), or scale the features "
                    "before it (StandardScaler)"
                )


def training_options(
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    patience: int,
    validation: float,
    device: str,
) -> dict[str, Any]:
    """Skorch's options for the loop that both kinds of network share; raises TrainingError."""
    return {
        "max_epochs": epochs,
        "batch_size": batch_size,
        "lr": learning_rate,
        "optimizer": torch.optim.AdamW,
        "optimizer__weight_decay": weight_decay,
        "iterator_train__shuffle": True,
        "train_split": NewestRows(validation),
        "callbacks": [("finite_loss", FiniteLoss()), ("early_stopping", _stopping(patience))],
        "device": chosen_device(device),
        "verbose": 0,
    }


def _stopping(patience: int) -> Any:
    return EarlyStopping(monitor="valid_loss", patience=patience, load_best=True, sink=lambda _: None)


def chosen_device(device: str) -> str:
    """The GPU when there is one; raises TrainingError where one is asked for and missing."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise TrainingError('device="cuda", but torch finds no GPU here; use device="auto" or "cpu"')
    return ("cuda" if available else "cpu") if device == "auto" else device


class _Trained(NeuralNet):  # type: ignore[misc]  # skorch is untyped
    """What classifier and regressor share: how rows come in, and the settings around the loop."""

    def infer(self, x: Any, **options: Any) -> Any:
        """One forward pass; in training by bfloat16 where mixed precision is asked for, never afterwards."""
        mixed = self.mixed_precision and torch.is_grad_enabled()
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=mixed):
            found = super().infer(x, **options)
        return found.float()

    def _complete(self, inputs: int, outputs: int) -> None:
        """Fill in what the module's constructor calls `inputs` and `outputs`, where it was left open."""
        self.inputs_, self.outputs_ = inputs, outputs
        parameters = inspect.signature(self.module).parameters if inspect.isclass(self.module) else {}
        given = {"inputs": inputs, "outputs": outputs}
        options = {
            f"module__{name}": value
            for name, value in given.items()
            if name in parameters and f"module__{name}" not in self.get_params(deep=False)
        }
        if options:
            self.set_params(**options)

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **options: Any) -> None:
        """Before the first epoch: does the module give as many numbers as there are to learn?"""
        super().on_train_begin(net, X=X, y=y, **options)
        with torch.no_grad():
            self.module_.eval()
            shape = tuple(self.infer(torch.as_tensor(X[:2], device=self.device)).shape)
        if shape != (len(X[:2]), self.outputs_):
            raise TrainingError(
                f"{type(self.module_).__name__} gives {shape} for {len(X[:2])} rows; "
                f"give one {self.gives} per row: {(len(X[:2]), self.outputs_)}"
            )

    @contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.random.fork_rng():  # a loader of batches draws from it, even to predict
                yield
        finally:
            torch.set_num_threads(before)


class Classifier(_Trained, NeuralNetClassifier):  # type: ignore[misc]
    """Logits in, probabilities out; classes may be any labels."""

    gives = "logit for each class"

    def __init__(
        self,
        module: Any,
        *args: Any,
        criterion: Any = torch.nn.CrossEntropyLoss,
        mixed_precision: bool = False,
        threads: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, *args, criterion=criterion, **kwargs)
        self.mixed_precision = mixed_precision
        self.threads = threads

    @property
    def _default_callbacks(self) -> list[Any]:
        # The loss decides when to stop; accuracy would be computed for nobody.
        return [named for named in super()._default_callbacks if named[0] != "valid_acc"]

    @property
    def classes_(self) -> np.ndarray:
        """The labels, in the order of the probabilities' columns."""
        return self.known_classes_

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **options: Any) -> "Classifier":
        """Train from scratch; `sample_weight` is one number for each class. Raises TrainingError."""
        rows = as_matrix(X)
        self.known_classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self._complete(rows.shape[1], len(self.known_classes_))
        if sample_weight is not None:
            self.set_params(criterion__weight=_class_weights(np.asarray(sample_weight), codes))
        with self._threads():
            super().fit(rows, codes.astype(np.int64), **options)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, [n, classes]."""
        with self._threads():
            found: np.ndarray = super().predict_proba(as_matrix(X))
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The label with the highest probability."""
        return np.asarray(self.known_classes_[self.predict_proba(X).argmax(axis=1)])


def _class_weights(weights: np.ndarray, codes: np.ndarray) -> torch.Tensor:
    by_class = [weights[codes == code] for code in range(codes.max() + 1)]
    if any(np.ptp(some) > 1e-6 * some.max() for some in by_class):
        raise TrainingError(
            "a network weighs classes, not rows: give all rows of a class the same sample_weight"
        )
    return torch.as_tensor([some[0] for some in by_class], dtype=torch.float32)


class Regressor(_Trained, NeuralNetRegressor):  # type: ignore[misc]
    """One number per row."""

    gives = "number"

    def __init__(
        self, module: Any, *args: Any, mixed_precision: bool = False, threads: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(module, *args, **kwargs)
        self.mixed_precision = mixed_precision
        self.threads = threads

    def fit(self, X: Any, y: Any, **options: Any) -> "Regressor":
        """Train from scratch; raises TrainingError where it cannot."""
        rows = as_matrix(X)
        self._complete(rows.shape[1], 1)
        with self._threads():
            super().fit(rows, np.asarray(y, dtype=np.float32).reshape(-1, 1), **options)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers, [n]."""
        with self._threads():
            return np.asarray(to_numpy(super().predict(as_matrix(X)))).reshape(-1)


def as_matrix(X: Any) -> np.ndarray:
    """float32 [n, features]; raises TrainingError on text and on missing values, naming the columns."""
    names = [str(name) for name in getattr(X, "columns", [])]
    try:
        matrix = np.ascontiguousarray(np.asarray(X), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"a network takes numbers only ({error}); encode text columns before it, by a Pipeline with "
            "OneHotEncoder or OrdinalEncoder"
        ) from error
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(bad):
        which = ", ".join(names[column] if names else f"column {column}" for column in bad[:5])
        raise TrainingError(
            f"{which} {'has' if len(bad) == 1 else 'have'} missing or infinite values, which a network "
            "cannot take; put SimpleImputer before it in a Pipeline, or fill them in the features function"
        )
    return matrix
