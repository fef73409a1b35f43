"""Training again with the code of another commit, in a process of its own."""

import os
from pathlib import Path

import pytest

from mlcicd_assets.assets.reproduction import ReproductionError, retrained


def commit(folder: Path, command: str) -> Path:
    """The source of a commit whose `mlcicd` does as told."""
    package = folder / "source" / "mlcicd_assets" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import sys, pathlib, os\n{command}\n")
    return folder / "source"


def test_the_other_commit_s_own_code_runs(tmp_path: Path) -> None:
    source = commit(
        tmp_path,
        "into = pathlib.Path(sys.argv[-1]); into.mkdir()\n"
        "(into / 'said').write_text(' '.join([*sys.argv[1:4], os.environ['MLCICD_HOME'], os.getcwd()]))",
    )
    record = tmp_path / "training.json"

    into = retrained(
        source, "returns", record, tmp_path / "again", {**os.environ, "MLCICD_HOME": "/home/of/it"}
    )

    assert (into / "said").read_text() == f"retrain returns --record /home/of/it {source}"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sys.exit(\"No such command 'retrain'.\")", "from before versions could be trained again"),
        ("sys.exit('mlcicd: sales/features: version 3 is gone')", "version 3 is gone"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
    ],
    ids=["too old", "its own reason", "killed"],
)
def test_what_stops_it_is_told(tmp_path: Path, command: str, said: str) -> None:
    with pytest.raises(ReproductionError, match=said):
        retrained(
            commit(tmp_path, command), "returns", tmp_path / "r.json", tmp_path / "again", dict(os.environ)
        )
