"""Deliveries as GitHub, GitLab and others sign them."""

import base64
import hashlib
import hmac

from mlcicd_assets.automation.hooks.signatures import standard_key

NOW = 1_800_000_000.0
OLD, NEW = "an old secret of a hook", "a new secret of a hook!"
STANDARD = "whsec_" + base64.b64encode(b"k" * 32).decode()


def github(body: bytes, secret: str = NEW) -> dict[str, str]:
    """Headers of a push."""
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={mac}", "x-github-delivery": "d-1", "x-github-event": "push"}


def standard(body: bytes, secret: str = STANDARD, at: float = NOW, key: str = "msg_1") -> dict[str, str]:
    """Headers of a Standard Webhook."""
    signed = f"{key}.{int(at)}.".encode() + body
    mac = base64.b64encode(hmac.new(standard_key(secret), signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": key, "webhook-timestamp": str(int(at)), "webhook-signature": f"v1,{mac}"}
