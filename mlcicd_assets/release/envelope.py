"""Signed statements: an in-toto Statement v1 in a DSSE envelope, signed with Ed25519.

Both proofs of a release, the verdict and the approval, are sealed and opened here, by nothing else.
DSSE: https://github.com/secure-systems-lab/dsse; in-toto: https://github.com/in-toto/attestation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from google.protobuf import json_format  # type: ignore[import-untyped]
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey  # type: ignore[attr-defined]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
# A verdict is a few kilobytes; the limit keeps a hostile file from costing the model server memory.
MAX_BYTES = 1 << 20


class Refused(Exception):
    """A proof does not hold; the message says in plain words what is wrong and what to do."""


@dataclass(frozen=True)
class Sealed:
    """What a signed statement says: its subject and its predicate."""

    model: str
    digest: str
    predicate: dict[str, Any]


def canonical(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces; raises ValueError on NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def seal_statement(
    predicate_type: str, model: str, digest: str, predicate: Mapping[str, Any], private_key_pem: bytes
) -> bytes:
    """Sign the predicate about the model's artifact; returns the envelope as canonical JSON.

    Raises ValueError when the key is no unencrypted Ed25519 private key in PEM (never showing it).
    """
    subject = ResourceDescriptor(name=model, digest={"sha256": digest})
    statement = Statement([subject.pb], predicate_type, dict(predicate))
    statement.validate()
    payload = canonical(json_format.MessageToDict(statement.pb))
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(_private_key(private_key_pem)))
    return canonical(envelope.to_dict())


def open_statement(envelope: bytes | None, trusted_keys: Sequence[bytes], predicate_type: str) -> Sealed:
    """Prove the signature, then read the statement; raises Refused."""
    sealed = _parse(envelope)
    if sealed.payload_type != PAYLOAD_TYPE:
        raise Refused(f"the envelope holds {sealed.payload_type!r}, not an in-toto statement")
    _prove(sealed, [public_key(pem) for pem in trusted_keys])
    # Only now, with the signature proven, is the payload read.
    return _statement(sealed.payload, predicate_type)


def public_key(pem: bytes) -> SSlibKey:
    """Read a trusted Ed25519 public key in PEM; raises Refused."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused("a trusted key is no Ed25519 public key in PEM: check the trusted keys file")
    return SSlibKey.from_crypto(key)


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    # Raised outside the except block: the cause might quote what was read.
    raise ValueError("the signing key is no unencrypted Ed25519 private key in PEM")


def _parse(envelope: bytes | None) -> Envelope:
    if not envelope:
        raise Refused("there is no signed envelope")
    if len(envelope) > MAX_BYTES:
        raise Refused(f"the envelope is larger than {MAX_BYTES} bytes")
    try:
        parsed = Envelope.from_dict(json.loads(envelope))
        exact = canonical(parsed.to_dict()) == envelope
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(f"the envelope cannot be read ({type(error).__name__}): it was damaged") from error
    if not exact:
        # Base64 and JSON have many spellings of one value, and the signature covers the value alone.
        raise Refused("the envelope's bytes are not as they were written: it was changed")
    return parsed


def _prove(envelope: Envelope, keys: Sequence[Key]) -> None:
    if not keys:
        raise Refused("no key is trusted, so no signature counts: set the trusted keys")
    if not envelope.signatures:
        raise Refused("the envelope carries no signature")
    if not {key.keyid for key in keys} & set(envelope.signatures):
        signers = ", ".join(keyid[:12] for keyid in envelope.signatures)
        raise Refused(f"the envelope is signed by a key that is not trusted ({signers}…)")
    try:
        envelope.verify(list(keys), threshold=1)
    except VerificationError as error:
        raise Refused("the signature does not match the envelope's content: it was changed") from error


def _statement(payload: bytes, predicate_type: str) -> Sealed:
    try:
        message = json_format.ParseDict(json.loads(payload), StatementMessage())
        statement = Statement.copy_from_pb(message).pb
        Statement.copy_from_pb(message).validate()
    except (ValueError, TypeError, RecursionError, json_format.ParseError) as error:
        raise Refused(f"the signed payload is no in-toto statement: {error}") from error
    if statement.predicate_type != predicate_type:
        raise Refused(f"the statement is a {statement.predicate_type!r}, expected {predicate_type!r}")
    if len(statement.subject) != 1 or set(statement.subject[0].digest) != {"sha256"}:
        raise Refused("the statement must have exactly one subject with exactly one SHA-256 digest")
    subject = statement.subject[0]
    return Sealed(subject.name, subject.digest["sha256"], json_format.MessageToDict(statement.predicate))
