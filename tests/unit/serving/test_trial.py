"""A server for evaluation refuses everything that could make it production's."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.serving.trial import NoToken, read_token
from tests.fakes.packages import build_package

TOKEN = b"t" * 43 + b"\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("candidate") / "package")


def run(package: Package, *flags: str, given: bytes = TOKEN) -> subprocess.CompletedProcess[bytes]:
    about = [f"--package={package.folder}", "--model=shop_risk", f"--digest={package.digest}", "--port=0"]
    command = [sys.executable, "-m", "mlcicd_assets.serving.runtime", *about, *flags]
    # Its input ends at once, so that a server that starts after all ends as well.
    return subprocess.run(command, input=given, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "flags",
    [
        ("--environment=evaluation", "--host=0.0.0.0"),
        ("--environment=evaluation", "--model-version=3"),
    ],
)
def test_it_is_no_version_and_listens_on_loopback_alone(package: Package, flags: tuple[str, ...]) -> None:
    done = run(package, *flags)
    assert (done.returncode, done.stderr.startswith(b"refused: a server for evaluation")) == (78, True)


@pytest.mark.parametrize("given", [b"", b"\n", b"short\n"])
def test_without_a_token_of_its_maker_it_does_not_start(package: Package, given: bytes) -> None:
    done = run(package, "--environment=evaluation", given=given)
    assert done.returncode == 78
    assert b"started by the evaluation" in done.stderr


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("version", [(), ("--model-version=1",)])
def test_no_other_environment_starts_without_a_verdict(
    package: Package, environment: str, version: tuple[str, ...]
) -> None:
    done = run(package, f"--environment={environment}", *version)
    assert done.returncode == 78
    assert b"takes a version with a verdict" in done.stderr


def test_another_digest_is_refused(package: Package) -> None:
    done = run(package, "--environment=evaluation", f"--digest={'a' * 64}")
    assert (done.returncode, b"is not the expected" in done.stderr) == (78, True)


def test_it_ends_with_its_maker(package: Package) -> None:
    done = run(package, "--environment=evaluation")  # the input ends after the token
    assert done.returncode == 0


def test_the_token_is_the_first_line() -> None:
    assert read_token(BytesIO(TOKEN + b"more")) == TOKEN.strip()
    with pytest.raises(NoToken):
        read_token(BytesIO(b"x" * 31))


def test_limits_are_counts(package: Package, tmp_path: Path) -> None:
    done = run(package, "--environment=evaluation", "--threads=0")
    assert (done.returncode, b"--threads" in done.stderr) == (2, True)
