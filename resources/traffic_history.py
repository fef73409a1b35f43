"""What proxy and servers counted within a stretch of the past: from readings that were kept of them.

Counters only grow, so two readings make an interval. Each monitoring run keeps one (`note`); without a
Prometheus, the interval of a window is the one between the readings nearest to it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from resources.traffic import Histogram, Traffic, increase

_KEPT = timedelta(days=60)
_SLACK = timedelta(minutes=10)


@dataclass(frozen=True)
class Counted:
    """What was counted of one version between two moments."""

    traffic: Traffic
    since: datetime
    until: datetime
    source: str  # "Prometheus", or "two readings"


class TrafficHistory(Protocol):
    """Counts of the past, by version."""

    def note(self, environment: str, model: str, traffic: Sequence[Traffic], at: datetime) -> None:
        """Keep a reading, where the past is told by readings."""
        ...

    def between(self, environment: str, model: str, start: datetime, end: datetime) -> list[Counted]:
        """What was counted from start to end, by version; empty where it is not known.

        Raises ResourceError where it should be known and cannot be asked.
        """
        ...


_Reading = tuple[datetime, dict[int, Traffic]]


class ReadTraffic:
    """Implements `TrafficHistory` by readings: `<folder>/<environment>/<model>.jsonl`, one line each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, list[_Reading]]] = {}  # by size: lines are only added

    def note(self, environment: str, model: str, traffic: Sequence[Traffic], at: datetime) -> None:
        """Append a reading; those of more than 60 days ago are left out when the file has grown."""
        if not traffic:
            return
        path = self._path(environment, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"at": at.isoformat(), "traffic": [asdict(one) for one in traffic]}) + "\n"
        self._forget(path, at)
        with path.open("a") as file:
            file.write(line)

    def between(self, environment: str, model: str, start: datetime, end: datetime) -> list[Counted]:
        """From the last reading before `start` to the first one after `end`, where those are near to them."""
        readings = self._readings(environment, model)
        before = [one for one in readings if one[0] <= start]
        after = [one for one in readings if one[0] >= end]
        near = max(end - start, _SLACK)
        if not after or after[0][0] - end > near:
            return []
        until, later = after[0]
        since, earlier = before[-1] if before else (None, {})
        if since is not None and start - since > near:
            return []
        return [
            Counted(
                increase(earlier.get(one.version), one),
                since or _counted_since(one, start),
                until,
                "two readings",
            )
            for one in later.values()
            if since is not None or _began_within(one, start - near)
        ]

    def _readings(self, environment: str, model: str) -> list[_Reading]:
        """Every reading, oldest first; kept while nothing is added, for each window asks for them."""
        path = self._path(environment, model)
        if not path.is_file():
            return []
        size = path.stat().st_size
        if path not in self._read or self._read[path][0] != size:
            self._read[path] = size, self._parse(path)
        return self._read[path][1]

    def _parse(self, path: Path) -> list[_Reading]:
        found = []
        for line in path.read_text().splitlines():
            try:
                read = json.loads(line)
                traffic = [_traffic(one) for one in read["traffic"]]
                found.append((datetime.fromisoformat(read["at"]), {one.version: one for one in traffic}))
            except (ValueError, KeyError, TypeError):  # half a line of a killed process
                continue
        return sorted(found, key=lambda one: one[0])

    def _forget(self, path: Path, now: datetime) -> None:
        if not path.is_file() or path.stat().st_size < 4_000_000:
            return
        oldest = (now - _KEPT).isoformat()
        kept = [line for line in path.read_text().splitlines(keepends=True) if line[8:40] >= oldest]
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text("".join(kept))
        scratch.replace(path)

    def _path(self, environment: str, model: str) -> Path:
        return self._folder / environment / f"{model}.jsonl"


def _traffic(fields: dict[str, Any]) -> Traffic:
    histograms = {
        name: Histogram(tuple(fields[name]["bounds"]), tuple(fields[name]["counts"]))
        for name in ("latency", "mirrored_latency")
    }
    return Traffic(**{**fields, **histograms})


def _began_within(one: Traffic, start: datetime) -> bool:
    """Whether all that was ever counted lies within what is asked for."""
    return bool(one.counted_since) and _moment(one.counted_since) >= start


def _counted_since(one: Traffic, start: datetime) -> datetime:
    return _moment(one.counted_since) if one.counted_since else start


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
