"""What a model server's own Prometheus text says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

_SCORES = "prediction_scores_total"
_NON_FINITE = "prediction_non_finite_total"
_DROPPED = "prediction_log_dropped_rows_total"
_STARTED = "process_start_time_seconds"


def parse_metrics(text: str) -> dict[str, Any]:
    """`scores`, `non_finite` and `started` of a server's Prometheus text; raises ValueError."""
    scores: dict[str, int] = {}
    found: dict[str, float] = {}
    for name, labels, value in _samples(text):
        if name == _SCORES:
            scores[labels["bin"]] = scores.get(labels["bin"], 0) + int(value)
        elif name in {_NON_FINITE, _STARTED}:
            found[name] = found.get(name, 0) + value
    started = found.get(_STARTED)
    return {
        "scores": scores,
        "non_finite": int(found.get(_NON_FINITE, 0)),
        "started": moment(started) if started else "",
    }


def dropped_rows(text: str) -> dict[str, int]:
    """Predicted rows that were not recorded, by reason; raises ValueError."""
    return {
        labels["reason"]: int(value) for name, labels, value in _samples(text) if name == _DROPPED and value
    }


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def moment(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
