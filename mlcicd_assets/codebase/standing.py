"""Where each check of the code stands for the code as it is now, told from records alone.

A result counts for exactly what the check looked at. Whatever is not known to have passed, has not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlcicd_assets.codebase.areas import ASSET, CodeShape, check_fingerprint, watched
from resources.protocols import Materialization

State = Literal["passed", "failed", "unchecked"]


@dataclass(frozen=True)
class Standing:
    """One check: passed or failed by its last run, or unchecked with the reason."""

    check: str
    state: State
    reason: str = ""
    record: Materialization | None = None  # of the last run, whatever it was of

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.check}: {self.reason}" if self.reason else self.check


def check_asset(check: str) -> str:
    """The name that a check's records go by."""
    return f"{ASSET}/{check}"


def standings(
    shape: CodeShape, areas: Mapping[str, str], records: Iterable[Materialization]
) -> list[Standing]:
    """Where every declared check stands; `areas` are the contents as they are now."""
    known = {record.asset: record for record in records if record.asset.startswith(f"{ASSET}/")}
    return [_standing(check, shape, areas, known.get(check_asset(check))) for check in shape.checks]


def not_passed(found: Iterable[Standing]) -> list[Standing]:
    """Those that stand in the way."""
    return [one for one in found if one.state != "passed"]


def _standing(
    check: str, shape: CodeShape, areas: Mapping[str, str], record: Materialization | None
) -> Standing:
    if record is None:
        return Standing(check, "unchecked", "never checked")
    if record.code != check_fingerprint(check, shape, areas):
        now = watched(check, areas)
        changed = [area for area in now if record.inputs.get(area, "") != now[area]]
        what = f"{', '.join(changed)} changed" if changed else "what is declared for it changed"
        return Standing(check, "unchecked", what, record)
    if record.failure:
        return Standing(check, "failed", " ".join(record.failure.split()), record)
    return Standing(check, "passed", "", record)
