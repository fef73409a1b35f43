"""The sensor `alerts`, and how alerts are seen in the UI: as observations of the assets they are about."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import dagster as dg

from mlcicd_assets.automation.alerts.watch import Changed, Watch
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from resources.protocols import (
    Alert,
    Alerts,
    Ledger,
    Records,
    Requests,
    ResourceError,
    StandingAlert,
    Telling,
)

NAME = "alerts"
_INTERVAL_S = 30
_SENDING_S = 0.3  # that a tick waits for channels; what takes longer goes on beside it
_SHOWN = 5
_STANDS, _RESOLVED = "stands", "resolved"
_sending: list[threading.Thread] = []


@cache
def _loaded() -> Catalogue:
    """The declarations that this process has loaded: reading them takes most of a tick."""
    return load_all()


def owners_of(catalogue: Catalogue) -> dict[str, str]:
    """Who owns each dataset and model."""
    data = {name: lane.dataset.owner or "" for name, lane in catalogue.datasets.items()}
    return data | {name: lane.model.owner or "" for name, lane in catalogue.models.items()}


def alerts_asset() -> dg.AssetSpec:
    """What stands, as an asset that the sensor observes."""
    return dg.AssetSpec(
        NAME,
        group_name="operations",
        owners=["team:operations"],
        kinds={"alert"},
        code_version="1",
        description="What needs a person: one alert per cause until it changes. See also: mlcicd alerts.",
    )


def alerts_sensor(catalogue: Callable[[], Catalogue] = _loaded) -> dg.SensorDefinition:
    """Looks at what happened, records what stands, and tells people; requests no run."""

    @dg.sensor(
        name=NAME,
        # It changes nothing but what people know.
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_INTERVAL_S,
        description="Tells people of failed gates and runs, refusals, rollbacks and what stopped ticking.",
    )
    def _alerts(
        context: dg.SensorEvaluationContext,
        alerts: dg.ResourceParam[Alerts],
        ledger: dg.ResourceParam[Ledger],
        requests: dg.ResourceParam[Requests],
        records: dg.ResourceParam[Records],
    ) -> dg.SensorResult:
        owners = owners_of(catalogue())
        watch = Watch(context.instance, alerts, ledger, requests, records, owners, _names(context))
        changed = watch.look(datetime.now(UTC), inside=True)
        told = tell_within(alerts, _SENDING_S)
        for failure in told.failures if told else ():
            context.log.warning(failure)
        standing = alerts.standing()
        return dg.SensorResult(
            skip_reason=_summary(standing, changed, told), asset_events=list(_observed(changed, standing))
        )

    return _alerts


def tell_within(alerts: Alerts, seconds: float) -> Telling | None:
    """Send what is to be told beside the tick; None where channels take longer than it may wait."""
    if any(thread.is_alive() for thread in _sending):
        return None
    told: list[Telling] = []

    def tell() -> None:
        try:
            told.append(alerts.tell())
        except ResourceError as error:  # kept, and tried again by the next tick
            told.append(Telling(failures=(str(error),)))

    thread = threading.Thread(target=tell, name="alerts", daemon=True)
    _sending[:] = [thread]
    thread.start()
    thread.join(seconds)
    return told[0] if told else None


def _names(context: dg.SensorEvaluationContext) -> frozenset[str]:
    known = context.repository_def
    if known is None:
        return frozenset()
    sensors = {sensor.name for sensor in known.sensor_defs}
    return frozenset(sensors | {schedule.name for schedule in known.schedule_defs})


def _summary(standing: Sequence[StandingAlert], changed: Changed, told: Telling | None) -> str:
    if told is not None and told.failures:
        return "; ".join(["could not tell: " + told.failures[0], *told.failures[1:_SHOWN]])
    left = f"; {changed.left} finished runs are read by the next tick" if changed.left else ""
    if not standing:
        return f"nothing needs a person{left}"
    titles = [one.alert.title for one in standing[:_SHOWN]]
    more = [f"and {len(standing) - _SHOWN} more"] if len(standing) > _SHOWN else []
    return f"{len(standing)} stand: {'; '.join([*titles, *more])}{left}"


def _observed(changed: Changed, standing: Sequence[StandingAlert]) -> Iterator[dg.AssetObservation]:
    for alert in changed.raised:
        if (key := asset_of(alert)) is not None:
            yield dg.AssetObservation(key, description=alert.title, metadata=_shown(alert, _STANDS))
    for one in changed.resolved:
        if (key := asset_of(one.alert)) is not None:
            title = f"resolved: {one.alert.title}"
            yield dg.AssetObservation(key, description=title, metadata=_shown(one.alert, _RESOLVED))
    if changed.raised or changed.resolved:
        yield dg.AssetObservation(
            NAME,
            description=f"{len(standing)} alerts stand",
            metadata={"standing": len(standing), "alerts": standing_table(standing)},
        )


def asset_of(alert: Alert) -> dg.AssetKey | None:
    """The asset that an alert is about; None where there is none."""
    kind, _, name = alert.cause.partition("/")
    if kind in {"gates", "run"} and "/" in name:
        return dg.AssetKey(name.split("/"))
    about, _, subject = alert.subject.partition(":")
    if about == "asset":
        return dg.AssetKey(subject.split("/"))
    stage = {"model": "deployment", "dataset": "validated_data"}.get(about)
    return dg.AssetKey([subject, stage]) if stage else None


def _shown(alert: Alert, state: str) -> dict[str, Any]:
    return {
        "alert": state,
        "severity": alert.severity,
        "what": alert.title,
        "owner": alert.owner or "nobody",
        "run this": dg.MetadataValue.md(f"`{alert.command}`"),
        **{f"evidence: {name}": _plain(value) for name, value in alert.evidence.items() if value is not None},
    }


def _plain(value: str | int | float | bool) -> Any:
    return dg.MetadataValue.bool(value) if isinstance(value, bool) else value


def standing_table(standing: Sequence[StandingAlert]) -> dg.TableMetadataValue:
    """What stands, one alert a row."""
    columns = ["severity", "what", "since", "seen", "owner", "told", "run this"]
    return dg.MetadataValue.table(
        [dg.TableRecord(_row(one)) for one in standing],
        schema=dg.TableSchema([dg.TableColumn(column, "string") for column in columns]),
    )


def _row(one: StandingAlert) -> Mapping[str, str]:
    alert = one.alert
    return {
        "severity": alert.severity,
        "what": alert.title,
        "since": one.first[:19],
        "seen": str(one.count),
        "owner": alert.owner,
        "told": ", ".join(one.told) or one.untold or "not yet",
        "run this": alert.command,
    }
