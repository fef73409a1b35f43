"""Requests in the UI: as observations of the assets they are about, and of the asset `requests`."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mlcicd_assets.automation.requests.scopes import owner_of
from mlcicd_assets.automation.requests.situation import Decision
from resources.protocols import KeptRequest, Requests

NAME = "requests"
_LISTED = 50  # rows of the table
_OBSERVED = 20  # of one tick
_COLUMNS = ["id", "state", "scope", "cause", "asked for because", "answer", "by", "at", "run"]


def requests_asset() -> dg.AssetSpec:
    """What was asked for and what became of it, as an asset that the sensor observes."""
    return dg.AssetSpec(
        NAME,
        group_name="operations",
        owners=["team:operations"],
        kinds={"request"},
        code_version="1",
        description="Why runs were asked for, and what became of it. See also: mlcicd requests.",
    )


def observations(decision: Decision, requests: Requests) -> Iterator[dg.AssetObservation]:
    """Of what changed: each answer at its asset, and the newest requests in one table."""
    changed = {one: change for change in decision.changes for one in change.ids}
    if not changed:
        return
    newest = requests.history(max(_LISTED, len(changed)))
    answered = [one for one in newest if one.id in changed and one.state in {"done", "failed", "refused"}]
    for kept in answered[:_OBSERVED]:
        if (key := _asset(kept.request.scope)) is not None:
            told = f"request {kept.id} ({kept.request.cause}) {kept.state}: {kept.answer}"
            yield dg.AssetObservation(key, description=told, metadata=_shown(kept))
    waiting = sum(one.state == "pending" for one in newest)
    yield dg.AssetObservation(
        NAME,
        description=f"{waiting} request{' waits' if waiting == 1 else 's wait'}",
        metadata={"waiting": waiting, "requests": requests_table(newest[:_LISTED])},
    )


def requests_table(kept: Sequence[KeptRequest]) -> dg.TableMetadataValue:
    """One request a row, the newest first."""
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(_COLUMNS, _row(one), strict=True))) for one in kept],
        schema=dg.TableSchema([dg.TableColumn(name, "string") for name in _COLUMNS]),
    )


def _row(kept: KeptRequest) -> list[str]:
    request = kept.request
    return [
        str(kept.id),
        kept.state,
        request.scope,
        request.cause,
        request.reason,
        kept.answer,
        request.by,
        kept.at[:19],
        kept.run[:8],
    ]


def _shown(kept: KeptRequest) -> dict[str, Any]:
    request = kept.request
    return {
        "request": kept.id,
        "state": kept.state,
        "cause": request.cause,
        "asked for because": request.reason,
        "answer": kept.answer,
        "by": request.by or "nobody named",
        "runs": len(kept.launches),
        **({"evidence": dg.MetadataValue.json(dict(request.evidence))} if request.evidence else {}),
        **({"run": dg.MetadataValue.dagster_run(kept.run)} if kept.run else {}),
    }


def _asset(scope: str) -> dg.AssetKey | None:
    kind = scope.partition(":")[0]
    stage = {"model": "trained_model", "dataset": "raw_data"}.get(kind)
    return dg.AssetKey([owner_of(scope), stage]) if stage else None
