"""The files of a working tree, and what a branch changed of them."""

import hashlib
from pathlib import Path

import pytest

from resources.file_manifest import FileManifest
from resources.git import SystemGit
from resources.protocols import ResourceError
from resources.worktree import file_digest, tree_files
from tests.fakes.codebases import CodeBase


@pytest.fixture
def code(tmp_path: Path) -> CodeBase:
    made = CodeBase(tmp_path / "shop")
    made.write("a.py", "one")
    made.write("kept/b.py", "two")
    made.write(".gitignore", "ignored/\n")
    made.write("ignored/c.py", "three")
    made.git("init", "--quiet", "--initial-branch", "main")
    return made


def test_tracked_and_new_files_count_and_ignored_ones_do_not(code: CodeBase):
    code.commit()
    code.write("new.py", "four")
    found = tree_files(code.root)
    assert sorted(found) == [".gitignore", "a.py", "kept/b.py", "new.py"]
    assert found["a.py"] == hashlib.sha256(b"one").hexdigest()
    (code.root / "a.py").unlink()
    assert "a.py" not in tree_files(code.root)


def test_names_with_blanks_and_letters_of_others_are_read(code: CodeBase):
    code.write("a folder/größe 1.py", "x")
    assert "a folder/größe 1.py" in tree_files(code.root)


def test_a_link_counts_by_where_it_leads(code: CodeBase, tmp_path: Path):
    (tmp_path / "secret").write_text("outside")
    (code.root / "link.py").symlink_to(tmp_path / "secret")
    before = tree_files(code.root)["link.py"]
    assert before != hashlib.sha256(b"outside").hexdigest()
    (code.root / "link.py").unlink()
    (code.root / "link.py").symlink_to(tmp_path / "other")
    assert tree_files(code.root)["link.py"] != before


def test_a_folder_of_a_repository_counts_by_itself(code: CodeBase):
    assert list(tree_files(code.root / "kept")) == ["b.py"]


def test_outside_a_repository_everything_but_caches_counts(tmp_path: Path):
    for name in ("a.py", "__pycache__/a.pyc", ".venv/b.py", "build/c.py", "deep/d.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(tree_files(tmp_path)) == ["a.py", "deep/d.yaml"]


def test_what_did_not_change_is_not_read_again_and_what_did_is(code: CodeBase, tmp_path: Path):
    manifest = FileManifest(tmp_path / "kept.json", file_digest)
    first = tree_files(code.root, manifest)
    manifest.save()
    code.write("a.py", "other")
    again = tree_files(code.root, FileManifest(tmp_path / "kept.json", file_digest))
    assert {name for name in first if first[name] != again[name]} == {"a.py"}
    assert again == tree_files(code.root)


def test_a_branch_differs_from_where_it_left_with_what_is_not_committed(code: CodeBase):
    first = code.commit()
    code.git("checkout", "--quiet", "-b", "feature")
    code.write("kept/b.py", "changed")
    code.commit()
    code.git("checkout", "--quiet", "main")
    code.write("on_main.py", "x")
    code.commit()
    code.git("checkout", "--quiet", "feature")
    code.write("new.py", "x")
    git = SystemGit(code.root)
    assert git.branch() == "feature"
    assert git.fork_point("main") == first
    assert git.changed("main") == ["kept/b.py", "new.py"]
    assert SystemGit(code.root / "kept").changed("main") == ["b.py"]


@pytest.mark.parametrize("base", ["nowhere", "--upload-pack=x", ""])
def test_a_base_that_is_none_is_told(code: CodeBase, base: str):
    code.commit()
    with pytest.raises(ResourceError, match=r"has no commit in common|failed"):
        SystemGit(code.root).changed(base)
