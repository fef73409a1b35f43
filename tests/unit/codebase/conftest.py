"""A repository of one model, in a folder of the test."""

from pathlib import Path

import pytest

from tests.fakes.codebases import CodeBase, write_codebase


@pytest.fixture
def code(tmp_path: Path) -> CodeBase:
    return write_codebase(tmp_path / "shop")
