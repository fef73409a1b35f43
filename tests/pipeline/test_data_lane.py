"""The data lane through the whole chain: quarantine, leakage, sources and partitions of every kind."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from mlcicd_assets.automation.dynamic_partitions import registering_sensor, unregistered
from mlcicd_assets.ml.catalogue import load_all
from resources.protocols import ResourceError
from resources.source_sql import SqlWarehouse
from tests.fakes.projects import MONTHS, sales
from tests.pipeline.conftest import Pipeline, failures

MONTH = "2026-04"
DATA = 'group:"sales" or group:"stores"'
SOFT = """    refund: float = pa.Field(nullable=True)

    @pa.check("amount", raise_warning=True)
    @classmethod
    def amount_is_usual(cls, data):
        return data.lazyframe.select(pl.col(data.key) < LIMIT)
"""


def soften(pipeline: Pipeline, limit: float) -> None:
    pipeline.project.edit(
        "sales/dataset.py", "    refund: float = pa.Field(nullable=True)\n", SOFT.replace("LIMIT", str(limit))
    )


def land(pipeline: Pipeline, frame: pl.DataFrame, month: str = MONTH) -> None:
    frame.write_parquet(pipeline.project.home / "landing" / "sales" / f"{month}.parquet")


def rows(pipeline: Pipeline, table: str) -> pl.DataFrame:
    found: pl.DataFrame = pipeline.resources["lake"].scan(table, partitions=[MONTH]).collect()
    return found


def test_records_that_break_a_soft_rule_go_to_the_quarantine_and_come_back(pipeline: Pipeline):
    soften(pipeline, 100)
    pipeline.project.land()
    dear = sales(MONTH).filter(pl.col("amount") >= 100)

    assert pipeline.materialize(DATA).success
    quarantined, kept = rows(pipeline, "sales/quarantine"), rows(pipeline, "sales/validated_data")

    assert 0 < dear.height == quarantined.height
    assert set(quarantined["_rules"]) == {"amount.amount_is_usual"}
    assert kept.height + quarantined.height == 600
    assert sorted(quarantined["sale_id"]) == sorted(dear["sale_id"])
    assert not pipeline.checks["quality"].passed

    land(pipeline, sales(MONTH).with_columns(pl.col("amount").clip(0, 99)))
    assert pipeline.materialize(DATA, months=(MONTH, MONTH)).success

    assert rows(pipeline, "sales/quarantine").is_empty()
    assert rows(pipeline, "sales/validated_data").height == 600
    assert pipeline.resources["lake"].versions("sales/quarantine")["2026-03"].rows > 0


def test_where_nothing_is_moved_there_is_no_quarantine(pipeline: Pipeline):
    soften(pipeline, 1e9)
    pipeline.project.land()

    assert pipeline.materialize(DATA).success

    assert pipeline.resources["lake"].versions("sales/quarantine") == {}


def test_a_rule_that_would_move_everything_blocks(pipeline: Pipeline):
    soften(pipeline, -1)
    pipeline.project.land()

    result = pipeline.materialize(DATA)

    assert not result.success
    assert "every record breaks a soft rule (amount.amount_is_usual)" in failures(result)
    assert pipeline.resources["lake"].versions("sales/validated_data") == {}


def test_a_feature_that_knows_the_label_blocks_the_model(pipeline: Pipeline):
    pipeline.project.land()
    for month in MONTHS:  # the upstream writes what it learned later into a column that is known before
        leaky = pl.when(pl.col("returned") == 1).then(pl.col("amount") + 5000).otherwise("amount")
        land(pipeline, sales(month).with_columns(leaky.alias("amount")), month)

    result = pipeline.materialize('not key:"returns/deployment"')

    assert not result.success
    leak = pipeline.checks["label_not_leaked"]
    assert not leak.passed
    assert "feature 'log_amount' alone ranks the label" in (leak.description or "")
    assert pipeline.resources["ledger"].pointer("candidate/returns") is None
    alone = pipeline.materialize('key:"returns/trained_model"', months=None)  # another run, past the check
    assert not alone.success
    assert "was refused by a blocking check: label_not_leaked" in failures(alone)


def test_records_that_came_again_under_other_keys_block_the_model(pipeline: Pipeline):
    pipeline.project.land()
    again = (
        sales(MONTH)
        .head(200)
        .with_columns(pl.col("sale_id") + 1_000_000_000, pl.col("sold_at").dt.offset_by("-2mo"))
    )
    land(pipeline, pl.concat([sales("2026-02"), again]), "2026-02")

    result = pipeline.materialize('not key:"returns/deployment"')

    assert not result.success
    assert "of the holdout rows say the same as a training row" in (
        pipeline.checks["holdout_unseen"].description or ""
    )
    assert pipeline.champion() is None
    alone = pipeline.materialize(
        'key:"returns/evaluation_report"', months=None
    )  # another run, past the check
    assert not alone.success
    assert "returns/trained_model was refused by a blocking check: holdout_unseen" in failures(alone)


FILES = 'source: {files: "landing/sales/{partition}.parquet"}'
QUERY = """source:
    sql: "SELECT * FROM sales WHERE sold_at >= :start AND sold_at < :end"
    url_env: WAREHOUSE_URL"""


@pytest.fixture(params=["sqlite", "postgresql"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database for a test alone; PostgreSQL where MLCICD_TEST_POSTGRES_URL names one."""
    if request.param == "sqlite":
        yield sa.create_engine(f"sqlite:///{tmp_path}/home/warehouse.db")
        return
    url = os.environ.get("MLCICD_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set MLCICD_TEST_POSTGRES_URL to test with one")
    schema = f"t{uuid.uuid4().hex[:12]}"
    base = sa.create_engine(url)
    with base.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    engine = sa.create_engine(base.url.update_query_dict({"options": f"-csearch_path={schema}"}))
    yield engine
    engine.dispose()
    with base.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    base.dispose()


def insert(engine: sa.Engine, frame: pl.DataFrame) -> None:
    columns = [sa.Column(name, _TYPES.get(dtype, sa.Text)) for name, dtype in frame.schema.items()]
    table = sa.Table("sales", sa.MetaData(), *columns)
    with engine.begin() as connection:
        table.create(connection, checkfirst=True)
        connection.execute(table.insert(), frame.to_dicts())


_TYPES = {
    pl.Int64: sa.BigInteger,
    pl.Float64: sa.Float,
    pl.Boolean: sa.Boolean,
    pl.Datetime("us"): sa.DateTime,
}


def from_database(pipeline: Pipeline, engine: sa.Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    pipeline.resources["warehouse"] = SqlWarehouse({"WAREHOUSE_URL": url})
    pipeline.project.edit("sales/defs.yaml", FILES, QUERY)
    if engine.dialect.name == "sqlite":  # which has neither times nor booleans of its own
        pipeline.project.edit(
            "sales/dataset.py", "sold_at: pl.Datetime", "sold_at: pl.Datetime = pa.Field(coerce=True)"
        )
        pipeline.project.edit("sales/dataset.py", "online: bool", "online: bool = pa.Field(coerce=True)")


def test_records_of_a_database_by_partition_and_corrected_ones_by_content(
    pipeline: Pipeline, warehouse: sa.Engine
):
    pipeline.project.land()
    from_database(pipeline, warehouse)
    insert(warehouse, pl.concat([sales("2026-03"), sales(MONTH)]))

    result = pipeline.materialize(DATA, months=("2026-03", MONTH))
    assert result.success, failures(result)
    lake = pipeline.resources["lake"]
    before = lake.versions("sales/validated_data")
    assert {key: version.rows for key, version in before.items()} == {"2026-03": 600, MONTH: 600}
    assert rows(pipeline, "sales/validated_data").schema == {
        **sales(MONTH).schema,
        "returned": pl.Int64,
        "refund": pl.Float64,
    }

    assert pipeline.materialize(DATA, months=("2026-03", MONTH)).success
    assert lake.versions("sales/raw_data")["2026-03"].version <= 1
    assert lake.versions("sales/validated_data") == before

    with warehouse.begin() as connection:
        connection.execute(sa.text("UPDATE sales SET amount = 1 WHERE sold_at < '2026-03-15'"))
    assert pipeline.materialize(DATA, months=("2026-03", MONTH)).success
    after = lake.versions("sales/validated_data")
    assert after["2026-03"].content != before["2026-03"].content
    assert after[MONTH] == before[MONTH]


READ = """

def read(partition, start, end):
    import polars as pl

    frame = pl.read_parquet("FOLDER/2026-04.parquet")
    return frame.lazy().filter(pl.col("sold_at").is_between(start, end, closed="left"))
"""


def test_records_of_a_python_function(pipeline: Pipeline):
    pipeline.project.land()
    code = pipeline.project.defs / "sales" / "dataset.py"
    code.write_text(code.read_text() + READ.replace("FOLDER", str(pipeline.project.home / "landing/sales")))
    pipeline.project.edit("sales/defs.yaml", FILES, "source: {python: dataset.py:read}")

    assert pipeline.materialize(DATA, months=(MONTH, MONTH)).success
    assert rows(pipeline, "sales/raw_data").height == 600

    result = pipeline.materialize(DATA, months=("2026-03", "2026-03"))
    assert not result.success
    assert "dataset.py:read returned no records for 2026-03" in failures(result)

    pipeline.project.edit("sales/dataset.py", 'pl.col("sold_at")', 'pl.col("bought_at")')
    assert "dataset.py:read raised ColumnNotFoundError for 2026-04" in failures(
        pipeline.materialize(DATA, months=(MONTH, MONTH))
    )


def test_dynamic_partitions_are_registered_as_they_land(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit("sales/defs.yaml", "partitions: monthly", "partitions: dynamic")
    pipeline.project.edit("sales/defs.yaml", 'start: "2026-01-01"', "")
    lane = load_all(pipeline.project.defs).datasets["sales"]
    landing = pipeline.resources["landing"]
    assert unregistered(pipeline.instance, lane, landing) == list(MONTHS)

    sensor = registering_sensor(lane)
    with dg.build_sensor_context(instance=pipeline.instance, resources={"landing": landing}) as context:
        made = sensor.evaluate_tick(context)
    assert [one.partition_keys for one in made.dynamic_partitions_requests] == [list(MONTHS)]

    pipeline.instance.add_dynamic_partitions("sales", list(MONTHS))
    assert unregistered(pipeline.instance, lane, landing) == []
    result = pipeline.materialize(months=(MONTHS[0], MONTHS[-1]))
    assert result.success, failures(result)
    assert sorted(pipeline.resources["lake"].versions("sales/features")) == list(MONTHS)


def test_a_dynamic_partition_that_is_not_registered_is_named(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit("sales/defs.yaml", "partitions: monthly", "partitions: dynamic")

    with pytest.raises(dg.DagsterInvalidInvocationError, match="Nonexistent partition keys"):
        pipeline.materialize(DATA, months=("2026-01", "2026-01"))


def test_a_missing_reference_table_is_named(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize('key:"sales/raw_data"').success

    result = pipeline.materialize('key:"sales/validated_data"')

    assert not result.success
    assert "stores/validated_data does not exist" in failures(result)
    assert "materialize it first" in failures(result)


def test_a_database_that_is_not_named_is_one_clear_error():
    with pytest.raises(ResourceError, match="the environment variable WAREHOUSE_URL is not set"):
        SqlWarehouse({}).query("SELECT 1", "WAREHOUSE_URL", {})
