"""The sensor `data_trigger`: what lands, first, late or corrected, becomes one request for its dataset.

What stands is known from the records, so nothing that was made is asked for, whatever becomes of the cursor.
A file that is gone makes no request: what was made of it stays, and models keep it.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from mlcicd_assets.automation.blueprint import shape_of
from mlcicd_assets.automation.landed import asked_partitions, complete, marked_partitions
from mlcicd_assets.automation.switch import default_status
from mlcicd_assets.automation.triggers.arrivals import (
    TRIGGER,
    Arrival,
    Made,
    Seen,
    arrivals,
    cursor_text,
    data_request,
    deleted,
    made_of,
    parse_cursor,
    remembered,
)
from mlcicd_assets.ml.catalogue import DataLane, load_datasets
from resources.protocols import (
    Alert,
    Alerts,
    Arrivals,
    Arrived,
    Inbox,
    Records,
    Requests,
    ResourceError,
    Warehouse,
)

INTERVAL_S = 5
_UNFINISHED_S = 900.0  # a file that is not whole by then never will be
_UNREACHABLE_S = 300.0
_HISTORY = 500  # requests from which a lost cursor is made up for
_NAMED = 5
_EVENTS = 20  # deletions that are shown in one tick, of each dataset


@cache
def _loaded() -> Mapping[str, DataLane]:
    return load_datasets()


@dataclass(frozen=True)
class Found:
    """What a look at one dataset came to."""

    seen: Seen
    told: str = ""
    deleted: tuple[str | None, ...] = ()  # seen as deleted for the first time


@dataclass(frozen=True)
class DataTrigger:
    """What a tick works with; `now` in UTC, without offset."""

    landing: Arrivals
    warehouse: Warehouse
    requests: Requests
    records: Records
    inbox: Inbox
    alerts: Alerts
    now: datetime

    def strangers(self, datasets: Collection[str]) -> list[str]:
        """Names in waiting deliveries that no declaration has: a webhook set up for something else."""
        named = {str(one.message.get("dataset")) for one in self.inbox.waiting("data")}
        return sorted(named - set(datasets))

    def tick(self, datasets: Mapping[str, DataLane], cursor: Mapping[str, Seen] | None) -> dict[str, Found]:
        """Look at every dataset. The cursor is None at the first look, and when it was lost."""
        deliveries = self.inbox.waiting("data")
        made = made_of(self.records.all())
        asked = remembered(self.requests.history(_HISTORY)) if cursor is None else {}
        standing = {one.alert.cause for one in self.alerts.standing()}
        found = {}
        for name, lane in datasets.items():
            told = [one.key for one in deliveries if one.message.get("dataset") == name]
            before = Seen(asked.get(name, {})) if cursor is None else cursor.get(name)
            first = cursor is None or before is None
            look = _Look(self, lane, made.get(name, {}), before or Seen(), first, told, standing)
            found[name] = look.again()
        failed = {name for name, one in found.items() if one.seen.failing}
        self.inbox.done([one for one in deliveries if one.message.get("dataset") not in failed])
        return found


@dataclass(frozen=True)
class _Look:
    """One dataset in one tick."""

    trigger: DataTrigger
    lane: DataLane
    made: Mapping[str | None, Made]
    seen: Seen
    first: bool
    deliveries: Sequence[str]
    standing: Collection[str]

    @property
    def _name(self) -> str:
        return self.lane.dataset.name

    def again(self) -> Found:
        try:
            arrived = self._arrived()
        except ResourceError as error:
            return self._unreachable(str(error))
        self._resolve("unreachable", f"{self._name} can be looked at again")
        self._tell_unfinished(arrived)
        there = {*arrived.whole, *arrived.unfinished}
        gone = deleted(there, self.made)
        self._tell_emptied(there, gone)
        found = arrivals(arrived.whole, self.made)
        # The first look only learns what is gone: landing folders are emptied by their owners.
        news = () if self.first else tuple(key for key in gone if (key or "") not in self.seen.gone)
        return Found(self.seen.after(found, gone), _said(self._ask(found), news, arrived), news)

    def _ask(self, found: Sequence[Arrival]) -> str:
        """Keep a request of what was not asked for; returns what it says."""
        fresh = [one for one in found if self.seen.asked.get(one.key) != one.short]
        if not fresh:
            return ""
        source = self.lane.dataset.source.named
        request = data_request(self._name, source, fresh, self.seen.turn, self.deliveries)
        return request.reason if self.trigger.requests.add(request) else ""

    def _arrived(self) -> Arrived:
        shape, trigger, fresh = shape_of(self.lane), self.trigger, bool(self.deliveries)
        if shape.watermark:
            max_age_s = 0.0 if fresh else 60.0
            marks = marked_partitions(shape, trigger.warehouse, trigger.now, max_age_s=max_age_s)
            return Arrived(marks, {})
        if not shape.files:
            return Arrived(asked_partitions(shape, trigger.now), {})
        found = trigger.landing.look(shape.files, fresh=fresh)
        return Arrived(
            {key: value for key, value in found.whole.items() if complete(shape, key, trigger.now)},
            {key: value for key, value in found.unfinished.items() if complete(shape, key, trigger.now)},
        )

    # -- what a person has to know ------------------------------------------------------------------------

    def _unreachable(self, problem: str) -> Found:
        now = self.trigger.now.replace(tzinfo=UTC).timestamp()
        since = self.seen.failing or now
        if now - since >= _UNREACHABLE_S:
            self._raise("unreachable", "unreachable", f"{self._name} cannot be looked at: {problem}")
        return Found(replace(self.seen, failing=since), problem)

    def _tell_unfinished(self, arrived: Arrived) -> None:
        late = [one for one in arrived.unfinished.values() if one.seconds >= _UNFINISHED_S]
        if not late:
            self._resolve("unfinished", "every file is whole")
            return
        names = sorted(one.name for one in late)
        minutes = f"{max(one.seconds for one in late) / 60:.0f} minutes"
        title = f"{_listed(names)} is not whole after {minutes}: {late[0].problem}; let it be delivered again"
        self._raise("unfinished", _listed(names), title, f"ls -l {names[0]}")

    def _tell_emptied(self, there: Collection[str | None], gone: Sequence[str | None]) -> None:
        """All at once: that is rather a folder that is not mounted than a hundred deletions."""
        if there or len(gone) < 2:
            self._resolve("emptied", "something is there")
            return
        source = self.lane.dataset.source.named
        title = f"{source} is empty, and {len(gone)} partitions were made of it: is it mounted?"
        self._raise("emptied", "emptied", title)

    def _raise(self, what: str, state: str, title: str, command: str = "mlcicd status") -> None:
        self.trigger.alerts.raise_alert(
            Alert(
                cause=f"{TRIGGER}/{what}/{self._name}",
                state=state,
                severity="warning",
                title=title,
                subject=f"dataset:{self._name}",
                owner=self.lane.dataset.owner,
                command=command,
            )
        )

    def _resolve(self, what: str, reason: str) -> None:
        cause = f"{TRIGGER}/{what}/{self._name}"
        if cause in self.standing:
            self.trigger.alerts.resolve(cause, reason=reason)


def _said(told: str, gone: Sequence[str | None], arrived: Arrived) -> str:
    waits = sorted(one.name for one in arrived.unfinished.values())
    parts = [
        told,
        f"deleted, and kept as it was made: {_listed([str(key) for key in gone])}" if gone else "",
        f"waits for {_listed(waits)}: not whole yet" if waits else "",
    ]
    return "; ".join(part for part in parts if part)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def data_trigger(datasets: Callable[[], Mapping[str, DataLane]] = _loaded) -> dg.SensorDefinition:
    """Makes requests of what landed; requests no run."""

    @dg.sensor(
        name=TRIGGER,
        default_status=default_status(),
        minimum_interval_seconds=INTERVAL_S,
        description="Turns new, late and corrected partitions into requests: one for each dataset.",
    )
    def _data_trigger(
        context: dg.SensorEvaluationContext,
        known_landing: dg.ResourceParam[Arrivals],
        warehouse: dg.ResourceParam[Warehouse],
        requests: dg.ResourceParam[Requests],
        records: dg.ResourceParam[Records],
        inbox: dg.ResourceParam[Inbox],
        alerts: dg.ResourceParam[Alerts],
    ) -> dg.SensorResult:
        now = datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)
        trigger = DataTrigger(known_landing, warehouse, requests, records, inbox, alerts, now)
        lanes = datasets()
        strangers = [f"a webhook names {one!r}, which is no dataset" for one in trigger.strangers(lanes)]
        found = trigger.tick(lanes, parse_cursor(context.cursor))
        told = "; ".join([*(one.told for one in found.values() if one.told), *strangers])
        return dg.SensorResult(
            skip_reason=told or "nothing has landed that was not made or asked for",
            cursor=cursor_text({name: one.seen for name, one in found.items()}),
            asset_events=[event for name, one in found.items() for event in _deletions(name, one)],
        )

    return _data_trigger


def _deletions(dataset: str, found: Found) -> Iterator[dg.AssetObservation]:
    """Shown at the partition, which stays as it is."""
    for key in found.deleted[:_EVENTS]:
        yield dg.AssetObservation(
            dg.AssetKey([dataset, "raw_data"]),
            partition=key,
            description="What this was made of is gone; what was made of it stays.",
            metadata={"source": "deleted"},
        )
