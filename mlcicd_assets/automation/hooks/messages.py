"""What of a delivery a trigger needs: where to look. The truth is in the repository and where data lands."""

import json
import re
from collections.abc import Mapping
from typing import Any

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_DATASET = re.compile(r"^[a-z]\w{0,99}$")
_PUSHES = {"push", "tag_push"}
_LONGEST = 300


class Malformed(ValueError):
    """A delivery that is signed but cannot be read."""


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a body; raises Malformed."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise Malformed("the body is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed("the body is not a JSON object")
    return found


def pushed(headers: Mapping[str, str], payload: Mapping[str, Any]) -> dict[str, str] | None:
    """Which ref moved where; None for an event that moves none, such as a ping."""
    event = headers.get("x-github-event")
    if event is None:
        event = str(payload.get("object_kind") or payload.get("event_name") or "push")
    if event not in _PUSHES:
        return None
    commit = payload.get("after")
    return {
        "ref": _text(payload.get("ref")),
        "commit": commit if isinstance(commit, str) and _COMMIT.match(commit) else "",
        "repository": _text(_repository(payload)),
    }


def landed(payload: Mapping[str, Any]) -> dict[str, str]:
    """Which dataset has something new: `{"dataset": "payments", "partition": "2026-01-31"}`."""
    dataset = payload.get("dataset")
    if not isinstance(dataset, str) or not _DATASET.match(dataset):
        raise Malformed('the body names a dataset: {"dataset": "payments", "partition": "2026-01-31"}')
    return {"dataset": dataset, "partition": _text(payload.get("partition"))}


def _repository(payload: Mapping[str, Any]) -> Any:
    for name, field in (("repository", "full_name"), ("project", "path_with_namespace")):
        found = payload.get(name)
        if isinstance(found, Mapping) and field in found:
            return found[field]
    return ""


def _text(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""
