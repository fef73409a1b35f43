"""The keys of people who approve: who is trusted, one JSON file each, and the private keys kept here.

    keys/approvers/<hash>.json   name, teams and public key: this person's signature counts
    keys/approvers/<hash>.pem    the private key, where it was made on this machine (0600)

The private half belongs on its owner's machine; whoever can read it here can sign as that person.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from resources.protocols import Approver, ResourceError
from resources.redaction import know


class ApproverFolder:
    """One folder of approvers; made with its first key, closed to others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def approvers(self) -> Sequence[Approver]:
        """Everybody who is trusted, by name; raises ResourceError for a record that cannot be read."""
        if not self.folder.is_dir():
            return []
        _refuse_open(self.folder)
        return sorted((_read(file) for file in self.folder.glob("*.json")), key=lambda one: one.name)

    def private_key(self, name: str) -> bytes | None:
        """A person's private key, PEM, where it was made here; ResourceError when others may read it."""
        file = self._file(name, ".pem")
        if not file.is_file():
            return None
        if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ResourceError(f"{file} is open to others. Run: chmod 600 {file}")
        return know(file.read_text()).encode()

    def new(self, name: str, teams: Sequence[str] = ()) -> Approver:
        """Make a key pair for a person and trust it; refuses (ResourceError) a name that has one."""
        if self._file(name, ".json").exists():
            raise ResourceError(f"{name} has a key already: delete {self._file(name, '.json')} to revoke it")
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._write(self._file(name, ".pem"), private, 0o600)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return self.trust(name, public, teams)

    def trust(self, name: str, public_key: bytes, teams: Sequence[str] = ()) -> Approver:
        """Trust a public key that a person made elsewhere; the same again changes nothing."""
        approver = Approver(name.strip(), _public(public_key, f"the key of {name}"), tuple(teams))
        if not approver.name:
            raise ResourceError("an approver has a name")
        for other in self.approvers():
            if _spelt(other.name) != _spelt(name) and other.key == approver.key:
                raise ResourceError(f"that is the key of {other.name}: everybody has a key of their own")
        text = {"name": approver.name, "teams": list(approver.teams), "key": approver.key.decode()}
        file = self._file(name, ".json")
        if file.exists() and _read(file).key != approver.key:
            raise ResourceError(f"{name} has another key: delete {file} to revoke it first")
        self._write(file, json.dumps(text, indent=1).encode(), 0o644)
        return approver

    def _file(self, name: str, suffix: str) -> Path:
        # A name may hold whatever a path must not.
        return self.folder / f"{hashlib.sha256(_spelt(name).encode()).hexdigest()[:16]}{suffix}"

    def _write(self, target: Path, content: bytes, mode: int) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).chmod(mode)
            Path(name).replace(target)
        except OSError as error:
            raise ResourceError(
                f"no key could be kept in {self.folder} ({error.strerror or error}): make it writable"
            ) from error


def _spelt(name: str) -> str:
    return " ".join(name.casefold().split())


def _read(file: Path) -> Approver:
    try:
        found = json.loads(file.read_bytes())
        return Approver(
            str(found["name"]), _public(str(found["key"]).encode(), str(file)), tuple(found["teams"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResourceError(f"{file} is no approver's record ({type(error).__name__}): delete it") from error


def _public(pem: bytes, what: str) -> bytes:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raise ResourceError(f"{what} is no Ed25519 public key in PEM")


def _refuse_open(folder: Path) -> None:
    if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise ResourceError(f"{folder} can be written by others. Run: chmod go-w {folder}")
