import subprocess
import sys
from pathlib import Path

HEAVY = "dagster mlflow sqlalchemy polars pandas numpy sklearn resources"
PROGRAM = f"""
import sys
import mlcicd_assets.release.approval
print(sorted(set(sys.modules) & set({HEAVY.split()!r})))
"""


def test_the_model_server_can_verify_without_heavy_libraries() -> None:
    project = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=project, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
