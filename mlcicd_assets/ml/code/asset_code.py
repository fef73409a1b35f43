"""What an asset's result depends on besides its data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlcicd_assets.ml.fingerprint import combine, value_fingerprint


@dataclass(frozen=True)
class AssetCode:
    """Code and declared values, kept apart so that a change can be named."""

    parts: Mapping[str, str] = field(default_factory=dict)  # "flights/features.py:features" -> fingerprint
    parameters: Mapping[str, str] = field(default_factory=dict)  # "train" -> "120d", "gates.roc_auc" -> …

    @property
    def version(self) -> str:
        """The code version, as Dagster shows it."""
        return combine([value_fingerprint(dict(self.parts)), value_fingerprint(dict(self.parameters))])[:16]
