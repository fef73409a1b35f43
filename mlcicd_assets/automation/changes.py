"""Saying in one line what changed in an asset's code and declared values."""

from collections.abc import Iterable, Mapping

from mlcicd_assets.ml.code.asset_code import AssetCode
from resources.protocols import Materialization

_NAMED = 3  # of several changes; the others are counted


def code_change(record: Materialization, code: AssetCode, version: str) -> str:
    """What is different from the code that a record was made by; empty when nothing is."""
    if record.code == version:
        return ""
    parameters = _listed(_parameters(record.parameters, code.parameters)) if record.parameters else ""
    parts = _listed(_parts(record.parts, code.parts)) if record.parts else ""
    told = [
        *([f"parameter changed: {parameters}"] if parameters else []),
        *([f"code changed: {parts}"] if parts else []),
    ]
    # A record from before parts were kept.
    return "; ".join(told) or f"code changed: {shortened(record.code)} → {shortened(version)}"


def shortened(content: str) -> str:
    """As much of a hash as people compare."""
    return content[:12]


def _parameters(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} {before.get(name, 'not set')} → {now.get(name, 'not set')}"


def _parts(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    # A definition that was edited says more than one that it uses now, or no longer uses.
    changed.sort(key=lambda name: name not in before or name not in now)
    for name in changed:
        used = "" if name in before and name in now else " (used now)" if name in now else " (no longer used)"
        yield f"{name}{used}"


def _listed(changes: Iterable[str]) -> str:
    found = list(changes)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
