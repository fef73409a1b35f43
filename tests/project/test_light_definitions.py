"""Loading definitions must stay cheap: every run, sensor tick and command pays for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = [
    "evidently",
    "torch",
    "sklearn",
    "mlflow",
    "skops",
    "onnxruntime",
    "skl2onnx",
    "matplotlib",
    "pandera",
    "kserve",
]


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_definitions_load_without_heavy_libraries():
    loaded = loaded_by("import definitions; definitions.defs()")
    assert "dagster" in loaded
    assert sorted(loaded & set(HEAVY)) == []


def test_command_line_loads_without_dagster():
    loaded = loaded_by("import mlcicd_assets.cli")
    assert sorted(loaded & {*HEAVY, "dagster"}) == []


def test_model_server_code_loads_without_training_libraries():
    loaded = loaded_by("import mlcicd_assets.ml.artifact.scoring, mlcicd_assets.release.verdict")
    assert sorted(loaded & {"sklearn", "mlflow", "pandera", "dagster", "skops"}) == []
