"""`mlcicd stale` with nothing stale against `dvc repro` with nothing to do, on the same seven stages.

Run from the project's root: `python -m benchmarks.stale_vs_dvc [--times 10]`. DVC is installed by pip into a
temporary environment. Both are timed in turns, as whole commands, after one run of each to warm up; every
other declared dataset and model is looked at by `mlcicd stale` as well.
Budget: at most the time of DVC. Exits with 1 when it is missed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from datetime import UTC, datetime
from pathlib import Path

from mlcicd_assets.automation.blueprint import DATA_STAGES, DEFS, MODEL_STAGES, Blueprint, load_blueprint
from mlcicd_assets.automation.landed import landed_files
from resources import PROJECT, build_observed
from resources.protocols import Materialization

STAGES = [*DATA_STAGES, *MODEL_STAGES[:-1]]
DATASETS = ("planes", "weather", "flights")
MODEL = "flight_delay"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="of each, at most 100")
    parser.add_argument("--dvc", type=Path, help="a DVC that is installed already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as folder:
        place = Path(folder)
        dvc = args.dvc or install_dvc(place / "venv")
        ours, theirs = our_home(place / "home"), their_project(place / "project", dvc)
        return compare(ours, theirs, min(args.times, 100))


def install_dvc(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "dvc"], check=True, capture_output=True)
    return folder / "bin" / "dvc"


def our_home(home: Path) -> list[str]:
    """A home whose records say that everything that landed was made by today's code."""
    os.environ["MLCICD_HOME"] = str(home)
    land(home)
    time.sleep(2.5)  # files that are older than the clock's grain, as they are in daily life
    blueprint = load_blueprint(home / "cache" / "blueprint.json")
    observed = build_observed()
    landed = landed_files(blueprint, observed.landing, datetime.now(UTC).replace(tzinfo=None))
    for record in records(blueprint, landed):
        observed.records.write(record)
    return [str(Path(sys.executable).with_name("mlcicd")), "stale"]


def land(home: Path) -> None:
    data = DEFS / "flights" / "data"
    for source, target in [
        (data / "planes.parquet", "planes/planes.parquet"),
        (data / "weather.parquet", "weather/weather.parquet"),
        *((month, f"flights/{month.name}") for month in (data / "flights").glob("*.parquet")),
    ]:
        (home / "landing" / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, home / "landing" / target)


def records(blueprint: Blueprint, landed: dict[str, dict[str | None, str]]) -> list[Materialization]:
    made = []
    for name in DATASETS:
        shape = blueprint.datasets[name]
        for key, fingerprint in landed[name].items():
            at = "" if key is None else f"@{key}"
            inputs = {"file": fingerprint}
            for stage in shape.stages:
                made.append(record(blueprint, shape.table(stage), key, inputs))
                inputs = {f"{shape.table(stage)}{at}": "c"}
    inputs = {f"flights/features@{key}": "c" for key in landed["flights"]}
    for stage in MODEL_STAGES:
        made.append(record(blueprint, f"{MODEL}/{stage}", None, inputs))
        inputs = {f"{MODEL}/{stage}": "c"}
    return made


def record(blueprint: Blueprint, asset: str, key: str | None, inputs: dict[str, str]) -> Materialization:
    code = blueprint.codes[asset]
    moment = datetime.now(UTC).isoformat()
    return Materialization(
        asset, key, code.version, inputs, "c", moment, "run", 1.0, code.parts, code.parameters
    )


def their_project(folder: Path, dvc: Path) -> list[str]:
    """Seven stages, each of a script, a parameter, and the output of the one before; nothing to do."""
    shutil.copytree(DEFS / "flights" / "data" / "flights", folder / "landing")
    lines, before = ["stages:"], "landing"
    for stage in STAGES:
        (folder / f"{stage}.py").write_text(
            "import pathlib, sys\n"
            "source = pathlib.Path(sys.argv[1])\n"
            "files = sorted(source.iterdir()) if source.is_dir() else [source]\n"
            "pathlib.Path(sys.argv[2]).write_bytes(b''.join(file.read_bytes() for file in files))\n"
        )
        lines += [
            f"  {stage}:",
            f"    cmd: {sys.executable} {stage}.py {before} {stage}.bin",
            f"    deps: [{stage}.py, {before}]",
            f"    params: [{stage}]",
            f"    outs: [{stage}.bin]",
        ]
        before = f"{stage}.bin"
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (folder / "params.yaml").write_text("".join(f"{stage}: 1\n" for stage in STAGES))
    quiet = {"cwd": folder, "check": True, "capture_output": True}
    subprocess.run([dvc, "init", "--no-scm"], **quiet)
    subprocess.run([dvc, "config", "core.analytics", "false"], **quiet)
    subprocess.run([dvc, "repro"], **quiet)
    return [str(dvc), "--cd", str(folder), "repro"]


def compare(ours: list[str], theirs: list[str], times: int) -> int:
    told = {name: said(command) for name, command in (("mlcicd", ours), ("dvc", theirs))}
    fresh = "\n0 stale" in told["mlcicd"] or "everything is fresh" in told["mlcicd"]
    if not fresh or "up to date" not in told["dvc"]:
        raise SystemExit(f"one of them has something to do: {told}")
    took: dict[str, list[float]] = {"mlcicd": [], "dvc": []}
    for _ in range(times):
        for name, command in (("mlcicd", ours), ("dvc", theirs)):
            began = time.perf_counter()
            said(command)
            took[name].append(time.perf_counter() - began)
    pairs = [one / other for one, other in zip(took["mlcicd"], took["dvc"], strict=True)]
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    ratio = statistics.median(pairs)
    print(f"mlcicd stale {medians['mlcicd']:.2f} s, dvc repro {medians['dvc']:.2f} s (medians of {times})")
    print(f"ratio, median of pairs: {ratio:.2f} (budget 1.00)")
    return 0 if ratio <= 1 else 1


def said(command: list[str]) -> str:
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
