"""What Dagster adds: the asset chain in one run against the same functions called by a plain script.

Both in this process with every library loaded, each in a home of its own, in turn; from landed files to a
registered version (serving is the same work in both). Budget: at most 1.5 × the plain script, by the medians.
"""

import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.assets import evaluation_report as evaluating
from mlcicd_assets.assets import trained_model as training
from mlcicd_assets.assets.statistics import keep_feature_statistics, keep_record_statistics
from mlcicd_assets.components.dataset import dataset_definitions
from mlcicd_assets.components.ml_model import model_definitions
from mlcicd_assets.ml.catalogue import DataLane, ModelLane, load_all, read_reference
from mlcicd_assets.ml.data.contracts import examine
from mlcicd_assets.ml.data.feature_table import assemble
from mlcicd_assets.ml.data.features import compute_features
from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.ml.user_code import load_function, load_object
from mlcicd_assets.release.run_files import MODEL_CARD, REPORT, Candidate
from mlcicd_assets.release.verdict import authorise, seal
from mlcicd_assets.reports.distributions import distributions_picture
from mlcicd_assets.reports.evaluation import render_evaluation
from mlcicd_assets.reports.figures import png
from mlcicd_assets.reports.model_card import model_card
from resources import build_resources

MONTHS = [f"2013-{month:02}" for month in range(1, 7)]
DATASETS = ("planes", "weather", "flights")
MODEL = "flight_delay"
BUDGET = 1.5
ROUNDS = 3


def plain(resources: dict[str, Any]) -> None:
    """The same functions, one after the other."""
    catalogue = load_all()
    for name in DATASETS:
        lane = catalogue.datasets[name]
        keys: list[str | None] = list(MONTHS) if lane.dataset.partitions != "none" else [None]
        for key in keys:
            plain_partition(lane, key, resources)
    plain_model(catalogue.models[MODEL], resources)


def plain_partition(lane: DataLane, key: str | None, resources: dict[str, Any]) -> None:
    lake, landing = resources["lake"], resources["landing"]
    chosen = None if key is None else [key]
    raw = landing.read(landing.find(lane.dataset.source.files, key))
    lake.write(lane.table("raw_data"), raw, partition=key)
    known = {t: lake.scan(f"{t.split('.')[0]}/validated_data") for t in lane.dataset.references.values()}
    contract = load_object(*read_reference(lane.folder, lane.dataset.contract))
    rows = lake.scan(lane.table("raw_data"), partitions=chosen)
    kept, _ = examine(rows, contract, lane.dataset, known, datetime.now(UTC)).part()
    lake.write(lane.table("validated_data"), kept, partition=key)
    keep_record_statistics(lake, lane, kept, key)
    made = [raw, kept]
    if lane.dataset.features:
        lookups = {name: lake.scan(f"{name}/validated_data") for name in lane.dataset.lookups}
        function = load_function(*read_reference(lane.folder, lane.dataset.features))
        rows = lake.scan(lane.table("validated_data"), partitions=chosen).collect()
        columns = compute_features(function, rows, lookups, hidden=lane.dataset.hidden)
        table = assemble(lane.dataset, rows, columns)
        lake.write(lane.table("features"), table, partition=key)
        keep_feature_statistics(lake, lane, table, key)
        made.append(table)
    if key in (None, MONTHS[-1]):  # the stages draw the last partition of a run
        for frame in made:
            distributions_picture(frame)


def plain_model(lane: ModelLane, resources: dict[str, Any]) -> None:
    lake, tracking, keys = resources["lake"], resources["tracking"], resources["keys"]
    with tempfile.TemporaryDirectory() as folder, tracking.run(MODEL, "plain", {}) as run:
        material = training.gather(lane, lake, None)
        made = training.make(lane, lake, material, Path(folder), resources["git"].revision())
        training.keep(tracking, run.id, made, Path(folder))
    digest = made.package.digest
    with tempfile.TemporaryDirectory() as folder:
        trained, serving = Candidate(run.id, digest), resources["serving"]
        evaluation, _ = evaluating.measure(lane, lake, tracking, serving, trained, None, Path(folder))
        gates = decide(lane.model, evaluation)
        verdict = evaluating.verdict_of(lane, evaluation, gates, run.id, datetime.now(UTC))
        envelope = seal(verdict, keys.private_key())
        page = render_evaluation(evaluation, gates, lane.model)
        papers = {REPORT: page, MODEL_CARD: model_card(evaluation, gates, lane.model)}
        evaluating.keep(tracking, run.id, Path(folder), evaluation, envelope, papers)
        resources["reports"].save(f"{MODEL}/{digest[:12]}.html", page)
        for name in evaluating.IN_THE_UI:
            png(name, evaluation)
    authorise(envelope, keys.trusted_keys(), model=MODEL, digest=digest)
    resources["registry"].register(MODEL, digest, run.id, {})


@contextmanager
def by_script(resources: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """The plain script, ready to run."""
    yield lambda: plain(resources)


@contextmanager
def by_dagster(resources: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """The assets and their checks in one in-process run on an instance on disk, ready to run."""
    catalogue = load_all()
    parts = [dataset_definitions(catalogue.datasets[name]) for name in DATASETS]
    parts.append(model_definitions(catalogue.models[MODEL]))
    chosen = dg.AssetSelection.groups(*DATASETS) | dg.AssetSelection.assets(
        *([MODEL, stage] for stage in ("trained_model", "evaluation_report", "registered_model"))
    )
    # The gates, and the contracts that validated_data brings along; drift and the like are further work.
    gates = dg.AssetSelection.checks_for_assets(dg.AssetKey([MODEL, "evaluation_report"]))
    contracts = dg.AssetSelection.checks(
        *(
            dg.AssetCheckKey(dg.AssetKey([name, "validated_data"]), check)
            for name in DATASETS
            for check in ("contract", "quality")
        )
    )
    job = dg.define_asset_job("chain", selection=chosen.without_checks() | gates | contracts)
    definitions = dg.Definitions.merge(
        *parts, dg.Definitions(jobs=[job], resources=resources, executor=dg.in_process_executor)
    )
    tags = {
        "dagster/asset_partition_range_start": MONTHS[0],
        "dagster/asset_partition_range_end": MONTHS[-1],
    }
    resolved = definitions.resolve_job_def("chain")
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        instance.get_runs_count()  # makes its databases

        def run() -> None:
            result = resolved.execute_in_process(instance=instance, tags=tags)
            assert result.success

        yield run


def timed(way: Callable[[dict[str, Any]], AbstractContextManager[Callable[[], None]]]) -> float:
    """Seconds of one run in a new home in which the flights have landed."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as home:
        resources = build_resources({"MLCICD_HOME": home})
        for name in DATASETS:
            lane = load_all().datasets[name]
            land = load_function(*read_reference(lane.folder, lane.dataset.upstream or ""))
            land(Path(home), MONTHS if name == "flights" else [])
        with way(resources) as run:
            started = time.perf_counter()
            run()
            return time.perf_counter() - started


def main() -> int:
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    timed(by_script)  # loads every library
    timed(by_dagster)
    pairs = [(timed(by_script), timed(by_dagster)) for _ in range(ROUNDS)]
    script = statistics.median(first for first, _ in pairs)
    dagster = statistics.median(second for _, second in pairs)
    print(f"plain script {script:.2f} s, through Dagster {dagster:.2f} s: {dagster / script:.2f} ×")
    print(f"budget {BUDGET} ×")
    return 0 if dagster <= BUDGET * script else 1


if __name__ == "__main__":
    sys.exit(main())
