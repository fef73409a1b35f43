"""A rollout in Dagster's metadata: where it stands, the last analysis with its numbers, and its way."""

from datetime import datetime
from typing import Any

import dagster as dg

from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.assets.rollouts.plan import describe
from mlcicd_assets.release.rollout import State, left_s, wanted
from mlcicd_assets.release.rollout_history import timeline
from mlcicd_assets.reports.rollout import page, picture, rows
from resources.protocols import Reports


def rollout_metadata(rollouts: Rollouts, state: State, now: datetime, reports: Reports) -> dict[str, Any]:
    """What a materialization or a failure shows of the rollout."""
    shares = wanted(state, rollouts.actions.champion())
    left = left_s(state, now)
    moments = timeline(rollouts.world.ledger.entries(rollouts.model), rollouts.model, state.id)
    shown: dict[str, Any] = {"rollout": describe(state), "traffic": str(shares) if shares else "none"}
    if left is not None:
        shown["left, at least"] = f"{left:.0f} s"
    if state.analysis:
        records = [dg.TableRecord(dict(one)) for one in rows(state.analysis)]
        shown["analysis"] = dg.MetadataValue.table(records)
        shown["analysis outcome"] = state.analysis.outcome
    if moments:
        place = reports.save(f"{rollouts.model}/rollout-{state.id}.html", page(moments))
        shown["timeline"] = dg.MetadataValue.md(picture(moments))
        shown["page"] = dg.MetadataValue.path(place) if place.startswith("/") else dg.MetadataValue.url(place)
    return shown
