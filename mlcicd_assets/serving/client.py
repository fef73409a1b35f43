"""Asking a served model, by the Open Inference Protocol v2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.serving.protocol import encode

TIMEOUT_S = 10.0


class ServingError(RuntimeError):
    """The served model did not answer as asked; says what it answered, and what to look at."""


@dataclass(frozen=True)
class Answer:
    """A prediction, and who gave it."""

    scores: np.ndarray  # float32: probabilities [n, classes], or the values [n] of a regression
    classes: np.ndarray | None  # [n]: the class of each row; None of a regression
    version: str

    @property
    def predictions(self) -> Predictions:
        """As a scorer gives them."""
        return Predictions(self.scores, self.classes)

    @property
    def probabilities(self) -> np.ndarray:
        """Of a classifier, [n, classes]; raises TypeError for a regression."""
        return self.predictions.probabilities

    @property
    def labels(self) -> np.ndarray:
        """Of a classifier, [n]; raises TypeError for a regression."""
        return self.predictions.labels

    @property
    def values(self) -> np.ndarray:
        """Of a regression, [n]; raises TypeError for a classifier."""
        return self.predictions.values


def predict(
    address: str,
    model: str,
    records: pl.DataFrame,
    inputs: Sequence[Column],
    *,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Score raw records over HTTP; raises ServingError."""
    return infer(address, model, encode(records, inputs), headers=headers)


def infer(
    address: str, model: str, request: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send a request as it is; raises ServingError."""
    body = _ask("POST", f"{address}/v2/models/{model}/infer", request, headers)
    outputs = {output["name"]: output for output in body["outputs"]}
    scores = outputs["value"] if "value" in outputs else outputs["probabilities"]
    return Answer(
        scores=np.asarray(scores["data"], dtype=np.float32).reshape(scores["shape"]),
        classes=np.asarray(outputs["label"]["data"]) if "label" in outputs else None,
        version=str(body["model_version"]),
    )


def describe(address: str, model: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The served model's metadata: versions, inputs and outputs; raises ServingError."""
    return _ask("GET", f"{address}/v2/models/{model}", headers=headers)


def answering(address: str, model: str) -> list[str]:
    """The versions that the address says it serves; empty when it does not answer for the model."""
    try:
        return [str(version) for version in describe(address, model)["versions"]]
    except ServingError:
        return []


def _ask(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        response = httpx.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServingError(
            f"{url}: no answer ({error}); see 'mlcicd serve status', start with 'mlcicd serve start'"
        ) from error
    if response.status_code != httpx.codes.OK:
        raise ServingError(f"{url}: answered {response.status_code}: {response.text[:300]}")
    answer: dict[str, Any] = response.json()
    return answer
