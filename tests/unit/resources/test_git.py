import os
import subprocess
from pathlib import Path

import pytest

from resources.git import NONE, SystemGit
from resources.protocols import Git, ResourceError


@pytest.fixture(autouse=True)
def _nobody_s_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # A repository around the temporary folder must not be found.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=Asha", "-c", "user.email=asha@example.org", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "model.py").write_text("x = 1\n")
    git(folder, "add", "model.py")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_tree(repository: Path) -> None:
    system: Git = SystemGit(repository)
    revision = system.revision()

    assert revision.commit == git(repository, "rev-parse", "HEAD")
    assert revision.author == "Asha <asha@example.org>"
    assert not revision.dirty


@pytest.mark.parametrize("file", ["model.py", "new.py"])
def test_a_changed_or_new_file_makes_the_tree_dirty(repository: Path, file: str) -> None:
    (repository / file).write_text("x = 2\n")

    assert SystemGit(repository).revision().dirty


def test_a_folder_within_the_tree_is_the_same_repository(repository: Path) -> None:
    (repository / "inner").mkdir()

    assert SystemGit(repository / "inner").revision() == SystemGit(repository).revision()


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert SystemGit(tmp_path).revision() == NONE
    assert SystemGit(tmp_path / "absent").revision() == NONE


def test_before_the_first_commit_there_is_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")

    assert SystemGit(tmp_path).revision().commit == "none"


def test_without_git_there_is_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert SystemGit(repository).revision() == NONE


def test_the_repository_of_a_running_hook_is_not_ours(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert SystemGit(repository).revision().commit != "none"


def test_a_repository_of_somebody_else_names_the_command(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Git's own switch for its tests: it takes every repository as owned by somebody else.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(ResourceError, match=rf"git config --global --add safe\.directory {repository}"):
        SystemGit(repository).revision()


def test_a_damaged_repository_is_no_missing_one(repository: Path) -> None:
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    head = repository / ".git" / "objects"
    for folder, _, files in os.walk(head):
        for file in files:
            (Path(folder) / file).unlink()
    (repository / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")

    with pytest.raises(ResourceError, match="git log failed"):
        SystemGit(repository).revision()


def test_a_commit_is_exported_as_it_was(repository: Path, tmp_path: Path) -> None:
    first = SystemGit(repository).revision().commit
    (repository / "model.py").write_text("x = 2\n")
    git(repository, "commit", "-q", "-a", "-m", "second")
    (repository / "model.py").write_text("x = 3\n")

    folder = SystemGit(repository).export(first, tmp_path)

    assert (folder / "model.py").read_text() == "x = 1\n"
    assert (repository / "model.py").read_text() == "x = 3\n"
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_project_within_a_repository_is_exported_to_its_own_folder(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "project").mkdir()
    (repository / "project" / "deep.py").write_text("y = 1\n")
    git(repository, "add", "project/deep.py")
    git(repository, "commit", "-q", "-m", "second")
    system = SystemGit(repository / "project")

    assert (system.export(system.revision().commit, tmp_path) / "deep.py").is_file()


@pytest.mark.parametrize(
    ("commit", "said"), [("0" * 40, "fetch it"), ("none", "no commit"), ("--all", "no commit")]
)
def test_a_commit_that_is_not_there_is_named(
    repository: Path, tmp_path: Path, commit: str, said: str
) -> None:
    with pytest.raises(ResourceError, match=said):
        SystemGit(repository).export(commit, tmp_path)
