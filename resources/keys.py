"""Ed25519 keys for verdicts and approvals: in a folder of the home, or from the environment."""

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from resources.approver_keys import ApproverFolder
from resources.protocols import Approver, ResourceError
from resources.redaction import know

_END = b"-----END PUBLIC KEY-----"


class FileKeys:
    """A key pair in `folder`, made on first use; or a signing key given from outside, which replaces it.

    A machine that only verifies needs no private key: its folder holds `public.pem` alone, or
    `trusted_file` names the public keys.
    """

    def __init__(
        self,
        folder: Path,
        *,
        signing_key: bytes | None = None,
        signing_key_file: Path | None = None,
        trusted_file: Path | None = None,
        approver_key: bytes | None = None,
    ) -> None:
        self._folder = folder
        self._private = folder / "signing.pem"
        self._public = folder / "public.pem"
        self._given = signing_key
        self._given_file = signing_key_file
        self._trusted_file = trusted_file
        self._approver_given = approver_key
        self.approver_folder = ApproverFolder(folder / "approvers")

    @classmethod
    def from_environment(cls, folder: Path, environment: Mapping[str, str]) -> "FileKeys":
        """`MLCICD_SIGNING_KEY` (PEM) or `MLCICD_SIGNING_KEY_FILE`; `MLCICD_TRUSTED_KEYS_FILE` adds keys."""
        given, file = environment.get("MLCICD_SIGNING_KEY"), environment.get("MLCICD_SIGNING_KEY_FILE")
        trusted = environment.get("MLCICD_TRUSTED_KEYS_FILE")
        if given and file:
            raise ResourceError("set MLCICD_SIGNING_KEY or MLCICD_SIGNING_KEY_FILE, not both")
        return cls(
            folder,
            signing_key=_from_variable(given),
            signing_key_file=Path(file) if file else None,
            trusted_file=Path(trusted) if trusted else None,
            approver_key=_from_variable(environment.get("MLCICD_APPROVER_KEY")),
        )

    def __repr__(self) -> str:
        source = "environment" if self._given else self._given_file or self._private
        return f"FileKeys({source})"

    def private_key(self) -> bytes:
        """PKCS#8 PEM; made and kept (0600 in a 0700 folder) on first use. Raises ResourceError."""
        if self._given:
            return _private_pem(_signing_key(self._given, "MLCICD_SIGNING_KEY"))
        if self._given_file:
            return _private_pem(self._from_given_file(self._given_file))
        if not _exists(self._private):
            self._create()
        return _private_pem(self._from_folder())

    def trusted_keys(self) -> Sequence[bytes]:
        """Our public key and those of the trusted file, PEM, without repetition; never makes a key.

        Raises ResourceError when there is none at all: then no signature could count.
        """
        keys = [*self._own_public(), *self._extra_public()]
        if not keys:
            raise ResourceError(
                f"there is no key to trust in {self._folder}: sign something first, copy public.pem there, "
                "or set MLCICD_TRUSTED_KEYS_FILE"
            )
        return list(dict.fromkeys(keys))

    def approvers(self) -> Sequence[Approver]:
        """The people whose own signatures count, by name; raises ResourceError for a damaged record."""
        return self.approver_folder.approvers()

    def approver_key(self, name: str) -> bytes | None:
        """`MLCICD_APPROVER_KEY`, else the person's key in `approvers/`; None where neither is here."""
        if self._approver_given:
            return _private_pem(_signing_key(self._approver_given, "MLCICD_APPROVER_KEY"))
        return self.approver_folder.private_key(name)

    def _own_public(self) -> list[bytes]:
        if self._given:
            return [_public_pem(_signing_key(self._given, "MLCICD_SIGNING_KEY").public_key())]
        if self._given_file:
            return [_public_pem(self._from_given_file(self._given_file).public_key())]
        if _exists(self._private):
            return [_public_pem(self._from_folder().public_key())]
        if _exists(self._public):
            _refuse(self._folder, stat.S_IWGRP | stat.S_IWOTH, "chmod go-w")
            return _public_keys(self._public)
        return []

    def _extra_public(self) -> list[bytes]:
        return _public_keys(self._trusted_file) if self._trusted_file else []

    def _from_folder(self) -> Ed25519PrivateKey:
        _refuse(self._folder, stat.S_IRWXG | stat.S_IRWXO, "chmod 700")
        _refuse(self._private, stat.S_IRWXG | stat.S_IRWXO, "chmod 600")
        return _signing_key(_read(self._private), str(self._private))

    def _from_given_file(self, file: Path) -> Ed25519PrivateKey:
        # A mounted secret is commonly readable by the pod's group (fsGroup), so the group may read.
        _refuse(file, stat.S_IWGRP | stat.S_IRWXO, "chmod 640")
        return _signing_key(_read(file), str(file))

    def _create(self) -> None:
        """Several processes may come here at once: link() lets exactly one key win, whole or not at all."""
        key = Ed25519PrivateKey.generate()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._place(self._private, _private_pem(key), 0o600)
            self._place(self._public, _public_pem(self._from_folder().public_key()), 0o644)
        except OSError as error:
            raise ResourceError(
                f"no signing key could be made in {self._folder} ({error.strerror or error}): "
                "make the folder writable, or set MLCICD_SIGNING_KEY_FILE"
            ) from error

    def _place(self, target: Path, content: bytes, mode: int) -> None:
        # mkstemp makes the file 0600 from its first byte on.
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            if not target.exists():
                target.hardlink_to(temporary)
        except FileExistsError:
            return  # another process was first, and its key is as good
        finally:
            temporary.unlink(missing_ok=True)


def _from_variable(text: str | None) -> bytes | None:
    """Where a variable cannot hold line breaks they are often written as backslash and n."""
    return text.replace("\\n", "\n").encode() if text else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _refuse(path: Path, forbidden: int, remedy: str) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if mode & forbidden:
        raise ResourceError(f"{path} is open to others (mode {mode:03o}). Run: {remedy} {path}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _signing_key(pem: bytes, place: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    # Outside the except block, so that no cause can quote the key.
    raise ResourceError(
        f"{place} is no unencrypted Ed25519 private key in PEM. "
        "One is made by: openssl genpkey -algorithm ed25519"
    )


def _public_keys(path: Path) -> list[bytes]:
    """Every key of a PEM file, one after the other."""
    _refuse(path, stat.S_IWGRP | stat.S_IWOTH, "chmod go-w")
    *blocks, rest = _read(path).split(_END)
    if not blocks or rest.strip():
        raise ResourceError(f"{path} holds no public keys in PEM, or ends within one")
    return [_public_pem(_verifying_key(block + _END, path)) for block in blocks]


def _verifying_key(block: bytes, path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(block)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ResourceError(f"{path} holds a key that is no Ed25519 public key in PEM")


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    know(pem.decode())
    return pem


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
