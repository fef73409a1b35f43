import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from resources.keys import FileKeys
from resources.protocols import Keys, ResourceError


def pair(seed: int) -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem_in(folder: str) -> bytes:
    return FileKeys(Path(folder)).private_key()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_on_first_use_and_kept(tmp_path: Path) -> None:
    keys: Keys = FileKeys(tmp_path / "keys")

    first = keys.private_key()

    assert FileKeys(tmp_path / "keys").private_key() == first
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "signing.pem") == 0o600
    assert [path.name for path in sorted((tmp_path / "keys").iterdir())] == ["public.pem", "signing.pem"]


def test_the_trusted_key_is_the_signing_key_s_public_half(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    private = load_pem_private_key(keys.private_key(), None)

    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    assert keys.trusted_keys() == [public]
    assert (tmp_path / "keys" / "public.pem").read_bytes() == public


def test_processes_that_race_for_the_first_key_agree(tmp_path: Path) -> None:
    folder = str(tmp_path / "keys")

    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(private_pem_in, [folder] * 12))

    assert set(made) == {FileKeys(Path(folder)).private_key()}
    assert not list(Path(folder).glob(".new-*"))


@pytest.mark.parametrize(
    ("name", "open_mode", "remedy"), [("signing.pem", 0o640, "600"), (".", 0o750, "700")]
)
def test_a_key_that_others_may_read_is_refused(
    tmp_path: Path, name: str, open_mode: int, remedy: str
) -> None:
    keys = FileKeys(tmp_path / "keys")
    keys.private_key()
    (tmp_path / "keys" / name).chmod(open_mode)

    with pytest.raises(ResourceError, match=f"Run: chmod {remedy} {tmp_path / 'keys' / name}"):
        keys.private_key()


def test_a_server_trusts_without_holding_a_private_key(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_bytes(pair(1)[1])

    assert FileKeys(tmp_path).trusted_keys() == [pair(1)[1]]
    assert not (tmp_path / "signing.pem").exists()


def test_asking_for_trust_makes_no_key_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="MLCICD_TRUSTED_KEYS_FILE"):
        FileKeys(tmp_path / "keys").trusted_keys()
    assert not (tmp_path / "keys").exists()


def test_the_trusted_file_adds_keys_once(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(b"# ours\n" + pair(1)[1] + b"\n# theirs\n" + pair(2)[1])

    keys = FileKeys(tmp_path / "keys", signing_key=pair(1)[0], trusted_file=trusted)

    assert keys.trusted_keys() == [pair(1)[1], pair(2)[1]]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", pair(1)[1] + pair(2)[1][:40], pair(1)[0], pair(1)[1].replace(b"A", b"B")]
)
def test_a_damaged_trusted_file_is_refused(tmp_path: Path, content: bytes) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(content)

    with pytest.raises(ResourceError, match=str(trusted)):
        FileKeys(tmp_path / "keys", trusted_file=trusted).trusted_keys()


def test_a_trusted_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(pair(1)[1])
    trusted.chmod(0o666)

    with pytest.raises(ResourceError, match="chmod go-w"):
        FileKeys(tmp_path / "keys", trusted_file=trusted).trusted_keys()


def test_a_key_from_the_environment_replaces_the_folder(tmp_path: Path) -> None:
    FileKeys(tmp_path / "keys").private_key()
    one_line = pair(1)[0].decode().replace("\n", "\\n")

    for text in (pair(1)[0].decode(), one_line):
        keys = FileKeys.from_environment(tmp_path / "keys", {"MLCICD_SIGNING_KEY": text})
        assert keys.private_key() == pair(1)[0]
        assert keys.trusted_keys() == [pair(1)[1]]


def test_a_key_file_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "mounted.pem"
    file.write_bytes(pair(1)[0])
    file.chmod(0o440)
    keys = FileKeys.from_environment(tmp_path / "keys", {"MLCICD_SIGNING_KEY_FILE": str(file)})

    assert keys.private_key() == pair(1)[0]
    assert keys.trusted_keys() == [pair(1)[1]]
    assert not (tmp_path / "keys").exists()

    file.chmod(0o644)
    with pytest.raises(ResourceError, match="open to others"):
        keys.private_key()


def test_two_keys_from_the_environment_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="not both"):
        FileKeys.from_environment(tmp_path, {"MLCICD_SIGNING_KEY": "x", "MLCICD_SIGNING_KEY_FILE": "y"})


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, signing_key_file=tmp_path / "absent.pem")

    with pytest.raises(ResourceError, match=r"absent\.pem cannot be read"):
        keys.private_key()


def test_a_key_of_another_kind_is_refused_without_showing_it(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )

    for wrong in (other, b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ResourceError, match="MLCICD_SIGNING_KEY is no unencrypted Ed25519") as caught:
            FileKeys(tmp_path, signing_key=wrong).private_key()
        assert caught.value.__context__ is None
        assert wrong.split(b"\n")[1].decode() not in str(caught.value)


def test_nothing_printable_shows_a_key(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path, signing_key=pair(1)[0])

    assert pair(1)[0].split(b"\n")[1].decode() not in f"{keys!r} {keys}"


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(
        ResourceError, match=r"no signing key could be made in /proc/keys.*MLCICD_SIGNING_KEY_FILE"
    ):
        FileKeys(Path("/proc/keys")).private_key()
