"""Traffic of a window: what the log holds, and what proxy and servers counted."""

from dataclasses import replace

import polars as pl

from mlcicd_assets.ml.monitoring.declaration import Monitor
from mlcicd_assets.ml.monitoring.signals import ERRORS, LATENCY, TRAFFIC, Signal, unknown
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.release.analysis import share_outcome

# One request cannot be told from chance: fewer say nothing about a rare error.
_REQUESTS = 20


def traffic_signal(signal: Signal, rows: pl.DataFrame, share: float, sample: float) -> Signal:
    """What a version answered; `share` of the window's live rows, `sample` as declared now."""
    first, last = rows["at"].min(), rows["at"].max()
    latency = (
        rows["latency_ms"].drop_nulls() if "latency_ms" in rows.columns else pl.Series([], dtype=pl.Float32)
    )
    evidence = {
        "requests": rows["request_id"].n_unique(),
        "share": round(share, 4),
        "first": first.isoformat() if first is not None else "",  # type: ignore[union-attr]
        "last": last.isoformat() if last is not None else "",  # type: ignore[union-attr]
        "scoring_ms": {
            name: round(float(latency.quantile(at) or 0.0), 3)
            for name, at in (("p50", 0.5), ("p99", 0.99))
            if len(latency)
        },
        "sample": sample,
    }
    return replace(
        signal, name=TRAFFIC, state="ok", value=rows.height / sample, rows=rows.height, evidence=evidence
    )


def error_signal(
    monitor: Monitor, signal: Signal, *, requests: int | None, errors: int, since: str, why: str
) -> Signal:
    """The share of users' requests that failed; violated where chance does not explain it.

    `requests` is None where nothing was counted, and then `why` says so.
    """
    text = monitor.traffic.error_rate
    signal = replace(signal, name=ERRORS, bound=text or "", rows=requests or 0, evidence={"counted": since})
    if requests is None:
        return unknown(signal, why)
    if requests == 0:
        return unknown(signal, f"no request was counted {since}")
    rate = errors / requests
    signal = replace(signal, value=rate, evidence={"counted": since, "errors": errors})
    if text is None:
        return replace(signal, state="ok")
    outcome = share_outcome(errors, requests, Bound.parse(text).limit)
    said = f"{errors} of {requests} requests failed ({rate:.2%}), at most {Bound.parse(text).limit:.2%} may"
    if outcome == "failed":
        return replace(signal, state="violated", reason=said)
    if outcome == "inconclusive":
        return unknown(signal, f"{said}: so few that chance explains it")
    return replace(signal, state="ok")


def latency_signal(
    monitor: Monitor,
    signal: Signal,
    *,
    p50: float | None,
    p99: float | None,
    requests: int,
    since: str,
    why: str,
) -> Signal:
    """The 99th percentile of the time that users waited."""
    text = monitor.traffic.latency_p99_ms
    evidence = {"counted": since, "p50": p50}
    signal = replace(signal, name=LATENCY, value=p99, bound=text or "", rows=requests, evidence=evidence)
    if p99 is None:
        return unknown(signal, why or f"no waiting time was measured {since}")
    if text is None:
        return replace(signal, state="ok")
    if requests < _REQUESTS:
        return unknown(signal, f"{requests} requests; {_REQUESTS} are needed")
    if Bound.parse(text).admits(p99):
        return replace(signal, state="ok")
    return replace(signal, state="violated", reason=f"99 of 100 waited up to {p99:.0f} ms; must be {text}")
