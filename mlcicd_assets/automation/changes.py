"""Saying in one line what changed in an asset's code and declared values."""

from collections.abc import Iterable, Mapping

from mlcicd_assets.ml.code.asset_code import AssetCode
from resources.protocols import Materialization

_NAMED = 3  # of several changes; the others are counted


def code_change(record: Materialization, code: AssetCode, version: str) -> str:
    """What is different from the code that a record was made by; empty when nothing is."""
    if record.code == version:
        return ""
    # None in a record from before they were kept.
    before = AssetCode(record.parts or code.parts, record.parameters or code.parameters)
    return difference(before, code) or f"code changed: {shortened(record.code)} → {shortened(version)}"


def difference(before: AssetCode, now: AssetCode) -> str:
    """What is not as it was: parameters with their values, then code by name; empty when all is the same."""
    parameters = _listed(_parameters(before.parameters, now.parameters))
    parts = _listed(_parts(before.parts, now.parts))
    told = [
        *([f"parameter changed: {parameters}"] if parameters else []),
        *([f"code changed: {parts}"] if parts else []),
    ]
    return "; ".join(told)


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


def changed_assets(before: Mapping[str, AssetCode], now: Mapping[str, AssetCode]) -> dict[str, str]:
    """Asset -> what is different of its code and declared values; assets that are gone come last."""
    found = {}
    for asset, code in now.items():
        if asset not in before:
            found[asset] = "new"
        elif told := difference(before[asset], code):
            found[asset] = told
    return found | {asset: "no longer declared" for asset in before if asset not in now}
