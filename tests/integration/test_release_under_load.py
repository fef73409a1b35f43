"""The benchmark `release_under_load`, shorter: its shares and times need more requests than a test has."""

from pathlib import Path

import pytest

from benchmarks.release_under_load import measure, promoted
from tests.fakes.sites import Site

pytestmark = pytest.mark.xdist_group("release_under_load")


def test_no_request_fails_over_canary_promotion_blue_green_drain_and_rollback(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    try:
        promoted(site.begin(1).run(patience_s=60))
        result = measure(site, per_second=120, bake_s=2, warm_s=1, command=False)
    finally:
        site.close()

    assert result.load.failures == []
    assert result.load.total >= 1_500
    assert set(result.load.answered) == {"1", "2", "3", "4"}
    assert [split.declared for split in result.splits] == [20, 50]
