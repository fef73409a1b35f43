"""What the records keep of a materialization."""

from tests.pipeline.conftest import Pipeline, failures


def test_a_record_keeps_the_code_and_the_parameters_it_was_made_with(pipeline: Pipeline):
    pipeline.project.land()
    result = pipeline.materialize('group:"sales" or group:"stores"')
    assert result.success, failures(result)
    record = next(r for r in pipeline.resources["records"].all() if r.asset == "sales/features")
    assert {"sales/features.py:features", "sales/features.py:pl", "ml/data/features.py"} <= set(record.parts)
    assert record.parameters["after_event"] == '["refund"]'
    assert record.failure == ""


def test_a_broken_contract_is_recorded_with_what_it_was_about(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit("sales/dataset.py", "le=1e6", "le=1")
    assert not pipeline.materialize('group:"sales" or group:"stores"').success
    record = next(
        r
        for r in pipeline.resources["records"].all()
        if (r.asset, r.partition) == ("sales/validated_data", "2026-01")
    )
    assert "amount" in record.failure
    assert record.content == ""
    assert "sales/raw_data@2026-01" in record.inputs
