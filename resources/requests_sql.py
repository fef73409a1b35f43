"""The requests in SQL: SQLite in the home, or PostgreSQL by URL."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from resources.redaction import redact, redact_value
from resources.request import KeptRequest, Launch, Request, RequestChange, RequestState
from resources.sql_engine import SqlPlace

_BATCH = 500  # ids in one statement

_METADATA = sa.MetaData()
_ROWS = sa.Table(
    "requests",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, unique=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),  # JSON
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("changed_at", sa.String(40), nullable=False),
    sa.Column("dispatched_at", sa.String(40)),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("run_key", sa.Text, nullable=False),  # of the newest launch
    sa.Column("launches", sa.Text, nullable=False),  # JSON
    sa.Index("requests_by_state", "state", "id"),
    sa.Index("requests_by_scope", "scope", "dispatched_at"),
)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class SqlRequests:
    """Implements `Requests`; `url` is an SQLAlchemy URL, the tables are made with the first use.

    The clock stamps the changes; it is a parameter so that tests can set it.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._place = SqlPlace(url, _METADATA, what="the requests", variable="MLCICD_REQUESTS_URL")
        self._clock = clock

    def __repr__(self) -> str:
        return f"SqlRequests({self._place})"

    def add(self, request: Request) -> bool:
        """Keep it; False when it was kept before. Raises ResourceError, ValueError for what is no JSON."""
        known = sa.select(_ROWS.c.id).where(_ROWS.c.identity == identity(request))
        with self._place.transaction() as connection:  # what is asked for again takes no turn of the writers
            if connection.scalar(known) is not None:
                return False
        return self.add_all([request]) == 1

    def add_all(self, requests: Sequence[Request]) -> int:
        """Keep several; returns how many were new. Raises ResourceError, ValueError for what is no JSON."""
        rows = {row["identity"]: row for row in (_row(request, self._now()) for request in requests)}
        if not rows:
            return 0
        with self._place.transaction(write=True) as connection:
            for some in _batches(list(rows)):
                query = sa.select(_ROWS.c.identity).where(_ROWS.c.identity.in_(some))
                for known in connection.scalars(query).all():
                    del rows[known]
            if rows:
                connection.execute(_ROWS.insert(), list(rows.values()))
        return len(rows)

    def pending(self) -> list[KeptRequest]:
        """Those that wait, oldest first; raises ResourceError."""
        return self._in_state("pending")

    def dispatched(self) -> list[KeptRequest]:
        """Those whose run has not been seen to end; raises ResourceError."""
        return self._in_state("dispatched")

    def history(self, limit: int = 100) -> list[KeptRequest]:
        """The newest of all states, newest first; raises ResourceError."""
        return self._read(sa.select(_ROWS).order_by(_ROWS.c.id.desc()).limit(limit))

    def last_dispatched(self) -> Mapping[str, str]:
        """When a request of each scope was last dispatched (ISO 8601, UTC); raises ResourceError."""
        newest = sa.func.max(_ROWS.c.dispatched_at)
        query = sa.select(_ROWS.c.scope, newest).where(_ROWS.c.dispatched_at.is_not(None))
        with self._place.transaction() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(_ROWS.c.scope))}

    def change(
        self,
        ids: Sequence[int],
        *,
        expected: RequestState,
        new: RequestState,
        run: str = "",
        answer: str = "",
        launch: Launch | None = None,
        expected_key: str | None = None,
    ) -> list[int]:
        """Make one change; returns which moved. Raises ResourceError."""
        return self.apply([RequestChange(tuple(ids), expected, new, answer, run, launch, expected_key)])[0]

    def apply(self, changes: Sequence[RequestChange]) -> list[list[int]]:
        """Make all changes in one transaction; returns which moved by each. Raises ResourceError."""
        if not changes:
            return []
        now = self._now()
        with self._place.transaction(write=True) as connection:
            return [_changed(connection, change, now) for change in changes]

    def _in_state(self, state: RequestState) -> list[KeptRequest]:
        return self._read(sa.select(_ROWS).where(_ROWS.c.state == state).order_by(_ROWS.c.id))

    def _read(self, query: sa.Select[Any]) -> list[KeptRequest]:
        with self._place.transaction() as connection:
            return [_kept(row) for row in connection.execute(query).mappings()]

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat()


def identity(request: Request) -> str:
    """What makes two requests the same: scope, cause and fingerprint; hex SHA-256."""
    text = json.dumps([request.scope, request.cause, request.fingerprint])
    return hashlib.sha256(text.encode()).hexdigest()


def _row(request: Request, now: str) -> dict[str, Any]:
    return {
        "identity": identity(request),
        "scope": request.scope,
        "request": json.dumps(redact_value(asdict(request)), sort_keys=True, allow_nan=False),
        "at": now,
        "state": "pending",
        "changed_at": now,
        "run": "",
        "answer": "",
        "run_key": "",
        "launches": "[]",
    }


def _changed(connection: Connection, change: RequestChange, now: str) -> list[int]:
    values = {"state": change.new, "changed_at": now}
    values |= {"run": change.run} if change.run else {}
    values |= {"answer": redact(change.answer)} if change.answer else {}
    if change.new == "dispatched" and change.expected != "dispatched":
        values["dispatched_at"] = now
    moved = _standing(connection, change.ids, change.expected, change.expected_key)
    for some in _batches(sorted(moved)):
        connection.execute(sa.update(_ROWS).where(_ROWS.c.id.in_(some)).values(values))
    if change.launch is not None:
        for one, launches in moved.items():
            kept = json.dumps([*json.loads(launches), asdict(change.launch)])
            launched = {"launches": kept, "run_key": change.launch.key}
            connection.execute(sa.update(_ROWS).where(_ROWS.c.id == one).values(launched))
    if moved and change.merged:
        into = RequestChange(change.merged, "pending", "merged", f"into request {change.ids[0]}")
        _changed(connection, into, now)
    return sorted(moved)


def _standing(
    connection: Connection, ids: Sequence[int], expected: RequestState, key: str | None
) -> dict[int, str]:
    """Those that are as expected, with their launches."""
    found: dict[int, str] = {}
    for some in _batches(ids):
        query = sa.select(_ROWS.c.id, _ROWS.c.launches).where(_ROWS.c.id.in_(some), _ROWS.c.state == expected)
        if key is not None:
            query = query.where(_ROWS.c.run_key == key)
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def _kept(row: Mapping[Any, Any]) -> KeptRequest:
    return KeptRequest(
        id=row["id"],
        request=Request(**json.loads(row["request"])),
        at=row["at"],
        state=row["state"],
        changed_at=row["changed_at"],
        run=row["run"],
        answer=row["answer"],
        launches=tuple(_launch(one) for one in json.loads(row["launches"])),
    )


def _launch(values: Mapping[str, Any]) -> Launch:
    ends = values["partitions"]
    return Launch(values["key"], tuple(values["assets"]), (ends[0], ends[1]) if ends else None)
