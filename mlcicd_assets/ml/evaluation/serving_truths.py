"""What the real server says of a candidate before it is released: how fast, how large, and how true.

Latency quantiles are by linear interpolation between the two nearest answers (NumPy's default; Hyndman and
Fan 1996, type 7).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mlcicd_assets.ml.artifact.parity import TOLERANCE
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.skew import Skew

SKEW = "training_serving_skew"
SKEW_BOUND = f"<= {TOLERANCE:g}"
# name -> whether more is better
GATES: dict[str, bool] = {
    "latency_p50_ms": False,
    "latency_p99_ms": False,
    "throughput_rps": True,
    "memory_mb": False,
    "cold_start_s": False,
    "artifact_mb": False,
    SKEW: False,
}
# Below this many answers the 99th percentile is hardly more than the slowest of them.
ENOUGH_FOR_P99 = 100


class Load(Evidence):
    """Answers to requests of one record each, `concurrency` of them under way at once."""

    concurrency: int
    requests: int
    failed: int
    first_failure: str = ""
    seconds: float
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None  # None of too few answers
    slowest_ms: float | None
    throughput_rps: float | None


class ServingTruths(Evidence):
    """Measured on the candidate's own server; `problem` says why something could not be."""

    problem: str = ""
    memory_limit_mb: float | None = None
    cpus: int | None = None
    threads: int = 1
    cold_start_s: float | None = None
    first_answer_ms: float | None = None  # of the first real record, right after the server said it was ready
    memory_mb: float | None = None  # the most that was resident
    artifact_mb: float | None = None
    load: Load | None = None
    skew: Skew | None = None


def summarise_load(
    latencies_ms: Sequence[float], failures: Sequence[str], *, seconds: float, concurrency: int
) -> Load:
    """Put together what the clients saw; quantiles and throughput are of the answers, not of the failures."""
    times = np.asarray(latencies_ms, dtype=np.float64)
    quantiles = dict(zip((50, 90, 99), np.percentile(times, (50, 90, 99)), strict=True)) if len(times) else {}
    return Load(
        concurrency=concurrency,
        requests=len(latencies_ms) + len(failures),
        failed=len(failures),
        first_failure=failures[0] if failures else "",
        seconds=round(seconds, 3),
        p50_ms=_rounded(quantiles.get(50)),
        p90_ms=_rounded(quantiles.get(90)),
        p99_ms=_rounded(quantiles.get(99)) if len(times) >= ENOUGH_FOR_P99 else None,
        slowest_ms=_rounded(float(times.max())) if len(times) else None,
        throughput_rps=_rounded(len(times) / seconds) if len(times) and seconds > 0 else None,
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(float(number), 3)


def values(truths: ServingTruths | None) -> Mapping[str, float | None]:
    """What each gate compares; None where it was not measured.

    Of a server that failed a request nothing counts: its quick answers would speak for those that failed.
    """
    if truths is None or truths.problem:
        known = {"artifact_mb": truths.artifact_mb} if truths else {}
        return {**dict.fromkeys(GATES), **known}
    load = truths.load
    return {
        "latency_p50_ms": load.p50_ms if load else None,
        "latency_p99_ms": load.p99_ms if load else None,
        "throughput_rps": load.throughput_rps if load else None,
        "memory_mb": truths.memory_mb,
        "cold_start_s": truths.cold_start_s,
        "artifact_mb": truths.artifact_mb,
        SKEW: truths.skew.max_difference if truths.skew else None,
    }


def where_skewed(skew: Skew) -> str:
    """The features that are others when served, and the row that is furthest off; empty without skew."""
    columns = [f"{column.column} in {column.rows} of {skew.rows} rows" for column in skew.columns]
    said = [f"features that differ: {', '.join(columns)}"] if columns else []
    if skew.worst is not None:
        keys = ", ".join(f"{name}={value}" for name, value in skew.worst.keys.items())
        cells = [f"{c.column} {c.trained} trained, {c.served} served" for c in skew.worst.columns]
        said.append(
            "; ".join(
                [
                    f"worst row {keys}: {skew.worst.trained:.4g} trained, {skew.worst.served:.4g} served",
                    *cells,
                ]
            )
        )
    return "; ".join(said)


def why_missing(name: str, truths: ServingTruths | None) -> str:
    """Why a gate has no value, in plain words."""
    if truths is None:
        return "the model was not measured on the real server; materialize evaluation_report again"
    if truths.problem:
        return truths.problem
    if name == SKEW and truths.skew is not None:
        return truths.skew.problem or "a score is no number"
    if name == "latency_p99_ms" and truths.load is not None:
        return (
            f"{truths.load.requests} answers are too few for a 99th percentile; "
            f"declare serving.requests of {ENOUGH_FOR_P99} or more"
        )
    return "it was not measured"
