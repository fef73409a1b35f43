"""A key pair and a passing verdict, made once."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mlcicd_assets.release.verdict import Verdict

KeyPair = tuple[bytes, bytes]


def _pair(seed: int) -> KeyPair:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


@pytest.fixture(scope="session")
def ours() -> KeyPair:
    """Private and public PEM of the key that is trusted."""
    return _pair(1)


@pytest.fixture(scope="session")
def stranger() -> KeyPair:
    return _pair(2)


@pytest.fixture(scope="session")
def make_verdict() -> Callable[..., Verdict]:
    def make(**changes: Any) -> Verdict:
        return Verdict.model_validate(
            {
                "model": "flight_delay",
                "digest": "a" * 64,
                "gates": [
                    {"name": "roc_auc", "value": 0.71, "bound": ">= 0.65", "passed": True},
                    {
                        "name": "beats_champion",
                        "value": None,
                        "bound": ">= 0",
                        "passed": True,
                        "message": "first",
                    },
                ],
                "risk": "low",
                "data": [
                    {"table": "flights/features", "partition": "2013-01", "version": 3, "content": "b" * 64}
                ],
                "commit": "c" * 40,
                "dirty": False,
                "holdout": {"start": "2013-11-01", "end": "2013-12-01", "rows": 27268},
                "champion": {"version": 2, "digest": "d" * 64},
                "run_id": "e" * 32,
                "issued_at": "2026-01-31T12:00:00+00:00",
                **changes,
            }
        )

    return make
