"""One look at a rollout step: the new version against the champion, over the same minutes.

The outcomes are those of an Argo Rollouts AnalysisRun. `failed`: the evidence shows harm, and harm needs few
requests to show (exact tests, one-sided, at ALPHA, because a step is looked at many times). `passed`: enough
requests, and every bound kept. `inconclusive`: neither, for example too few requests.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

ALPHA = 0.001
_TINY = 1e-15

Outcome = Literal["passed", "failed", "inconclusive"]


class Record(BaseModel):
    """Closed and frozen: a field of another format is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bins(Record):
    """Waiting times by size: `counts[i]` lie in (bounds[i - 1], bounds[i]] ms, the last above all bounds."""

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()  # one more than bounds; empty: nothing was counted

    @property
    def total(self) -> int:
        """How many."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The value below which this share lies, linear within its bin; None without any."""
        rank, below, lower = share * self.total, 0, 0.0
        for upper, count in zip((*self.bounds, math.inf), self.counts, strict=False):
            if count and below + count >= rank:
                return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / count
            below, lower = below + count, upper
        return None

    def above(self, bound: float) -> int:
        """How many lie above a bound, linear within its bin."""
        over, lower = 0.0, 0.0
        for upper, count in zip((*self.bounds, math.inf), self.counts, strict=False):
            if bound <= lower or math.isinf(upper):
                over += count
            elif bound < upper:
                over += count * (upper - bound) / (upper - lower)
            lower = upper
        return int(over)


class Window(Record):
    """What one version did in a stretch of time."""

    requests: int = 0  # users' requests, or copies of them for a shadow
    faults: int = 0  # failed at this version's own server, whether or not a user saw it
    rejected: int = 0  # answered with 4xx
    latency: Bins = Bins()
    scores: Mapping[str, int] = {}  # predicted rows by bin of the score
    memory_mb: float | None = None


class Limits(Record):
    """What a new version is held to; None: not asked for."""

    error_rate: float | None = None  # share of requests, at most
    latency_p99_ms: float | None = None
    p99_ratio: float | None = None  # to the champion's p99
    psi: float | None = None  # population stability index of the scores, against the champion's
    memory_mb: float | None = None
    minimum_requests: int = 100
    agreement: float | None = None  # share of a shadow's rows with the champion's label, at least
    minimum_labelled: int = 100  # rows of each version whose label came
    labelled_required: bool = False  # whether a step waits for them


class Finding(Record):
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    value: float | None
    bound: str
    reference: float | None = None  # the champion's value
    requests: int = 0
    message: str = ""


class Analysis(Record):
    """All findings of one look, and what they come to."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    requests: int
    reference_requests: int = 0

    @property
    def reason(self) -> str:
        """Why it is not `passed`, in one line; empty where it is."""
        told = [one for one in self.findings if one.outcome == self.outcome != "passed"]
        return "; ".join(one.message for one in told)


def analyse(mine: Window, theirs: Window | None, limits: Limits, more: Sequence[Finding] = ()) -> Analysis:
    """Judge a version by its limits and, where there is one, by the champion's same minutes.

    `more` are findings from elsewhere, of the same weight: what was made of the answers themselves.
    """
    findings = (*_findings(mine, theirs, limits), *more)
    outcomes = {one.outcome for one in findings}
    outcome: Outcome = (
        "failed" if "failed" in outcomes else "inconclusive" if "inconclusive" in outcomes else "passed"
    )
    reference = theirs.requests if theirs else 0
    return Analysis(outcome=outcome, findings=findings, requests=mine.requests, reference_requests=reference)


def _findings(mine: Window, theirs: Window | None, limits: Limits) -> Iterator[Finding]:
    yield _enough(mine, limits)
    if limits.error_rate is not None:
        yield _error_rate(mine, limits.error_rate)
    if limits.latency_p99_ms is not None:
        yield _p99(mine, "latency_p99_ms", limits.latency_p99_ms, limits.minimum_requests)
    if limits.memory_mb is not None:
        yield _memory(mine, limits.memory_mb)
    if theirs is not None:
        yield _not_more(mine, theirs, "errors", mine.faults, theirs.faults)
        yield _not_more(mine, theirs, "rejected", mine.rejected, theirs.rejected)
        if limits.p99_ratio is not None:
            yield _p99_ratio(mine, theirs, limits.p99_ratio, limits.minimum_requests)
        if limits.psi is not None:
            yield _scores(mine, theirs, limits.psi, limits.minimum_requests)


def _enough(mine: Window, limits: Limits) -> Finding:
    enough = mine.requests >= limits.minimum_requests
    return Finding(
        name="minimum_requests",
        outcome="passed" if enough else "inconclusive",
        value=mine.requests,
        bound=f">= {limits.minimum_requests}",
        requests=mine.requests,
        message="" if enough else f"{mine.requests} requests of {limits.minimum_requests}",
    )


def _error_rate(mine: Window, limit: float) -> Finding:
    faults = min(mine.faults, mine.requests)
    rate = faults / mine.requests if mine.requests else None
    return Finding(
        name="error_rate",
        outcome=share_outcome(faults, mine.requests, limit),
        value=rate,
        bound=f"<= {limit:g}",
        requests=mine.requests,
        message=f"{faults} of {mine.requests} requests failed, at most {limit:.3g} of them may",
    )


def _p99(mine: Window, name: str, limit: float, minimum: int, reference: float | None = None) -> Finding:
    """At most one request in a hundred waits longer than the limit."""
    late, counted = mine.latency.above(limit), mine.latency.total
    p99 = mine.latency.quantile(0.99)
    outcome = share_outcome(late, counted, 0.01)
    if outcome == "passed" and counted < minimum:
        outcome = "inconclusive"
    told = "not measured" if p99 is None else f"{p99:.1f} ms"
    against = "" if reference is None else f" (the champion's: {reference:.1f} ms)"
    return Finding(
        name=name,
        outcome=outcome,
        value=p99,
        bound=f"<= {limit:g} ms",
        reference=reference,
        requests=counted,
        message=f"p99 is {told}, at most {limit:g} ms is allowed{against}; {late} of {counted} took longer",
    )


def _p99_ratio(mine: Window, theirs: Window, ratio: float, minimum: int) -> Finding:
    reference = theirs.latency.quantile(0.99)
    if reference is None or theirs.latency.total < minimum:
        return Finding(
            name="p99_ratio",
            outcome="inconclusive",
            value=None,
            bound=f"<= {ratio:g}",
            requests=mine.latency.total,
            message=f"the champion had {theirs.latency.total} requests of {minimum} to compare with",
        )
    found = _p99(mine, "p99_ratio", ratio * reference, minimum, reference)
    value = None if found.value is None else found.value / max(reference, _TINY)
    return found.model_copy(update={"value": value, "bound": f"<= {ratio:g}"})


def _memory(mine: Window, limit: float) -> Finding:
    value = mine.memory_mb
    outcome: Outcome = "inconclusive" if value is None else "passed" if value <= limit else "failed"
    told = "is not known" if value is None else f"is {value:.0f} MB"
    return Finding(
        name="memory_mb",
        outcome=outcome,
        value=value,
        bound=f"<= {limit:g}",
        requests=mine.requests,
        message=f"its memory {told}, at most {limit:g} MB is allowed",
    )


def _not_more(mine: Window, theirs: Window, name: str, hits: int, reference_hits: int) -> Finding:
    """Fisher's exact test, one-sided: the new version's share is not above the champion's."""
    hits, theirs_hits = min(hits, mine.requests), min(reference_hits, theirs.requests)
    chance = fisher_greater(hits, mine.requests, theirs_hits, theirs.requests)
    return Finding(
        name=f"{name}_against_champion",
        outcome="failed" if chance < ALPHA else "passed",
        value=hits / mine.requests if mine.requests else None,
        bound=f"not above the champion's (p >= {ALPHA:g})",
        reference=theirs_hits / theirs.requests if theirs.requests else None,
        requests=mine.requests,
        message=(
            f"{name}: {hits} of {mine.requests} requests, the champion's {theirs_hits} of {theirs.requests} "
            f"(p = {chance:.2g})"
        ),
    )


def _scores(mine: Window, theirs: Window, limit: float, minimum: int) -> Finding:
    rows, reference_rows = sum(mine.scores.values()), sum(theirs.scores.values())
    enough = min(rows, reference_rows) >= minimum
    # Two samples of one distribution differ by chance: on average by (bins - 1)(1/n + 1/m), the mean of
    # chi-square; only what is above that is a difference.
    value = psi(theirs.scores, mine.scores) if enough else None
    noise = _psi_noise(mine.scores, theirs.scores)
    outcome: Outcome = "inconclusive" if value is None else "failed" if value > limit + noise else "passed"
    told = (
        f"the scores' PSI to the champion's is {value:.2f}, at most {limit:g} (by chance {noise:.2f})"
        if value is not None
        else f"{rows} scores and the champion's {reference_rows}, {minimum} are needed to compare"
    )
    return Finding(
        name="psi", outcome=outcome, value=value, bound=f"<= {limit:g}", requests=rows, message=told
    )


def share_outcome(hits: int, requests: int, limit: float) -> Outcome:
    """Whether no more than a share of the requests (or rows) was hit; above it must be beyond chance."""
    if binomial_at_least(hits, requests, limit) < ALPHA:
        return "failed"
    if requests == 0 or hits > limit * requests:
        return "inconclusive"  # above the limit, but so few that chance explains it
    return "passed"


def binomial_at_least(hits: int, trials: int, share: float) -> float:
    """How probable `hits` or more of `trials` are where each has this share."""
    if hits <= 0:
        return 1.0
    if share <= 0:
        return 0.0
    if share >= 1 or hits <= share * trials:
        return 1.0  # not above the mean: no evidence against it
    log = _log_choose(trials, hits) + hits * math.log(share) + (trials - hits) * math.log1p(-share)
    term = total = math.exp(log)
    for k in range(hits, trials):
        term *= (trials - k) / (k + 1) * share / (1 - share)
        total += term
        if term < total * _TINY:
            break
    return min(total, 1.0)


def fisher_greater(hits: int, trials: int, reference_hits: int, reference_trials: int) -> float:
    """Fisher's exact test, one-sided: how probable a share as high as this is where both are the same."""
    if not trials or not reference_trials or hits * reference_trials <= reference_hits * trials:
        return 1.0
    together, everything = hits + reference_hits, trials + reference_trials
    whole = _log_choose(everything, together)
    total = 0.0
    for k in range(hits, min(trials, together) + 1):
        log = _log_choose(trials, k) + _log_choose(reference_trials, together - k) - whole
        term = math.exp(log) if log > -745 else 0.0
        total += term
        if term <= total * _TINY:
            break
    return min(total, 1.0)


def _log_choose(n: int, k: int) -> float:
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def psi(reference: Mapping[str, int], current: Mapping[str, int]) -> float:
    """Population stability index of two histograms; an empty bin counts as half an observation."""
    bins = sorted(reference.keys() | current.keys())
    before = [max(reference.get(one, 0), 0.5) for one in bins]
    after = [max(current.get(one, 0), 0.5) for one in bins]
    total_before, total_after = sum(before), sum(after)
    return sum(
        (b / total_after - a / total_before) * math.log((b / total_after) / (a / total_before))
        for a, b in zip(before, after, strict=True)
    )


def _psi_noise(mine: Mapping[str, int], theirs: Mapping[str, int]) -> float:
    bins = len({*mine, *theirs})
    rows, reference_rows = sum(mine.values()), sum(theirs.values())
    if not rows or not reference_rows:
        return 0.0
    return max(bins - 1, 0) * (1 / rows + 1 / reference_rows)
