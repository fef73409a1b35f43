"""Asking a served model for the rows that it was evaluated on, and for difficult ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column, Signature
from mlcicd_assets.ml.artifact.parity import compare_scores
from mlcicd_assets.ml.artifact.scoring import Predictions, Scorer, ScoringError
from mlcicd_assets.ml.evaluation.skew import Probe, Sides, Skew, compare, probes_of
from mlcicd_assets.serving.client import ServingError, infer
from mlcicd_assets.serving.protocol import RequestError, decode, encode

_BATCH = 50  # the server builds small batches by rows and large ones by columns: both are asked
_ELSEWHERE = timezone(timedelta(hours=5, minutes=30))


@dataclass(frozen=True)
class Sample:
    """Rows of the holdout on the training path."""

    records: pl.DataFrame  # raw, as users send them
    keys: pl.DataFrame
    features: pl.DataFrame  # of the lake's table
    scores: np.ndarray  # the fitted estimator's own, as `comparable` gives them


def measure_skew(
    sample: Sample, scorer: Scorer, address: str, headers: Mapping[str, str] | None = None
) -> Skew:
    """Compare what an address answers with the training path; an answer that fails is the skew's problem."""
    signature = scorer.signature
    try:
        request = encode(sample.records, scorer.inputs)
        sides = Sides(
            keys=sample.keys,
            trained=sample.scores,
            served=_served(sample, scorer, address, headers),
            trained_features=sample.features,
            served_features=scorer.features(decode(request, scorer.inputs)),
        )
    except (RequestError, ScoringError, ServingError) as error:
        return Skew(rows=sample.records.height, max_difference=None, problem=str(error))
    probes = [
        _probe(name, request, records, scorer, address, headers)
        for name, request, records in _difficult(sample.records, scorer.inputs)
    ]
    return compare(sides, signature.threshold, probes)


def comparable(scores: np.ndarray, signature: Signature) -> np.ndarray:
    """Scores in the form that training keeps them: of a binary model the positive class's, [n]."""
    return scores[:, 1] if signature.task == "binary" else scores


def _served(sample: Sample, scorer: Scorer, address: str, headers: Mapping[str, str] | None) -> np.ndarray:
    def ask(records: pl.DataFrame) -> np.ndarray:
        answer = infer(address, scorer.signature.model, encode(records, scorer.inputs), headers=headers)
        return comparable(answer.scores, scorer.signature)

    small = np.concatenate([ask(part) for part in sample.records.iter_slices(_BATCH)])
    whole = ask(sample.records)
    # Of two answers to the same row, the one that is further from the trained score counts.
    further = np.isnan(small) | (np.abs(small - sample.scores) > np.abs(whole - sample.scores))
    return np.where(further, small, whole)


def _difficult(
    records: pl.DataFrame, inputs: Sequence[Column]
) -> Iterator[tuple[str, dict[str, Any], pl.DataFrame]]:
    """Name, request, and the records that it is about."""
    for name, made in probes_of(records, inputs).items():
        yield name, encode(made, inputs), made
    zoned = [column.name for column in inputs if "[" in column.dtype]
    if zoned:
        few = records.head(5)
        yield "times with another offset", _elsewhere(encode(few, inputs), zoned), few


def _elsewhere(request: dict[str, Any], zoned: Sequence[str]) -> dict[str, Any]:
    """The same instants, written with another offset."""

    def moved(text: str | None) -> str | None:
        return None if text is None else datetime.fromisoformat(text).astimezone(_ELSEWHERE).isoformat()

    tensors = [
        {**tensor, "data": [moved(text) for text in tensor["data"]]} if tensor["name"] in zoned else tensor
        for tensor in request["inputs"]
    ]
    return {**request, "inputs": tensors}


def _probe(
    name: str,
    request: Mapping[str, Any],
    records: pl.DataFrame,
    scorer: Scorer,
    address: str,
    headers: Mapping[str, str] | None,
) -> Probe:
    """One answer over HTTP against the package's own; both may refuse, but not one alone."""
    own = _or_reason(lambda: scorer.predict(records))
    served = _or_reason(lambda: infer(address, scorer.signature.model, request, headers=headers).predictions)
    rows = records.height
    if isinstance(own, str) and isinstance(served, str):
        return Probe(name=name, rows=rows, max_difference=0.0)
    if isinstance(own, str) or isinstance(served, str):
        refused = (
            "the server refused what the package scores"
            if isinstance(served, str)
            else ("the server scores what the package refused")
        )
        reason = served if isinstance(served, str) else own
        return Probe(name=name, rows=rows, max_difference=None, problem=f"{refused}: {reason}")
    signature = scorer.signature
    sides = (comparable(served.scores, signature), comparable(own.scores, signature))
    difference = compare_scores(*sides, signature.threshold).max_difference
    if not np.isfinite(difference):
        return Probe(name=name, rows=rows, max_difference=None, problem="a score is no number")
    return Probe(name=name, rows=rows, max_difference=difference)


def _or_reason(score: Any) -> Predictions | str:
    try:
        found: Predictions = score()
    except (ScoringError, ServingError) as error:
        return str(error)
    return found
