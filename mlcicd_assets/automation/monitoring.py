"""The sensor `monitoring`: a report of each model for each window, soon after the window is over."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg

from mlcicd_assets.automation.switch import default_status
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.ml.monitoring.windows import last_spans, window_length
from mlcicd_assets.release.run_files import champion_pointer
from resources.protocols import Ledger

_INTERVAL_S = 30
# A log is on disk within its flush, and the proxy's counts are a second behind.
_SETTLED = timedelta(seconds=60)


@cache
def _loaded() -> Catalogue:
    return load_all()


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def monitoring_sensor(
    catalogue: Callable[[], Catalogue] = _loaded, clock: Callable[[], datetime] = utc_now
) -> dg.SensorDefinition:
    """One run for each model and window; a window that nobody looked at is made up for by the next run."""

    @dg.sensor(
        name="monitoring",
        asset_selection=dg.AssetSelection.all(),
        default_status=default_status(),
        minimum_interval_seconds=_INTERVAL_S,
        description="Makes each model's monitoring_report when a window is over.",
    )
    def _monitoring(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SensorResult | dg.SkipReason:
        asked: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        now, wanted = clock() - _SETTLED, []
        for model, lane in catalogue().models.items():
            newest = last_spans(now, window_length(lane.model.monitor.window), 1)[0]
            if asked.get(model, "") >= newest.key or ledger.pointer(champion_pointer(model)) is None:
                continue
            asked[model] = newest.key
            key = dg.AssetKey([model, "monitoring_report"])
            wanted.append(
                dg.RunRequest(
                    run_key=f"monitoring:{model}:{newest.key}",
                    asset_selection=[key],
                    tags={"mlcicd/monitoring": model},
                )
            )
        if not wanted:
            return dg.SkipReason("no window of a model that serves is over since the last look")
        return dg.SensorResult(run_requests=wanted, cursor=json.dumps(asked, sort_keys=True))

    return _monitoring
