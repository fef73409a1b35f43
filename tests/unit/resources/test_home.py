import stat
from pathlib import Path

import pytest

from resources.home import Home
from resources.protocols import ResourceError


def test_the_default_home_is_in_the_project(tmp_path: Path) -> None:
    assert Home.from_environment({}, tmp_path).path == tmp_path / ".mlcicd"
    assert Home.from_environment({"MLCICD_HOME": ""}, tmp_path).path == tmp_path / ".mlcicd"


def test_a_relative_home_counts_from_the_project_an_absolute_one_stands(tmp_path: Path) -> None:
    assert Home.from_environment({"MLCICD_HOME": "here"}, tmp_path).path == tmp_path / "here"
    assert Home.from_environment({"MLCICD_HOME": "/srv/ml"}, tmp_path).path == Path("/srv/ml")


def test_nothing_is_made_before_prepare_and_prepare_may_be_repeated(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert not home.path.exists()

    home.prepare().prepare()

    folders = {path.name for path in home.path.iterdir()}
    assert folders == {"dagster", "lake", "mlflow", "serving", "landing", "reports", "keys", "artifacts"}
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700


def test_every_folder_is_under_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    named = [home.dagster, home.lake, home.mlflow, home.serving, home.landing, home.reports, home.keys]

    assert {path.parent for path in [*named, home.artifacts, home.ledger]} == {tmp_path}


@pytest.mark.parametrize("unwritable", ["/proc/mlcicd", "/dev/null/home"])
def test_a_home_that_cannot_be_written_names_path_and_remedy(unwritable: str) -> None:
    with pytest.raises(ResourceError, match=f"{unwritable} cannot be written.*MLCICD_HOME"):
        Home(Path(unwritable)).prepare()
