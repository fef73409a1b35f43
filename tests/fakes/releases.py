"""Signed releases of tiny real packages, for whoever proves, launches or serves one."""

from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.release.approval import Approval, seal_approval
from mlcicd_assets.release.verdict import Verdict, seal
from resources.protocols import Environment, Release
from tests.fakes.packages import build_package

MODEL = "shop_risk"


def key_pair(seed: int = 1) -> tuple[bytes, bytes]:
    """Private and public PEM; another seed gives a stranger's."""
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


PRIVATE, PUBLIC = key_pair()


def verdict(digest: str, **changes: Any) -> Verdict:
    """A passing verdict for an artifact."""
    gate = {"name": "roc_auc", "value": 0.71, "bound": ">= 0.65", "passed": True}
    holdout = {"start": "2026-01-01", "end": "2026-01-03", "rows": 400}
    return Verdict.model_validate(
        {
            "model": MODEL,
            "digest": digest,
            "gates": [gate],
            "risk": "low",
            "data": [],
            "commit": "c" * 40,
            "dirty": False,
            "holdout": holdout,
            "champion": None,
            "run_id": "e" * 32,
            "issued_at": "2026-01-31T12:00:00+00:00",
            **changes,
        }
    )


def approval(digest: str, version: int, **changes: Any) -> bytes:
    """A signed approval that holds for a century."""
    decision = {"decision": "approve", "by": "ada@example.org", "reason": "looked at it"}
    moments = {"at": "2026-01-31T12:00:00+00:00", "expires": "2126-01-31T12:00:00+00:00"}
    about = {"model": MODEL, "version": version, "digest": digest}
    return seal_approval(Approval.model_validate({**about, **decision, **moments, **changes}), PRIVATE)


def make_release(
    folder: Path,
    *,
    version: int = 1,
    seed: int | None = None,
    environment: Environment = "production",
    private_key: bytes = PRIVATE,
    kind: Literal["logistic", "boosting"] = "logistic",
    **changes: Any,
) -> Release:
    """Build, sign and lay out one version; `changes` go into its verdict."""
    package = build_package(folder / "package", kind=kind, seed=version if seed is None else seed)
    return sign_release(
        folder, package, version=version, environment=environment, private_key=private_key, **changes
    )


def sign_release(
    folder: Path,
    package: Package,
    *,
    version: int = 1,
    environment: Environment = "production",
    private_key: bytes = PRIVATE,
    **changes: Any,
) -> Release:
    """Sign any package; the verdict is laid into `folder`."""
    about = {"model": package.signature.model, **changes}
    (folder / "verdict.json").write_bytes(seal(verdict(package.digest, **about), private_key))
    return Release(
        model=package.signature.model,
        version=version,
        digest=package.digest,
        package=package.folder,
        verdict=folder / "verdict.json",
        environment=environment,
    )
