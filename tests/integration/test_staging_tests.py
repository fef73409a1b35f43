"""The staging tests and the examination against the real server, the proxy before it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.evaluation.serving_declaration import Serving
from mlcicd_assets.ml.evaluation.serving_truths import SKEW, values
from mlcicd_assets.serving.acceptance import CHECKS, Staged, accept
from mlcicd_assets.serving.examination import examine
from mlcicd_assets.serving.protocol import encode
from resources.serving_local import LocalServing
from tests.fakes.packages import build_package, records
from tests.fakes.releases import MODEL, PUBLIC, make_release
from tests.fakes.samples import sample

pytestmark = pytest.mark.xdist_group("staging_tests")

# Not a test of speed: the machine may be busy with other tests.
QUICK = Serving(requests=150, concurrency=4, rate=40, load="1s", timeout="20s")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    folder = tmp_path_factory.mktemp("staged")
    release = make_release(folder, environment="staging")
    serving = LocalServing(folder / "home" / "serving")
    try:
        server = serving.launch(release, [PUBLIC])
        serving.route("staging", MODEL, {1: 100})
        scorer = Scorer.load(release.package, expected=release.digest)
        yield Staged(
            address=serving.status().addresses["staging"],
            server=server.address,
            version=1,
            scorer=scorer,
            declared=QUICK,
            sample=sample(scorer),
            p99="<= 20000",
            first_answer_ms=5.0,
        )
    finally:
        serving.stop()


def test_an_honest_server_passes_all_of_them_and_still_answers(staged: Staged) -> None:
    findings = accept(staged)
    assert [finding.check for finding in findings] == list(CHECKS)
    assert [f"{finding.check}: {finding.said}" for finding in findings if not finding.passed] == []
    answer = httpx.post(
        f"{staged.address}/v2/models/{MODEL}/infer",
        json=encode(staged.sample.records, staged.scorer.inputs),
        timeout=20,
    )
    assert answer.status_code == 200


def test_faulty_requests_were_all_refused_in_plain_words(staged: Staged) -> None:
    rows = accept(staged, ["staging_malformed_requests"])[0].rows
    assert len(rows) > 25
    assert {row["request"]: row["status"] for row in rows if not 400 <= int(row["status"]) < 500} == {}
    assert {row["request"]: row["status"] for row in rows if row["request"] == "larger than is taken"} == {
        "larger than is taken": 413
    }


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("staging_metadata", {"version": 2}),
        ("staging_contract", {"version": 2}),
        ("staging_health", {"server": "http://127.0.0.1:1"}),
        ("staging_load", {"p99": "<= 0.001"}),
        ("staging_warm_up", {"first_answer_ms": None}),
        ("staging_warm_up", {"first_answer_ms": 30_000.0}),
    ],
)
def test_each_of_them_can_fail(staged: Staged, check: str, change: dict[str, object]) -> None:
    (finding,) = accept(replace(staged, **change), [check])  # type: ignore[arg-type]
    assert not finding.passed
    assert finding.said


def test_another_model_than_was_trained_is_skew(staged: Staged) -> None:
    other = replace(staged.sample, scores=1 - staged.sample.scores)
    (finding,) = accept(replace(staged, sample=other), ["staging_skew"])
    assert not finding.passed
    assert "difference" in finding.said


def test_a_candidate_is_measured_on_its_own_server(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", kind="boosting")
    scorer = Scorer.load(package)
    declared = QUICK.model_copy(update={"memory": "2GB", "cpu": 1, "threads": 2})
    truths = examine(LocalServing(tmp_path / "serving"), package, declared, sample(scorer))
    found = values(truths)
    assert truths.problem == ""
    assert {name: value for name, value in found.items() if value is None or value < 0} == {}
    assert (found[SKEW] or 0) <= 1e-6
    assert truths.skew is not None
    assert {probe.name for probe in truths.skew.probes} >= {"shop missing", "shop unseen"}
    assert (truths.memory_limit_mb, truths.cpus, truths.threads) == (2_000, 1, 2)


def test_one_that_needs_more_memory_than_it_has_is_an_outcome(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    declared = QUICK.model_copy(update={"memory": "50MB"})
    truths = examine(LocalServing(tmp_path / "serving"), package, declared, sample(Scorer.load(package)))
    assert "more than the 50 MB that are declared" in truths.problem
    assert values(truths)[SKEW] is None
    assert values(truths)["artifact_mb"] is not None


def test_what_was_trained_otherwise_is_seen(tmp_path: Path) -> None:
    build_package(tmp_path / "package")
    package = read_package(tmp_path / "package")
    seen = sample(Scorer.load(package))
    features = seen.features.with_columns(hour=seen.features["hour"] + 1)
    drifted = replace(seen, features=features, scores=seen.scores + 0.01)
    truths = examine(LocalServing(tmp_path / "serving"), package, QUICK, drifted)
    assert truths.skew is not None
    assert truths.skew.max_difference == pytest.approx(0.01, abs=1e-5)
    assert [(column.column, column.rows) for column in truths.skew.columns] == [("hour", len(records(60)))]
