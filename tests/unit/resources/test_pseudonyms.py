"""The key for personal values."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.protocols import ResourceError
from resources.pseudonyms import pseudonym_key


def test_it_is_made_once_for_all_who_ask_and_is_nobody_elses(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: pseudonym_key(tmp_path / "keys"), range(16)))
    assert len(keys) == 1
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_others_may_read_is_refused(tmp_path: Path) -> None:
    pseudonym_key(tmp_path)
    (tmp_path / "pseudonyms.key").chmod(0o644)
    with pytest.raises(ResourceError, match="chmod 600"):
        pseudonym_key(tmp_path)


def test_one_that_is_damaged_is_refused(tmp_path: Path) -> None:
    pseudonym_key(tmp_path)
    (tmp_path / "pseudonyms.key").write_text("short")
    with pytest.raises(ResourceError, match="restore it"):
        pseudonym_key(tmp_path)
