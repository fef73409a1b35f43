"""The key by which personal values are hashed: made on first use, readable by its owner alone.

The same key for every model and version, so that equal values can be joined; whoever does not have it cannot
find out a value by trying. Removing it makes all that was hashed with it unlinkable to what comes after.
"""

import os
import secrets
from pathlib import Path

from resources.protocols import ResourceError


def pseudonym_key(folder: Path) -> bytes:
    """The 256-bit key in `folder`, as hexadecimal text; raises ResourceError.

    Several processes may make it at once: link() lets exactly one win, whole or not at all.
    """
    path = folder / "pseudonyms.key"
    try:
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise ResourceError(f"{path}: others may read it; run: chmod 600 {path}")
        key = path.read_bytes().strip()
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if len(key) < 64:
        raise ResourceError(f"{path}: is no key of 64 hexadecimal digits; restore it from a copy")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, path)
    except FileExistsError:
        return  # another process was first, and its key counts
    finally:
        scratch.unlink()
