"""What raw data is recorded to be made of, where a watermark tells."""

from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from mlcicd_assets.assets.sources import deliver
from mlcicd_assets.ml.catalogue import DataLane
from mlcicd_assets.ml.declarations import DatasetDeclaration
from resources.landing import LandingFolder
from resources.protocols import ResourceError
from resources.source_sql import SqlWarehouse

MARK = "SELECT day AS partition, MAX(changed) AS changed FROM orders GROUP BY day"


def lane(watermark: str = MARK) -> DataLane:
    source = {
        "sql": "SELECT amount FROM orders WHERE day = :partition",
        "url_env": "SHOP_URL",
        "watermark": watermark,
    }
    declared = {"name": "orders", "owner": "team:shop", "contract": "dataset.py:C", "source": source}
    declared |= {"partitions": "daily", "start": "2026-01-01"}
    return DataLane(DatasetDeclaration.model_validate(declared), Path("/nowhere"))


class Changing(SqlWarehouse):
    """Somebody writes while the records are read."""

    def query(self, sql: str, url_env: str, bounds: object) -> pl.DataFrame:
        frame = super().query(sql, url_env, bounds)  # type: ignore[arg-type]
        with sa.create_engine(self.environment[url_env]).begin() as connection:
            connection.execute(sa.text("UPDATE orders SET amount = 9, changed = changed + 1"))
        return frame


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    url = f"sqlite:///{tmp_path}/shop.db"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (day TEXT, amount INTEGER, changed INTEGER)"))
        connection.execute(sa.text("INSERT INTO orders VALUES ('2026-01-01', 1, 1)"))
    return {"SHOP_URL": url}


def test_the_mark_is_that_from_before_the_records_were_read(
    environment: dict[str, str], tmp_path: Path
) -> None:
    warehouse = Changing(environment)
    before = warehouse.marks(MARK, "SHOP_URL", max_age_s=0)["2026-01-01"]

    found = deliver(lane(), "2026-01-01", LandingFolder(tmp_path), warehouse)

    assert (found.name, found.fingerprint) == ("watermark", before)
    assert found.frame["amount"].to_list() == [1]
    # so that the change in between is seen as one since
    assert warehouse.marks(MARK, "SHOP_URL", max_age_s=0)["2026-01-01"] != before


def test_a_watermark_that_writes_keys_otherwise_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    other = MARK.replace("day AS partition", "REPLACE(day, '-', '/') AS partition")

    with pytest.raises(ResourceError, match="written as Dagster writes the keys") as told:
        deliver(lane(other), "2026-01-01", LandingFolder(tmp_path), SqlWarehouse(environment))
    assert "2026/01/01" in str(told.value)


def test_without_a_watermark_the_records_tell(environment: dict[str, str], tmp_path: Path) -> None:
    found = deliver(lane(""), "2026-01-01", LandingFolder(tmp_path), SqlWarehouse(environment))

    assert (found.name, found.fingerprint) == ("query", None)
