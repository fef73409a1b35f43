"""Proving that a delivery was sent by who knows the secret: GitHub, GitLab, and Standard Webhooks.

- GitHub: `X-Hub-Signature-256: sha256=HEX`, the HMAC-SHA256 of the body. Nothing else is signed, so a replay
  is told by the body as well as by `X-GitHub-Delivery`.
- Standard Webhooks (GitLab's signing token, and others): `webhook-signature: v1,BASE64` over
  `ID.TIMESTAMP.BODY`; the secret is `whsec_BASE64`. https://www.standardwebhooks.com
- GitLab's older `X-Gitlab-Token`: the secret itself.

Two secrets may hold at once, so that one can be replaced. Every comparison takes constant time.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOLERANCE_S = 300  # between the sender's clock and ours
_PREFIX = "whsec_"
_LONGEST_KEY = 200


class Unproven(ValueError):
    """Nothing shows that the sender knows the secret."""


@dataclass(frozen=True)
class Proof:
    """Who sent a delivery, and what tells that it came before."""

    sender: str
    keys: tuple[str, ...]


def prove(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> Proof:
    """By the strongest scheme whose header is there; a weaker one does not make up for it.

    `headers` by lower-case name, `now` in seconds since 1970. Raises Unproven.
    """
    if "webhook-signature" in headers:
        return _standard(headers, body, secrets, now)
    if "x-hub-signature-256" in headers:
        return _github(headers, body, secrets)
    if "x-gitlab-token" in headers:
        return _gitlab(headers, body, secrets)
    raise Unproven("it is not signed")


def _standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> Proof:
    key, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not key or len(key) > _LONGEST_KEY or not (moment.isascii() and moment.isdigit() and len(moment) < 12):
        raise Unproven("webhook-id or webhook-timestamp is missing or malformed")
    signed = f"{key}.{moment}.".encode() + body
    made = [hmac.new(standard_key(secret), signed, hashlib.sha256).digest() for secret in secrets]
    given = [one[3:] for one in headers["webhook-signature"].split() if one.startswith("v1,")][:4]
    pairs = [(base64.b64encode(one), text.encode()) for one in made for text in given]
    if not _any_equal(pairs):
        raise Unproven("the signature is not right")
    if abs(now - int(moment)) > TOLERANCE_S:
        raise Unproven(f"it was signed more than {TOLERANCE_S} s away from this machine's clock")
    return Proof("gitlab" if "x-gitlab-event" in headers else "standard-webhooks", (key,))


def standard_key(secret: str) -> bytes:
    """The key of a Standard Webhooks secret; one without its prefix counts as it is."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def _github(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Proof:
    made = [b"sha256=" + hmac.new(one.encode(), body, hashlib.sha256).hexdigest().encode() for one in secrets]
    given = headers["x-hub-signature-256"].encode()
    if not _any_equal([(one, given) for one in made]):
        raise Unproven("the signature is not right")
    return Proof("github", _unsigned_keys(headers.get("x-github-delivery", ""), body))


def _gitlab(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Proof:
    given = headers["x-gitlab-token"].encode()
    if not _any_equal([(one.encode(), given) for one in secrets]):
        raise Unproven("the token is not right")
    key = headers.get("idempotency-key") or headers.get("x-gitlab-event-uuid", "")
    return Proof("gitlab", _unsigned_keys(key, body))


def _unsigned_keys(key: str, body: bytes) -> tuple[str, ...]:
    """The sender's id may have been exchanged; the body may not."""
    content = f"body {hashlib.sha256(body).hexdigest()}"
    return (key[:_LONGEST_KEY], content) if key else (content,)


def _any_equal(pairs: Sequence[tuple[bytes, bytes]]) -> bool:
    """All are compared, whichever fits."""
    found = False
    for one, other in pairs:
        found |= hmac.compare_digest(one, other)
    return found
