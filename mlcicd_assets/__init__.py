"""CI/CD for machine learning as declarative Dagster assets.

`Dataset`, `MlModel` and `CodeBase` are what a `defs.yaml` may declare. They load lazily, so that the
model server and the command line can import this package without Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlcicd_assets.components.dataset import Dataset as Dataset
    from mlcicd_assets.components.ml_model import MlModel as MlModel
    from mlcicd_assets.components.source import CodeBase as CodeBase

_COMPONENTS = {
    "CodeBase": "mlcicd_assets.components.source",
    "Dataset": "mlcicd_assets.components.dataset",
    "MlModel": "mlcicd_assets.components.ml_model",
}


def __getattr__(name: str) -> Any:
    if name in _COMPONENTS:
        return getattr(import_module(_COMPONENTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_COMPONENTS])
