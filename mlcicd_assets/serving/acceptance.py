"""The tests that a version passes on its staging address before it may go further."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.evaluation.serving_declaration import Serving
from mlcicd_assets.ml.evaluation.serving_truths import SKEW_BOUND, summarise_load
from mlcicd_assets.ml.thresholds import Bound, parse_duration
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.client import ServingError, describe, infer
from mlcicd_assets.serving.examination import single_requests, target_of
from mlcicd_assets.serving.load import steady
from mlcicd_assets.serving.malformed import malformed_requests, replies
from mlcicd_assets.serving.skew import Sample, measure_skew

Row = Mapping[str, str | int | float | bool]
_TIMEOUT_S = 10.0
_CONNECTIONS = 16
_SUM = 1e-4  # of float32 probabilities; what is further from 1 are no probabilities
# name -> what it promises
CHECKS: Mapping[str, str] = {
    "staging_health": "The server and the model say that they are alive and ready.",
    "staging_metadata": "The served model describes itself as its signature does.",
    "staging_contract": "Valid records are answered in the right names, shapes and types.",
    "staging_malformed_requests": "Requests at fault get a 4xx and a reason, and harm nobody.",
    "staging_load": "At the declared rate every request is answered, and in time.",
    "staging_skew": "Through the proxy, holdout records score as they did in training.",
    "staging_warm_up": "The first real request after the start was answered in time.",
}


@dataclass(frozen=True)
class Finding:
    """The result of one test, and the table that shows it."""

    check: str
    passed: bool
    said: str
    rows: Sequence[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Staged:
    """A version on its staging address, and what is known of it."""

    address: str  # of the environment, through the proxy
    server: str  # its own
    version: int
    scorer: Scorer
    declared: Serving
    sample: Sample
    p99: str = ""  # the bound of the gate latency_p99_ms, where one is declared
    first_answer_ms: float | None = None

    @property
    def model(self) -> str:
        """Its name."""
        return self.scorer.signature.model


def accept(staged: Staged, names: Iterable[str] = tuple(CHECKS)) -> list[Finding]:
    """Run the tests named, all by default; one that the server makes impossible has failed, and says why."""
    tests: Mapping[str, Callable[[Staged], Finding]] = {
        "staging_health": _health,
        "staging_metadata": _metadata,
        "staging_contract": _contract,
        "staging_malformed_requests": _malformed,
        "staging_load": _load,
        "staging_skew": _skew,
        "staging_warm_up": _warm_up,
    }
    return [_run(name, tests[name], staged) for name in names]


def _run(name: str, test: Callable[[Staged], Finding], staged: Staged) -> Finding:
    try:
        return test(staged)
    except (ServingError, httpx.HTTPError) as error:
        return Finding(name, False, str(error) or type(error).__name__)


def _health(staged: Staged) -> Finding:
    places = (
        f"{staged.server}/v2/health/live",
        f"{staged.server}/v2/health/ready",
        f"{staged.server}/v2/models/{staged.model}/ready",
        f"{staged.address}/v2/models/{staged.model}/ready",
    )
    statuses = {place: httpx.get(place, timeout=_TIMEOUT_S).status_code for place in places}
    failed = [f"{place} answers {status}" for place, status in statuses.items() if status != httpx.codes.OK]
    rows: list[Row] = [{"asked": place, "status": status} for place, status in statuses.items()]
    return Finding("staging_health", not failed, "; ".join(failed) or "alive and ready", rows)


def _metadata(staged: Staged) -> Finding:
    found = describe(staged.address, staged.model)
    expected = {
        "name": staged.model,
        "versions": [str(staged.version)],
        "inputs": protocol.describe(staged.scorer.inputs),
        "outputs": protocol.describe_outputs(staged.scorer.signature),
    }
    rows: list[Row] = [
        {"field": name, "served": str(found.get(name)), "signature": str(value)}
        for name, value in expected.items()
    ]
    wrong = [name for name, value in expected.items() if found.get(name) != value]
    said = f"{', '.join(wrong)} of the metadata is not the signature's" if wrong else "as the signature says"
    return Finding("staging_metadata", not wrong, said, rows)


def _contract(staged: Staged) -> Finding:
    records = staged.sample.records
    asked = {"one record": records.head(1), "many records": records}
    rows: list[Row] = []
    faults = []
    for name, frame in asked.items():
        answer = infer(staged.address, staged.model, protocol.encode(frame, staged.scorer.inputs))
        fault = _fault_of(answer.scores, answer.classes, frame.height, staged)
        if answer.version != str(staged.version):
            fault = f"version {answer.version} answered, not {staged.version}"
        rows.append({"request": name, "records": frame.height, "fault": fault})
        faults += [f"{name}: {fault}"] if fault else []
    return Finding("staging_contract", not faults, "; ".join(faults) or "answered as promised", rows)


def _fault_of(scores: np.ndarray, classes: np.ndarray | None, rows: int, staged: Staged) -> str:
    signature = staged.scorer.signature
    shape = (rows,) if signature.task == "regression" else (rows, len(signature.classes))
    if scores.shape != shape:
        return f"scores have the shape {list(scores.shape)} instead of {list(shape)}"
    if not np.isfinite(scores).all():
        return "a score is no number"
    if classes is None:
        return "" if signature.task == "regression" else "there are no labels"
    if scores.min() < 0 or scores.max() > 1 or np.abs(scores.sum(axis=1) - 1).max() > _SUM:
        return "the probabilities of a row are outside 0 to 1, or do not sum to 1"
    if classes.shape != (rows,) or not set(classes.tolist()) <= set(signature.classes):
        return "a label is none of the model's classes"
    return ""


def _malformed(staged: Staged) -> Finding:
    inputs = staged.scorer.inputs
    valid = protocol.encode(staged.sample.records.head(2), inputs)
    seen = replies(staged.address, staged.model, malformed_requests(valid, inputs))
    faults = [f"{reply.name}: {reply.fault}" for reply in seen if reply.fault]
    infer(staged.address, staged.model, valid)  # and the server still answers
    rows: list[Row] = [
        {"request": reply.name, "status": reply.status or 0, "answer": reply.said, "fault": reply.fault}
        for reply in seen
    ]
    said = "; ".join(faults) or f"{len(seen)} kinds of faulty requests were refused"
    return Finding("staging_malformed_requests", not faults, said, rows)


def _load(staged: Staged) -> Finding:
    declared = staged.declared
    seen = steady(
        target_of(staged.address, staged.scorer, declared),
        single_requests(staged.sample.records, staged.scorer),
        rate=declared.rate,
        seconds=parse_duration(declared.load).total_seconds(),
        connections=max(declared.concurrency, _CONNECTIONS),
    )
    load = summarise_load(
        seen.latencies_ms, seen.failures, seconds=seen.seconds, concurrency=declared.concurrency
    )
    # Of few answers the slowest stands for the percentile: stricter, never laxer.
    slow = load.p99_ms if load.p99_ms is not None else load.slowest_ms
    late = bool(staged.p99) and (slow is None or not Bound.parse(staged.p99).admits(slow))
    said = f"{load.requests} requests at {declared.rate:g}/s, {load.failed} failed, p99 {_ms(slow)}"
    reasons = [
        *([load.first_failure] if load.failed else []),
        *([f"p99 must be {staged.p99} ms"] if late else []),
    ]
    row = {name: value for name, value in load.model_dump().items() if isinstance(value, int | float)}
    return Finding("staging_load", not reasons, "; ".join([said, *reasons]), [row])


def _ms(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.1f} ms"


def _skew(staged: Staged) -> Finding:
    skew = measure_skew(staged.sample, staged.scorer, staged.address)
    if skew.max_difference is None:
        return Finding("staging_skew", False, skew.problem or "a score is no number")
    passed = Bound.parse(SKEW_BOUND).admits(skew.max_difference)
    rows: list[Row] = [
        {"feature": c.column, "rows": c.rows, "trained": c.trained, "served": c.served} for c in skew.columns
    ]
    said = f"the largest difference on {skew.rows} records is {skew.max_difference:.3g} ({SKEW_BOUND})"
    return Finding("staging_skew", passed, said, rows)


def _warm_up(staged: Staged) -> Finding:
    limit = parse_duration(staged.declared.timeout).total_seconds() * 1e3
    first = staged.first_answer_ms
    if first is None:
        return Finding("staging_warm_up", False, "the first request after the start was not answered in time")
    said = f"the first request after the start took {first:.1f} ms, {limit:.0f} ms are allowed"
    row = {"first answer (ms)": first, "allowed (ms)": limit}
    return Finding("staging_warm_up", first <= limit, said, [row])
