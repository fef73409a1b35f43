"""What the model server refuses before it loads anything."""

import json
import os
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlcicd_assets.release.approval import open_approval, seal_approval
from mlcicd_assets.release.override import Override, seal_override
from mlcicd_assets.serving import runtime
from mlcicd_assets.serving.runtime import RefusedToServe
from resources.protocols import Release
from tests.fakes.releases import PRIVATE, PUBLIC, approval, key_pair, make_release

Arguments = Callable[..., Namespace]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("low"), version=3)


@pytest.fixture(scope="module")
def risky(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("high"), version=3, risk="high")


def arguments(release: Release, folder: Path, *, keys: bytes = PUBLIC, **changes: Any) -> Namespace:
    (folder / "keys.pem").write_bytes(keys)
    given = {
        "package": release.package,
        "verdict": release.verdict,
        "approval": release.approval,
        "override": release.override,
        "approvers": None,
        "trusted_keys": folder / "keys.pem",
        "model": release.model,
        "model_version": release.version,
        "digest": release.digest,
        "environment": release.environment,
        "launched_at": None,
    }
    return Namespace(**{**given, **changes})


def test_a_proven_package_is_loaded_and_answers(release: Release, tmp_path: Path) -> None:
    package = runtime.prove(arguments(release, tmp_path))
    service = runtime.load(package, release.model, release.version)
    assert package.digest == release.digest
    assert (service.model, service.version) == ("shop_risk", 3)


def test_one_of_many_trusted_keys_is_enough(release: Release, tmp_path: Path) -> None:
    keys = key_pair(7)[1] + b"\n" + PUBLIC
    assert runtime.prove(arguments(release, tmp_path, keys=keys)).digest == release.digest


def test_an_untrusted_signature_is_refused(release: Release, tmp_path: Path) -> None:
    with pytest.raises(RefusedToServe, match="trusted"):
        runtime.prove(arguments(release, tmp_path, keys=key_pair(7)[1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "a" * 64}, "is not the expected"),
        ({"model": "another"}, "the verdict is about the model 'shop_risk'"),
        ({"verdict": Path("/nowhere/verdict.json")}, "cannot read /nowhere/verdict.json"),
        ({"package": Path("/nowhere/package")}, "there is no package folder"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    release: Release, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedToServe, match=words):
        runtime.prove(arguments(release, tmp_path, **change))


def test_the_verdict_of_another_artifact_is_refused(release: Release, tmp_path: Path) -> None:
    other = make_release(tmp_path / "other", version=4)
    with pytest.raises(RefusedToServe, match="another artifact"):
        runtime.prove(arguments(replace(release, verdict=other.verdict), tmp_path))


def test_a_failed_gate_is_refused(tmp_path: Path) -> None:
    gate = {"name": "roc_auc", "value": 0.5, "bound": ">= 0.65", "passed": False}
    with pytest.raises(RefusedToServe, match=r"gate 'roc_auc' failed: value 0.5, bound >= 0.65"):
        runtime.prove(arguments(make_release(tmp_path, gates=[gate]), tmp_path))


@pytest.mark.parametrize("file", ["model.onnx", "features.py", "manifest.json", "signature.json"])
def test_a_flipped_byte_is_refused(tmp_path: Path, file: str) -> None:
    release = make_release(tmp_path)
    changed = bytearray((release.package / file).read_bytes())
    changed[len(changed) // 2] ^= 1
    (release.package / file).write_bytes(changed)
    with pytest.raises(RefusedToServe):
        runtime.prove(arguments(release, tmp_path))


def test_high_risk_needs_an_approval_in_production_only(risky: Release, tmp_path: Path) -> None:
    with pytest.raises(RefusedToServe, match="nobody has approved it"):
        runtime.prove(arguments(risky, tmp_path))
    assert runtime.prove(arguments(risky, tmp_path, environment="staging"))


def test_an_approval_of_this_version_opens_production(risky: Release, tmp_path: Path) -> None:
    (tmp_path / "approval.json").write_bytes(approval(risky.digest, 3))
    assert runtime.prove(arguments(risky, tmp_path, approval=tmp_path / "approval.json"))


def test_an_approval_of_another_version_does_not(risky: Release, tmp_path: Path) -> None:
    (tmp_path / "approval.json").write_bytes(approval(risky.digest, 2))
    with pytest.raises(RefusedToServe, match="approval is for shop_risk version 2"):
        runtime.prove(arguments(risky, tmp_path, approval=tmp_path / "approval.json"))


def test_an_approval_counts_at_the_launch_not_at_each_restart(risky: Release, tmp_path: Path) -> None:
    expired = approval(risky.digest, 3, expires="2026-02-01T12:00:00+00:00")
    (tmp_path / "approval.json").write_bytes(expired)
    given = arguments(risky, tmp_path, approval=tmp_path / "approval.json")
    with pytest.raises(RefusedToServe, match="expired"):
        runtime.prove(given)
    assert runtime.prove(Namespace(**{**vars(given), "launched_at": datetime(2026, 1, 31, 13, tzinfo=UTC)}))


def test_the_server_honours_an_override_of_what_it_names(tmp_path: Path) -> None:
    gate = {"name": "roc_auc", "value": 0.5, "bound": ">= 0.65", "passed": False}
    failed = make_release(tmp_path, version=3, gates=[gate])
    file = tmp_path / "override.json"
    at = datetime(2026, 1, 31, 13, tzinfo=UTC)

    def waived(key: bytes = PRIVATE, **changes: Any) -> Namespace:
        about = {"model": failed.model, "digest": failed.digest, "gates": ["roc_auc"], "by": "ada"}
        moments = {"at": "2026-01-31T12:00:00+00:00", "expires": "2026-01-31T16:00:00+00:00"}
        made = Override.model_validate({**about, "reason": "down", **moments, **changes})
        file.write_bytes(seal_override(made, key))
        return arguments(failed, tmp_path, override=file, launched_at=at)

    assert runtime.prove(waived()).digest == failed.digest
    for refused in (
        waived(key_pair(7)[0]),
        waived(gates=["brier"]),
        waived(digest="b" * 64),
        waived(model="other"),
        waived(expires="2026-01-31T12:30:00+00:00"),
    ):
        with pytest.raises(RefusedToServe):
            runtime.prove(refused)
    waived()
    (failed.package / "features.py").write_text("# changed")
    with pytest.raises(RefusedToServe):
        runtime.prove(arguments(failed, tmp_path, override=file, launched_at=at))


def test_the_server_asks_for_the_persons_own_key_where_approvers_are_declared(tmp_path: Path) -> None:
    policy = {"required": True, "approvers": ["ada@example.org"]}
    release = make_release(tmp_path, version=3, approval=policy)
    private, public = key_pair(11)
    people = tmp_path / "approvers.json"
    people.write_text(json.dumps([{"name": "ada@example.org", "key": public.decode(), "teams": []}]))
    (tmp_path / "pipeline.json").write_bytes(approval(release.digest, 3))
    own = open_approval(approval(release.digest, 3), [PUBLIC])
    (tmp_path / "own.json").write_bytes(seal_approval(own, private))

    def given(name: str, approvers: Path | None) -> Namespace:
        return arguments(release, tmp_path, approval=tmp_path / name, approvers=approvers)

    assert runtime.prove(given("own.json", people)).digest == release.digest
    for name, known in (("pipeline.json", people), ("own.json", None)):
        with pytest.raises(RefusedToServe):
            runtime.prove(given(name, known))
    people.write_text("[{]")
    with pytest.raises(RefusedToServe, match="file of approvers"):
        runtime.prove(given("own.json", people))


def run(release: Release, folder: Path, port: int, *more: str) -> subprocess.CompletedProcess[str]:
    given = vars(arguments(release, folder))
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
    command = [sys.executable, "-m", "mlcicd_assets.serving.runtime", *flags, f"--port={port}", *more]
    root = str(Path(runtime.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_a_refusal_is_one_plain_line_and_exit_code_78(release: Release, tmp_path: Path, port: int) -> None:
    done = run(replace(release, digest="a" * 64), tmp_path, port)
    assert done.returncode == 78
    assert done.stderr.startswith("refused: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_full_port_is_one_plain_line(release: Release, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(release, tmp_path, taken.getsockname()[1])
    assert done.returncode == 75
    assert done.stderr.startswith("failed: cannot listen on 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_the_heavy_libraries_stay_out_of_the_server() -> None:
    names = ("runtime", "application", "kserve_routes")
    modules = ", ".join(f"mlcicd_assets.serving.{name}" for name in names)
    script = (
        f"import sys, kserve.protocol.rest.server, {modules}\n"
        "heavy = ('sklearn', 'mlflow', 'dagster', 'pandera', 'torch', 'skops')\n"
        "print(*[module for module in heavy if module in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(runtime.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == ""
