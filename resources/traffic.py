"""What was counted of one version's traffic, and how much of it fell between two readings.

Every number only grows while what counts it lives: the proxy (`counted_since`) and the version's own server
(`started`). A reading alone says what happened since then; two say what happened in between:
`increase(earlier, later)`. So canary and champion can be compared over the same minutes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# Milliseconds. The proxy measures whole ones: a bound at a half leaves no doubt on which side a value is.
_FINE = tuple(whole + 0.5 for whole in range(20))
_COARSE = (24.5, 29.5, 39.5, 49.5, 59.5, 79.5, 99.5, 149.5, 199.5, 249.5, 299.5, 399.5, 499.5, 749.5)
LATENCY_BOUNDS_MS = (*_FINE, *_COARSE, 999.5, 1_499.5, 1_999.5, 2_999.5, 4_999.5, 9_999.5, 30_000.5)


@dataclass(frozen=True)
class Histogram:
    """Observations by size: `counts[i]` lie in (bounds[i - 1], bounds[i]], the last ones above all bounds."""

    bounds: tuple[float, ...] = LATENCY_BOUNDS_MS
    counts: tuple[int, ...] = ()  # one more than bounds; empty: nothing was counted

    @property
    def total(self) -> int:
        """How many observations."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The value below which this share lies, linear within its bin (as PromQL does); None without any.

        What lies above the highest bound is taken for that bound.
        """
        rank, below, lower = share * self.total, 0, 0.0
        if not self.total:
            return None
        for upper, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            if count and below + count >= rank:
                return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / count
            below, lower = below + count, upper
        return lower

    def above(self, bound: float) -> float | None:
        """The share of observations above a bound, linear within its bin; None without any."""
        if not self.total:
            return None
        over, lower = 0.0, 0.0
        for upper, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            if bound <= lower or math.isinf(upper):
                over += count
            elif bound < upper:
                over += count * (upper - bound) / (upper - lower)
            lower = upper
        return over / self.total

    def plus(self, other: "Histogram") -> "Histogram":
        """Both together; they have the same bounds."""
        if not (self.counts and other.counts):
            return self if self.counts else other
        return replace(self, counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was added; all of it where the counting began anew."""
        if len(earlier.counts) != len(self.counts):
            return self
        added = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        return self if min(added, default=0) < 0 else replace(self, counts=added)


@dataclass(frozen=True)
class Traffic:
    """What was counted for one version: by the proxy, and by the version's own server."""

    model: str
    version: int
    # By the proxy: requests of users that it gave to this version, and how they ended for the user.
    requests: int
    errors: int  # answered with 5xx, or not at all: what users saw
    latency_ms: Mapping[str, float]  # {"p50": …, "p99": …} since `counted_since`; empty without requests
    rejected: int = 0  # answered with 4xx: this version did not take what the user sent
    # At its own server; a canary that fails often is not asked for a while, so fewer attempts than requests.
    attempts: int = 0
    failed_attempts: int = 0  # of those: 5xx, reset, too slow; whether or not another version saved it
    latency: Histogram = field(
        default_factory=Histogram
    )  # of `requests`, ms, as the user waited: retries too
    mirrored: int = 0  # requests of which it got a copy; nobody sees the answers
    mirrored_errors: int = 0  # of those copies, answered with 5xx, not in time or not at all
    mirrored_latency: Histogram = field(default_factory=Histogram)
    counted_since: str = ""  # ISO 8601, UTC: when the proxy began to count; "" when it does not answer
    # By the server, live and mirrored alike.
    scores: Mapping[str, int] = field(default_factory=dict)  # predicted rows by bin; see `serving.score_bins`
    non_finite: int = 0  # requests whose score was NaN or infinite: an error 5xx instead of an answer
    memory_bytes: int | None = None  # resident; a level, not a count
    started: str = (
        ""  # ISO 8601, UTC: its process began; "" when it does not answer, and then scores say nothing
    )

    @property
    def hidden_errors(self) -> int:
        """Failed attempts that no user saw, because another attempt succeeded."""
        return max(0, self.failed_attempts - self.errors)

    @property
    def faults(self) -> int:
        """What went wrong with this version, seen by users or not: what a canary is judged by."""
        return max(self.failed_attempts, self.errors)


def increase(earlier: Traffic | None, later: Traffic) -> Traffic:
    """What was counted between two readings of one version; all of `later` without an earlier one.

    Counters that began anew in between (another proxy, another process) count from nothing, as PromQL's
    `increase` does. `memory_bytes`, `started` and `counted_since` are the later reading's.
    """
    if earlier is None:
        return later
    counted = _proxy_increase(earlier, later) if earlier.counted_since == later.counted_since else later
    if not later.started:
        return replace(counted, scores={}, non_finite=0)
    if earlier.started != later.started:
        return counted
    scores = {bin_: count - earlier.scores.get(bin_, 0) for bin_, count in later.scores.items()}
    return replace(
        counted,
        scores={bin_: count for bin_, count in scores.items() if count > 0},
        non_finite=_since(earlier.non_finite, later.non_finite),
    )


def _proxy_increase(earlier: Traffic, later: Traffic) -> Traffic:
    latency = later.latency.since(earlier.latency)
    return replace(
        later,
        requests=_since(earlier.requests, later.requests),
        errors=_since(earlier.errors, later.errors),
        rejected=_since(earlier.rejected, later.rejected),
        attempts=_since(earlier.attempts, later.attempts),
        failed_attempts=_since(earlier.failed_attempts, later.failed_attempts),
        latency=latency,
        latency_ms=quantiles(latency),
        mirrored=_since(earlier.mirrored, later.mirrored),
        mirrored_errors=_since(earlier.mirrored_errors, later.mirrored_errors),
        mirrored_latency=later.mirrored_latency.since(earlier.mirrored_latency),
    )


def _since(earlier: int, later: int) -> int:
    return later if later < earlier else later - earlier


def quantiles(latency: Histogram) -> dict[str, float]:
    """p50 and p99; empty without observations."""
    found = {name: latency.quantile(share) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {name: value for name, value in found.items() if value is not None}
