"""torch behind scikit-learn's interface: what a `model.py` returns for a network of its own."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlcicd_assets.ml.training.torch_nets import Classifier, Regressor

Device = Literal["auto", "cpu", "cuda"]


def neural_classifier(
    module: Any,
    *,
    epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    patience: int = 5,
    validation: float = 0.2,
    device: Device = "auto",
    mixed_precision: bool = False,
    threads: int = 1,
    **module_options: Any,
) -> "Classifier":
    """An unfitted scikit-learn classifier around a `torch.nn.Module` class that gives one logit per class.

    The module takes float32 [n, features]. Its constructor gets `module_options` and, where it has parameters
    of these names, `inputs` (features) and `outputs` (classes). Training minimises cross entropy by AdamW,
    watches the newest `validation` share of the rows, stops after `patience` epochs without a better loss
    there, and keeps the best weights. `device="auto"` takes the GPU when there is one; `mixed_precision`
    trains in bfloat16. Rows are taken in order of time, as the pipeline gives them.

    Parameters are tuned by skorch's names: `lr`, `batch_size`, `max_epochs`, `optimizer__weight_decay`,
    `module__…`.
    """
    from mlcicd_assets.ml.training.torch_nets import Classifier, training_options

    return Classifier(
        module,
        mixed_precision=mixed_precision,
        threads=threads,
        **training_options(epochs, batch_size, learning_rate, weight_decay, patience, validation, device),
        **{f"module__{name}": value for name, value in module_options.items()},
    )


def neural_regressor(
    module: Any,
    *,
    epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    patience: int = 5,
    validation: float = 0.2,
    device: Device = "auto",
    mixed_precision: bool = False,
    threads: int = 1,
    **module_options: Any,
) -> "Regressor":
    """An unfitted scikit-learn regressor around a module that gives one number per row, [n, 1].

    As `neural_classifier`, but minimises the squared error.
    """
    from mlcicd_assets.ml.training.torch_nets import Regressor, training_options

    return Regressor(
        module,
        mixed_precision=mixed_precision,
        threads=threads,
        **training_options(epochs, batch_size, learning_rate, weight_decay, patience, validation, device),
        **{f"module__{name}": value for name, value in module_options.items()},
    )
