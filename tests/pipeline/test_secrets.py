"""Everything fails with secrets in its mouth; then every byte below the home is searched for them."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# One worker: everything is let fail once.
pytestmark = pytest.mark.xdist_group("secrets")

ROOT = Path(__file__).parents[2]
_ALERTS = """
channels:
  chat: {kind: slack, url: "env:RISK_WEBHOOK_URL"}
  mail: {kind: smtp, host: 127.0.0.1, port: 1, sender: a@example.org, to: [b@example.org],
         user: "env:SMTP_USER", password: "file:SMTP_FILE"}
routes: [{to: [chat, mail]}]
"""


@pytest.fixture(scope="module")
def key() -> str:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def canaries(key: str) -> dict[str, str]:
    """By what they are: what must be found nowhere."""
    return {
        "database": "dB/canary+81=37",
        "mlflow": "canary-mlflow-9a7e01",
        "webhook": "canaryWebhook5d2",
        "smtp": 'smtp"canary\\77x',
        "git": "ghp_canaryCANARYcanaryCANARY0123456789",
        "approver": key.splitlines()[1],
    }


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, canaries: dict[str, str], key: str
) -> tuple[Path, bytes]:
    """The home after everything has failed, and all that was printed meanwhile."""
    folder = tmp_path_factory.mktemp("secrets")
    home = folder / "home"
    (home / "dagster").mkdir(parents=True)
    (folder / "smtp").write_text(canaries["smtp"])
    (home / "alerts.yaml").write_text(_ALERTS.replace("SMTP_FILE", str(folder / "smtp")))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLCICD", "MLFLOW"))},
        "MLCICD_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "WAREHOUSE_URL": f"postgresql+psycopg2://loader:{quote(canaries['database'], safe='')}@127.0.0.1:1/w",
        "MLFLOW_TRACKING_TOKEN": canaries["mlflow"],
        "RISK_WEBHOOK_URL": f"http://127.0.0.1:1/services/{canaries['webhook']}",
        "SMTP_USER": "mailer",
        "SMTP_FILE": str(folder / "smtp"),
        "GIT_TOKEN": canaries["git"],
        "MLCICD_GIT_URL": f"http://bot:{canaries['git']}@127.0.0.1:1/repository.git",
        "MLCICD_APPROVER_KEY": key,
        "PYTHONPATH": str(ROOT),
    }
    said = b""
    leaky = str(ROOT / "tests" / "fakes" / "leaky.py")
    for command in (
        ["-m", "dagster", "asset", "materialize", "-f", leaky, "--select", "*"],
        ["-m", "mlcicd_assets.cli", "alerts", "check"],
        ["-m", "mlcicd_assets.cli", "alerts", "--all", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=False,
        )
        said += done.stdout + done.stderr
    return home, said


def forms(secret: str) -> Iterator[bytes]:
    for text in {secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1]}:
        yield text.encode()
    for shift in range(3):  # wherever in a longer text it was encoded
        encoded = base64.b64encode(b" " * shift + secret.encode())
        yield encoded[4:-4] if shift else encoded[:-4]


def test_no_store_and_no_output_holds_a_secret(
    searched: tuple[Path, bytes], canaries: dict[str, str]
) -> None:
    home, said = searched
    stores = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    stores[Path("standard output")] = said

    found = {
        (what, str(place.relative_to(home) if place.is_absolute() else place))
        for what, secret in canaries.items()
        for form in forms(secret)
        for place, content in stores.items()
        if form in content
    }

    assert found == set()


@pytest.mark.parametrize(
    ("store", "word"),
    [
        ("dagster/**/*.db", b"gave up on"),
        ("dagster/**/*.out", b"Bearer ***"),
        ("mlflow/mlflow.db", b"theirs"),
        ("mlflow/artifacts/**/theirs.json", b"said"),
        ("reports/leaky/page.html", b"<p>"),
        ("ledger.db", b"noted"),
        ("records.db", b"leaky/raw"),
        ("requests.db", b"model:leaky"),
        ("alerts.db", b"webhook does not answer"),
    ],
)
def test_the_stores_were_written_to(searched: tuple[Path, bytes], store: str, word: bytes) -> None:
    """A search that finds nothing proves nothing where nothing was written."""
    home, _ = searched
    contents = [path.read_bytes() for path in home.glob(store)] + [
        path.read_bytes() for path in home.glob(f"{store}-wal")
    ]

    assert any(word in content for content in contents)
    assert any(b"***" in content for content in contents) or store == "mlflow/mlflow.db"
