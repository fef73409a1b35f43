"""One look at everything that happened: raises what stands, resolves what ended.

The sensor and the command share it; how far it has read is kept with the alerts, so that both may look in
turn. A look that dies half way is done again: what it raised before is then only counted once more.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from mlcicd_assets.automation.alerts import asked, heartbeat, releases
from mlcicd_assets.automation.alerts.gates import Failing, Span
from mlcicd_assets.automation.alerts.pulses import daemon_pulses, pulses
from mlcicd_assets.automation.alerts.runs import RunCursor, read_run
from resources.protocols import Alert, Alerts, Entry, Ledger, Records, Requests, StandingAlert

CURSOR = "watch"
_FORMAT = 1
_LOOK_BACK = timedelta(hours=24)  # at the first look
_GAP = timedelta(
    minutes=2
)  # between two looks of the sensor; after a longer one everything gets time to tick
_BUDGET_S = 0.6
_ASKED = 300  # requests that are looked at


@dataclass
class State:
    """What is kept from look to look."""

    runs: RunCursor
    failing: Failing = field(default_factory=Failing)
    looked: datetime | None = None
    awake: datetime | None = None
    first: bool = False


@dataclass
class Known:
    """What this process has read of a ledger, which only grows."""

    until: int = 0
    lines: list[Entry] = field(default_factory=list)


_known: WeakKeyDictionary[Ledger, Known] = WeakKeyDictionary()


@dataclass(frozen=True)
class Changed:
    """What a look changed: the causes that were raised anew, and those that ended."""

    raised: tuple[Alert, ...] = ()
    resolved: tuple[StandingAlert, ...] = ()
    left: int = 0  # finished runs that the next look reads


@dataclass(frozen=True)
class Watch:
    """Where to look."""

    instance: dg.DagsterInstance
    alerts: Alerts
    ledger: Ledger
    requests: Requests
    records: Records
    owners: Mapping[str, str]  # of datasets and models, by name
    sensors: Collection[str]  # the sensors and schedules that this project defines

    def look(self, now: datetime, *, inside: bool, patience_s: float = _BUDGET_S) -> Changed:
        """Raise and resolve. `inside`: by the sensor, whose looks tell since when the daemon is awake."""
        text = self.alerts.cursor(CURSOR)
        state = _read(text, now)
        if inside:
            state.awake = now if state.looked is None or now - state.looked > _GAP else state.awake
            state.looked = now
        before = {one.alert.cause: one for one in self.alerts.standing()}
        actions, left = self._runs(state, patience_s)
        found, prefixes = self._levels(state, now)
        found = [alert for alert in found if not asked.told_by_budget(alert, before)]
        actions += _differences(found, before, prefixes)
        actions += [(cause, "the month is over") for cause in asked.months_over(before, now)]
        raised, resolved = [], []
        for action in actions:
            if isinstance(action, Alert):
                if self.alerts.raise_alert(action):
                    raised.append(action)
            elif self.alerts.resolve(action[0], reason=action[1]) and action[0] in before:
                resolved.append(before[action[0]])
        state.first = False
        self.alerts.advance(CURSOR, _write(state), expected=text)
        return Changed(tuple(raised), tuple(resolved), left)

    def _runs(self, state: State, patience_s: float) -> tuple[list[Alert | tuple[str, str]], int]:
        deadline = time.monotonic() + patience_s
        actions: list[Alert | tuple[str, str]] = []
        records = state.runs.next(self.instance)
        left = len(records)
        refused = self._refused()
        for record in records:
            seen = read_run(self.instance, record.dagster_run)
            actions += state.failing.see(seen, self.owners, refused)
            state.runs.passed(record)
            left -= 1
            if time.monotonic() > deadline:
                break
        return (_last_of_each(actions) if state.first else actions), left

    def _refused(self) -> Callable[[str, Span], Sequence[str]]:
        known: list[Any] = []

        def refused(asset: str, span: Span) -> list[str]:
            if not known:
                known.extend(record for record in self.records.all() if record.failure)
            return [
                record.partition
                for record in known
                if record.asset == asset and record.partition and span[0] <= record.partition <= span[1]
            ]

        return refused

    def _levels(self, state: State, now: datetime) -> tuple[list[Alert], tuple[str, ...]]:
        found = [
            *releases.release_alerts(_lines(self.ledger), self.owners, now),
            *asked.request_alerts(self.requests.history(_ASKED), self.owners),
            *heartbeat.heartbeat_alerts(
                daemon_pulses(self.instance), pulses(self.instance, self.sensors), now, state.awake
            ),
        ]
        return found, (*releases.PREFIXES, *asked.PREFIXES, *heartbeat.PREFIXES)


def _lines(ledger: Ledger) -> list[Entry]:
    """The lines that tell of releases; only those that came since the last look are read."""
    known = _known.setdefault(ledger, Known())
    for line in ledger.entries(after=known.until):
        known.until = line.seq
        if line.action in releases.ACTIONS:
            known.lines.append(line)
    return known.lines


def _differences(
    found: Iterable[Alert], before: Mapping[str, StandingAlert], prefixes: tuple[str, ...]
) -> list[Alert | tuple[str, str]]:
    """What stands and was not known so, then what was known and stands no more."""
    now = {alert.cause: alert for alert in found}
    new: list[Alert | tuple[str, str]] = [
        alert
        for cause, alert in now.items()
        if cause not in before
        or (before[cause].alert.state, before[cause].alert.severity) != (alert.state, alert.severity)
    ]
    ended = [cause for cause in before if cause.startswith(prefixes) and cause not in now]
    return [*new, *((cause, "it is so no more") for cause in ended)]


def _last_of_each(actions: Iterable[Alert | tuple[str, str]]) -> list[Alert | tuple[str, str]]:
    """At the first look only what stands counts, not how it came to that."""
    last: dict[str, Alert | tuple[str, str]] = {}
    for action in actions:
        last[action.cause if isinstance(action, Alert) else action[0]] = action
    return [action for action in last.values() if isinstance(action, Alert)]


def _read(text: str | None, now: datetime) -> State:
    kept = json.loads(text) if text else {}
    if kept.get("format") != _FORMAT:  # nothing yet, or what another version kept
        return State(RunCursor(now - _LOOK_BACK), first=True)
    failing = kept["failing"]
    checks = {asset: _spans(of) for asset, of in failing["checks"].items()}
    return State(
        RunCursor(datetime.fromisoformat(kept["until"]), kept["seen"]),
        Failing(checks, failing["said"], _spans(failing["steps"])),
        _moment(kept["looked"]),
        _moment(kept["awake"]),
    )


def _spans(kept: Mapping[str, Any]) -> dict[str, list[Span]]:
    return {name: [(first, last) for first, last in spans] for name, spans in kept.items()}


def _write(state: State) -> str:
    return json.dumps(
        {
            "format": _FORMAT,
            "until": state.runs.until.isoformat(),
            "seen": state.runs.seen,
            "failing": asdict(state.failing),
            "looked": state.looked.isoformat() if state.looked else None,
            "awake": state.awake.isoformat() if state.awake else None,
        }
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
