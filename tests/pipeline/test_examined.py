"""A model that is unfair, blind on a slice or fragile stops at its gate, and the check says where."""

import dagster as dg
import polars as pl
import pytest

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.release.run_files import EVALUATION, Candidate
from tests.fakes.projects import MONTHS
from tests.pipeline.conftest import Pipeline, failures

GATES = 'gates: {roc_auc: ">= 0.70", brier: "<= 0.25"}'


def gated(pipeline: Pipeline, gates: str, more: str = "") -> dg.ExecuteInProcessResult:
    pipeline.project.edit("returns/defs.yaml", GATES, f"gates: {{{gates}}}\n  {more}")
    return pipeline.materialize(
        'group:"sales" or group:"stores" or key:"returns/trained_model" or key:"returns/evaluation_report"'
    )


def evaluation_of(pipeline: Pipeline, folder) -> Evaluation:
    trained = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    path = pipeline.resources["tracking"].fetch(trained.run_id, EVALUATION, folder)
    return Evaluation.model_validate_json(path.read_bytes())


def mislabel_the_old(pipeline: Pipeline) -> None:
    """What the old return has nothing to do with what the model can see."""
    third = pl.col("index") % 3 == 0
    for month in MONTHS:
        path = pipeline.project.home / f"landing/sales/{month}.parquet"
        returned = pl.when(pl.col("age_group") == "old").then(third).otherwise(pl.col("returned") == 1)
        rows = pl.read_parquet(path).with_row_index()
        rows.with_columns(returned.cast(pl.Int64).alias("returned")).drop("index").write_parquet(path)


def test_a_sound_model_passes_and_everything_is_kept(pipeline: Pipeline, tmp_path):
    pipeline.project.land()
    result = gated(
        pipeline,
        'roc_auc: ">= 0.70", "roc_auc[online=true]": ">= 0.5", equal_opportunity_gap: "<= 0.3", '
        'noise_drop: "<= 0.05", robustness_failures: "<= 0"',
        "slices: {of: [store_id, age_group], minimum: 20}",
    )
    assert result.success, failures(result)
    assert pipeline.checks["roc_auc_online_is_true"].passed
    assert "online=true" in pipeline.checks["roc_auc_online_is_true"].description
    kept = evaluation_of(pipeline, tmp_path)
    assert {group.value for group in kept.fairness.groups} == {"young", "old"}
    assert {one.name for one in kept.slices.declared} >= {"store_id=s0", "age_group=old"}
    assert {one.name for one in kept.robustness.disturbances} >= {"noise", "extremes", "row_order", "null"}
    shown = next(
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path[-1] == "evaluation_report"
    )
    assert {"fairness", "groups", "worst slices", "declared slices", "robustness"} <= set(shown)


def test_a_planted_unfairness_and_a_blind_slice_block_although_the_whole_is_fine(pipeline: Pipeline):
    pipeline.project.land()
    mislabel_the_old(pipeline)
    result = gated(
        pipeline,
        'roc_auc: ">= 0.55", equal_opportunity_gap: "<= 0.1", "roc_auc[age_group]": ">= 0.65"',
        "threshold: 0.3",
    )
    assert not result.success
    assert pipeline.checks["roc_auc"].passed
    gap, blind = pipeline.checks["equal_opportunity_gap"], pipeline.checks["roc_auc_age_group"]
    assert not gap.passed
    assert "age_group: lowest " in gap.description
    assert "95% interval" in gap.description
    assert not blind.passed
    assert "age_group=old" in blind.description


def test_missing_evidence_blocks_and_is_named_and_so_does_a_drop(pipeline: Pipeline):
    pipeline.project.land()
    result = gated(
        pipeline,
        'equal_opportunity_gap: "<= 1", "recall[store_id=s99]": ">= 0", missing_drop: "<= 1", '
        'noise_drop: "<= 0.001", roc_auc: ">= 0.6"',
        "fairness: {minimum: 10000}\n  robustness: {noise: 3.0}",
    )
    assert not result.success
    said = {name: check.description for name, check in pipeline.checks.items() if not check.passed}
    assert said.keys() == {"equal_opportunity_gap", "recall_store_id_is_s99", "missing_drop", "noise_drop"}
    assert "two groups need 10000 positives (there are old: " in said["equal_opportunity_gap"]
    assert "store_id=s99 has 0 rows in this holdout" in said["recall_store_id_is_s99"]
    assert "no input can be disturbed so; remove missing_drop from gates" in said["missing_drop"]
    assert "by noise of 3 standard deviations" in said["noise_drop"]


def test_a_model_that_fails_on_a_store_never_seen_blocks_with_the_record(pipeline: Pipeline):
    """A new store has no size; without an imputer the model gives no number for it."""
    pipeline.project.land()
    pipeline.project.edit(
        "returns/model.py",
        "make_pipeline(SimpleImputer(), StandardScaler()",
        "make_pipeline(StandardScaler()",
    )
    result = gated(pipeline, 'unseen_drop: "<= 0.1", robustness_failures: "<= 0"')
    assert not result.success
    assert not pipeline.checks["robustness_failures"].passed
    said = pipeline.checks["robustness_failures"].description
    assert "unseen: store_id: " in said
    assert "store_id=never seen before" in said
    assert not pipeline.checks["unseen_drop"].passed


@pytest.mark.parametrize(
    ("gates", "more", "problem"),
    [
        ('"recal[online=true]": ">= 0"', "", "a gate on a slice reads like 'recall[carrier=AA]'"),
        ('"recall[online~true]": ">= 0"', "", "a condition reads like"),
        ('roc_auc: ">= 0"', "robustness: {metric: roc}", "robustness.metric 'roc' is no metric"),
        ('roc_auc: ">= 0"', "fairness: {intersections: [[age_group, gender]]}", "gender"),
        ('roc_auc: ">= 0"', "slices: {of: ['=x']}", "a condition reads like"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(pipeline: Pipeline, gates, more, problem):
    with pytest.raises(Exception, match=r"defs\.yaml") as refused:
        gated(pipeline, gates, more)
    assert problem in str(refused.value)


def test_a_unit_of_a_column_that_is_no_input_is_named(pipeline: Pipeline):
    pipeline.project.land()
    result = gated(pipeline, 'roc_auc: ">= 0"', "robustness: {units: {weight: 1000}}")
    assert not result.success
    assert "robustness.units names weight, but the model's numeric inputs are amount" in failures(result)
