"""`<model>/monitoring_report`: production in windows, and what follows from it."""

import hashlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.candidates import champion
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.model_options import asset_options
from mlcicd_assets.assets.monitoring.consequences import ASKED, Consequences, follow
from mlcicd_assets.assets.monitoring.kept import episodes, keep_episodes
from mlcicd_assets.assets.monitoring.observing import Observed, World, observe
from mlcicd_assets.assets.monitoring.pages import save_pages
from mlcicd_assets.assets.monitoring.watched_versions import WatchedVersions
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.episodes import latest
from mlcicd_assets.ml.monitoring.signals import Signal
from mlcicd_assets.ml.monitoring.windows import utc
from mlcicd_assets.reports.wording import number
from resources.protocols import (
    Alerts,
    Lake,
    Ledger,
    Predictions,
    Registry,
    Reports,
    Requests,
    ServingTarget,
    Tracking,
    TrafficHistory,
)


class MonitoringConfig(dg.Config):
    """From which moment production is looked at, and how far back."""

    as_of: str | None = Field(
        default=None, description="ISO 8601, UTC: windows over by then, labels known by then; default: now."
    )
    windows: int | None = Field(
        default=None,
        ge=1,
        description="How many windows back; default: the newest, missed ones, and those waiting for labels.",
    )


def monitoring_report(lane: ModelLane) -> dg.AssetsDefinition:
    """Look at the windows that are due, keep what was found, and ask for what follows from it."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "monitoring_report", {"envoy", "polars"}),
        description=f"Traffic, drift and labelled performance of {model} by windows of "
        f"{lane.model.monitor.window}; table `{model}/monitoring`.",
    )
    @expected_failures()
    def _monitoring_report(
        context: dg.AssetExecutionContext,
        config: MonitoringConfig,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        serving: dg.ResourceParam[ServingTarget],
        predictions: dg.ResourceParam[Predictions],
        traffic_history: dg.ResourceParam[TrafficHistory],
        reports: dg.ResourceParam[Reports],
        requests: dg.ResourceParam[Requests],
        alerts: dg.ResourceParam[Alerts],
    ) -> dg.MaterializeResult:
        current = champion(ledger, registry, model)
        if current is None:
            raise dg.Failure(
                f"{model}: nothing serves yet; materialize {model}/deployment first", allow_retries=False
            )
        world = World(lake, tracking, registry, ledger, serving, predictions, traffic_history, reports)
        now = datetime.now(UTC)
        as_of = moment(config.as_of, now)
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            versions = WatchedVersions(lane, lake, tracking, registry, Path(scratch))
            seen = observe(lane, world, versions, current, as_of, now, config.windows)
            for look in seen.looks:
                context.log.info(f"{model} {look.span}: {told(look.signals, seen.champion.version)}")
            done = follow(lane, episodes(lake, model), seen.signals, seen.champion.version, requests, alerts)
            keep_episodes(lake, model, done.episodes)
            links = save_pages(lane, world, versions, seen, done.episodes, requests.history(ASKED))
        return dg.MaterializeResult(
            metadata={**shown(seen, done), **links}, data_version=dg.DataVersion(_content(seen.signals))
        )

    return _monitoring_report


def moment(text: str | None, now: datetime) -> datetime:
    """The moment that everything is seen from; raises Failure for a text that is none."""
    if not text:
        return now
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise dg.Failure(
            f"as_of reads like '2026-04-10T00:00:00', in UTC where it has no offset, not {text!r}",
            allow_retries=False,
        ) from error


def told(signals: Sequence[Signal], champion: int) -> str:
    """A window in one line: the champion's signals."""
    mine = [one for one in signals if one.version in {champion, 0}]
    said = [f"{one.name} {one.state}" + (f" ({one.reason})" if one.reason else "") for one in mine]
    return "; ".join(said) or "the champion answered nothing"


def shown(seen: Observed, done: Consequences) -> dict[str, Any]:
    """What the UI shows: the champion's newest signals, and what follows."""
    newest = latest(seen.signals, seen.champion.version)
    rows = [
        dg.TableRecord(
            {
                "signal": one.name,
                "window": one.window.removesuffix("T00:00"),
                "state": one.state,
                "value": number(one.value),
                "bound": one.bound,
                "rows": one.rows,
                "why": one.reason,
            }
        )
        for one in newest.values()
    ]
    standing = [one for one in done.episodes if one.open]
    return {
        "champion": seen.champion.version,
        "as of": seen.as_of.isoformat(timespec="seconds"),
        "windows looked at": len(seen.looks),
        "windows changed": seen.written,
        "signals": dg.MetadataValue.table(rows),
        "episodes that stand": ", ".join(f"{one.cause} since {one.began}" for one in standing) or "none",
        **({"requested": "; ".join(done.requested)} if done.requested else {}),
        **({"alerts": "; ".join(done.told)} if done.told else {}),
        **{f"signal/{one.name}": one.value for one in newest.values() if one.value is not None},
    }


def _content(signals: Sequence[Signal]) -> str:
    text = "\n".join(f"{one.window} {one.version} {one.name} {one.state} {one.value}" for one in signals)
    return hashlib.sha256(text.encode()).hexdigest()
