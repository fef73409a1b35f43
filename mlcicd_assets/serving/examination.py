"""Starting a candidate on the real server before its release, and writing down what users would get."""

import time
from collections.abc import Mapping

import orjson
import polars as pl

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.declarations import DatasetDeclaration, ModelDeclaration
from mlcicd_assets.ml.evaluation.serving_declaration import Serving
from mlcicd_assets.ml.evaluation.serving_truths import Load, ServingTruths, summarise_load
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.serving.load import Client, Target, closed_loop
from mlcicd_assets.serving.protocol import encode
from mlcicd_assets.serving.skew import Sample, measure_skew
from resources.protocols import Limits, ServerSettings, ServingTarget, Trial, TrialEnded

_SINGLE = 100  # different records in the load


def examine(serving: ServingTarget, package: Package, declared: Serving, sample: Sample) -> ServingTruths:
    """Measure a package on its own server within the declared limits.

    A server that does not start, ends, hangs or refuses is an outcome: `problem` says so, and no gate on
    what was measured can pass.
    """
    limits = Limits(memory_mb=declared.memory_mb, cpus=declared.cpu, threads=declared.threads)
    about = {
        "memory_limit_mb": limits.memory_mb,
        "cpus": limits.cpus,
        "threads": limits.threads,
        "artifact_mb": round(sum(len(content) for content in package.files.values()) / 1e6, 3),
    }
    name = package.signature.model
    try:
        with serving.trial(package.folder, model=name, digest=package.digest, limits=limits) as trial:
            measured = _measured(trial, package, declared, sample)
    except TrialEnded as error:
        measured = {"problem": str(error)}
    return ServingTruths.model_validate({**about, **measured})


def settings_of(model: ModelDeclaration, dataset: DatasetDeclaration) -> ServerSettings:
    """The same in staging and production, so that what was measured is what will be served."""
    memory = model.serving.memory_mb
    return ServerSettings(
        answer_within_s=parse_duration(model.serving.timeout).total_seconds(),
        memory_bytes=round(memory * 1e6) if memory else None,
        threads=model.serving.threads,
        log=model.log.settings(dataset.personal, _beside(dataset)) if model.log else None,
    )


def _beside(dataset: DatasetDeclaration) -> list[str]:
    """What a request may carry beside the inputs: keys, by which its label finds it, and its own time."""
    return list(dict.fromkeys([*dataset.keys, *([dataset.time] if dataset.time else [])]))


def _measured(trial: Trial, package: Package, declared: Serving, sample: Sample) -> Mapping[str, object]:
    scorer = Scorer.load(package)
    target = target_of(trial.address, scorer, declared, trial.headers)
    bodies = single_requests(sample.records, scorer)
    first = first_answer_ms(target, bodies[0])
    answers = closed_loop(target, bodies, requests=declared.requests, concurrency=declared.concurrency)
    load = summarise_load(
        answers.latencies_ms, answers.failures, seconds=answers.seconds, concurrency=declared.concurrency
    )
    skew = measure_skew(sample, scorer, trial.address, trial.headers)
    ended = trial.ended()
    return {
        "problem": f"the model server ended: {ended}" if ended else _failed(load),
        "cold_start_s": round(trial.cold_start_s, 3),
        "first_answer_ms": first,
        "memory_mb": None if ended else round(trial.peak_memory_mb(), 1),
        "load": load,
        "skew": skew,
    }


def _failed(load: Load) -> str:
    if not load.failed:
        return ""
    return f"{load.failed} of {load.requests} requests of valid records failed: {load.first_failure}"


def target_of(
    address: str, scorer: Scorer, declared: Serving, headers: Mapping[str, str] | None = None
) -> Target:
    """Where a model's requests go."""
    path = f"/v2/models/{scorer.signature.model}/infer"
    return Target(address, path, headers or {}, parse_duration(declared.timeout).total_seconds())


def single_requests(records: pl.DataFrame, scorer: Scorer) -> list[bytes]:
    """Requests of one record each."""
    return [orjson.dumps(encode(row, scorer.inputs)) for row in records.head(_SINGLE).iter_slices(1)]


def first_answer_ms(target: Target, body: bytes) -> float | None:
    """How long the next request takes; None when it fails."""
    client = Client(target)
    began = time.perf_counter()
    answered = client.ask(body)
    client.close()
    return round((time.perf_counter() - began) * 1e3, 3) if answered else None
