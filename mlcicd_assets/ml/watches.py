"""The `checks:` of a dataset: which numbers are watched, and what each must keep."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule, Rule

_CHECKS = ("row_count", "null_rate", "mean", "positive_share", "schema", "drift", "label_drift")
_ON_FEATURES = ("drift", "label_drift", "positive_share")
_BY_COLUMN = {"null_rate", "mean", "drift"}


@dataclass(frozen=True)
class Watch:
    """One line of `checks:`: what is measured (`null_rate`, of which column) and what it must keep."""

    check: str  # the asset check's name
    column: str | None
    text: str


@dataclass(frozen=True)
class Watches:
    """The declared lines of one dataset, by check."""

    lines: tuple[Watch, ...] = ()

    @classmethod
    def parse(cls, checks: Mapping[str, str]) -> "Watches":
        """Read `checks:`; raises ValueError naming the line and the remedy."""
        return cls(tuple(_watch(name, text) for name, text in checks.items()))

    def names(self, *, on_features: bool) -> list[str]:
        """The checks of a stage, in the order declared."""
        found = dict.fromkeys(line.check for line in self.lines)
        return [name for name in found if (name in _ON_FEATURES) == on_features]

    def of(self, check: str) -> list[Watch]:
        """The lines of one check."""
        return [line for line in self.lines if line.check == check]


def _watch(name: str, text: str) -> Watch:
    check, _, column = str(name).partition(".")
    if check not in _CHECKS or (column and check not in _BY_COLUMN) or (check == "mean" and not column):
        raise ValueError(
            f"there is no check {name!r}; a check is one of: row_count, null_rate, null_rate.COLUMN, "
            "mean.COLUMN, schema, positive_share, drift, drift.FEATURE, label_drift"
        )
    try:
        _read(check, text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Watch(check, column or None, str(text))


def _read(check: str, text: str) -> None:
    if check == "schema":
        if str(text) != "unchanged":
            raise ValueError(f"schema reads 'unchanged', not {text!r}")
    elif check in {"drift", "label_drift"}:
        DriftRule.parse(text)
    else:
        Rule.parse(text)
