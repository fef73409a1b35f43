"""The tables of the alerts, and how rows become what the protocol speaks of."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from resources.alert import Alert, StandingAlert
from resources.alert_policy import Memory

metadata = sa.MetaData()

# One row for each alert; the newest of a cause is how it stands.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cause", sa.String(300), nullable=False, index=True),
    sa.Column("alert", sa.Text, nullable=False),
    sa.Column("first", sa.String(40), nullable=False),
    sa.Column("last", sa.String(40), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("told_at", sa.String(40), nullable=False),
    sa.Column("acknowledged_by", sa.Text, nullable=False),
    sa.Column("resolved_at", sa.String(40), nullable=False, index=True),
    sa.Column("resolution", sa.Text, nullable=False),
    sa.Column("untold", sa.Text, nullable=False),
)

# What a cause has been through, and the row of its newest alert.
causes = sa.Table(
    "alert_causes",
    metadata,
    sa.Column("cause", sa.String(300), primary_key=True),
    sa.Column("alert", sa.Integer, nullable=False),
    sa.Column("memory", sa.Text, nullable=False),
    sa.Column("flapping", sa.Boolean, nullable=False, index=True),
)

# What must be told, kept until every channel has taken it.
messages = sa.Table(
    "alert_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert", sa.Integer, nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("audience", sa.String(20), nullable=False),
    sa.Column("standing", sa.Text, nullable=False),  # as it stood then
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("taken", sa.Text, nullable=False),  # the channels that have it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.String(40), nullable=False, index=True),  # empty: done
)

# How far the watch has read what happened.
cursors = sa.Table(
    "alert_cursors",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

_PLAIN = [one.name for one in fields(StandingAlert) if one.name not in {"alert", "told"}]


def standing_row(standing: StandingAlert) -> dict[str, Any]:
    """An alert as its row's columns."""
    row = {name: getattr(standing, name) for name in _PLAIN}
    return {
        **row,
        "cause": standing.alert.cause,
        "alert": json.dumps(asdict(standing.alert), sort_keys=True, default=str),
        "told": json.dumps(list(standing.told)),
    }


def read_standing(row: Mapping[Any, Any]) -> StandingAlert:
    """Undo `standing_row`."""
    values = {name: row[name] for name in _PLAIN}
    return StandingAlert(
        alert=Alert(**json.loads(row["alert"])), told=tuple(json.loads(row["told"])), **values
    )


def memory_text(memory: Memory) -> str:
    """A memory as it is kept."""
    return json.dumps(asdict(memory))


def read_memory(text: str) -> Memory:
    """Undo `memory_text`."""
    values = json.loads(text)
    return Memory(tuple((at, state, severity) for at, state, severity in values.pop("told")), **values)
