"""The job `compact`: each model by itself, and a fault is told after the others were done."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from mlcicd_assets.automation.compaction import compact_job
from mlcicd_assets.ml.catalogue import Catalogue
from resources.protocols import Compacted, ResourceError
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL

NOW = datetime(2026, 4, 10, 1, 15, tzinfo=UTC)


class Archive:
    """Says what it was asked, or fails."""

    def __init__(self, problem: str = "") -> None:
        self.asked: list[tuple[str, datetime, timedelta]] = []
        self._problem = problem

    def compact_past(self, model: str, now: datetime, *, keep: timedelta) -> Sequence[Compacted]:
        self.asked.append((model, now, keep))
        if self._problem:
            raise ResourceError(self._problem)
        return [Compacted(date(2026, 4, 9), 12, 3)]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs")


def test_every_model_is_compacted_by_what_its_log_keeps(catalogue: Catalogue) -> None:
    archive = Archive()
    job = compact_job(lambda: catalogue, lambda: NOW)

    assert job.execute_in_process(resources={"prediction_archive": archive}).success
    assert archive.asked == [(MODEL, NOW, timedelta(days=30))]


def test_what_cannot_be_compacted_fails_the_run_with_its_reason(catalogue: Catalogue) -> None:
    job = compact_job(lambda: catalogue, lambda: NOW)

    with pytest.raises(dg.Failure, match=f"{MODEL}: the lake is full"):
        job.execute_in_process(resources={"prediction_archive": Archive("the lake is full")})
