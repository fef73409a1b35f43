"""The repositories that are watched, by the real git."""

import os
import shutil
from pathlib import Path

import pytest

from resources.git_command import Credential, GitCommand
from resources.protocols import Repository, ResourceError
from resources.repository_git import MirroredRepository, OwnRepository, WatchedRepository
from tests.fakes.repositories import Clone

TOKEN = "ghp_planted/Secret+1"


@pytest.fixture(autouse=True)
def _nobody_s_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    made = Clone.new(tmp_path / "origin")
    made.commit_files("first", {"model.py": "x = 1\n", "docs/a b.md": "text\n", "café.py": "y = 1\n"})
    return made


@pytest.fixture(params=["own", "mirrored"])
def repository(request: pytest.FixtureRequest, origin: Clone, tmp_path: Path) -> Repository:
    if request.param == "own":
        return OwnRepository(origin.folder)
    return MirroredRepository(str(origin.folder), tmp_path / "mirror.git", origin.folder)


def test_heads_and_what_lies_between_two_states(repository: Repository, origin: Clone) -> None:
    first = repository.heads()["main"]
    origin.commit_files("second", {"model.py": "x = 2\n"})
    third = origin.commit_files("third\n\nwith a body", {"new/ö.py": "z = 1\n"})

    movement = repository.movement("main", first, third)

    assert repository.heads()["main"] == third
    assert [commit.subject for commit in movement.commits] == ["third", "second"]
    assert {commit.author for commit in movement.commits} == {"Asha"}
    assert (movement.count, movement.files, movement.forward) == (2, ("model.py", "new/ö.py"), True)


def test_a_merge_of_many_commits_is_bounded_but_counted(repository: Repository, origin: Clone) -> None:
    first = repository.heads()["main"]
    origin.commits("feature", "model.py", 60)
    origin.git("merge", "-q", "--no-ff", "feature", "-m", "merge")

    movement = repository.movement("main", first, repository.heads()["main"])

    assert movement.count == 61
    assert len(movement.commits) == 50
    assert movement.files == ("model.py",)


def test_a_rewritten_branch_is_compared_by_its_states(repository: Repository, origin: Clone) -> None:
    first = repository.heads()["main"]
    second = origin.commit("second", model__py="x = 2\n")
    repository.movement("main", first, second)
    origin.git("reset", "-q", "--hard", first)
    third = origin.commit("instead", other__py="x = 3\n")

    movement = repository.movement("main", second, third)

    assert not movement.forward
    assert movement.files == ("model.py", "other.py")


def test_a_state_before_that_is_gone_means_everything(repository: Repository) -> None:
    movement = repository.movement("main", "0" * 40, repository.heads()["main"])

    assert not movement.forward
    assert set(movement.files) == {"model.py", "docs/a b.md", "café.py"}


def test_what_is_checked_out_contains_its_own_history_only(repository: Repository, origin: Clone) -> None:
    first = repository.heads()["main"]
    second = origin.commit("second", model__py="x = 2\n")
    assert repository.contains(first)
    assert repository.contains(second)

    origin.git("switch", "-q", "-C", "elsewhere", first)

    assert not repository.contains(second)
    assert not repository.contains("--output=x")
    assert repository.checkout() == first


def test_the_project_s_folder_in_its_repository(origin: Clone) -> None:
    origin.commit_files("nested", {"ml/project/model.py": "x = 1\n"})

    assert OwnRepository(origin.folder / "ml" / "project").prefix == "ml/project/"
    assert OwnRepository(origin.folder).prefix == ""


def test_a_deployed_commit_stands_for_a_working_tree(origin: Clone, tmp_path: Path) -> None:
    first = origin.git("rev-parse", "HEAD")
    second = origin.commit("second", model__py="x = 2\n")
    image = tmp_path / "image"
    image.mkdir()
    deployed = MirroredRepository(str(origin.folder), tmp_path / "mirror.git", image, deployed=second)
    deployed.movement("main", first, second)

    assert deployed.contains(first)
    assert deployed.contains(second)
    assert not MirroredRepository(str(origin.folder), tmp_path / "mirror.git", image).contains(first)


def test_no_hook_runs_and_no_template_is_used(origin: Clone, tmp_path: Path) -> None:
    marker = tmp_path / "hook-ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {hooks}\n")
    mirrored = MirroredRepository(str(origin.folder), tmp_path / "mirror.git", tmp_path)

    mirrored.movement("main", None, mirrored.heads()["main"])

    assert not marker.exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ext::sh -c touch% /tmp/x", "no repository's address"),
        ("--upload-pack=touch /tmp/x", "no repository's address"),
        ("http://git.example.org/x.git", "begins with http://"),
    ],
)
def test_addresses_that_are_refused(url: str, said: str, tmp_path: Path) -> None:
    environment = {"MLCICD_GIT_URL": url, "MLCICD_GIT_TOKEN": TOKEN}
    watched = WatchedRepository(environment, tmp_path, tmp_path / "git")

    with pytest.raises(ResourceError, match=said) as told:
        watched.heads()
    assert TOKEN not in str(told.value)


def test_a_repository_that_is_gone_names_it(tmp_path: Path) -> None:
    gone = tmp_path / "gone.git"
    watched = WatchedRepository({"MLCICD_GIT_URL": str(gone)}, tmp_path, tmp_path / "git")

    with pytest.raises(ResourceError, match=str(gone)):
        watched.heads()


def test_without_a_repository_the_remedy_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="MLCICD_GIT_URL"):
        WatchedRepository({}, tmp_path, tmp_path / "git").heads()


def test_a_detached_head_has_no_branch(origin: Clone) -> None:
    origin.git("checkout", "-q", "--detach")

    with pytest.raises(ResourceError, match="git switch"):
        OwnRepository(origin.folder).heads()


def test_an_empty_repository_has_no_heads(tmp_path: Path) -> None:
    assert OwnRepository(Clone.new(tmp_path / "new").folder).heads() == {}


@pytest.mark.parametrize("where", ["variable", "file", "address"])
def test_the_token_is_in_no_error_no_process_list_and_no_file(where: str, tmp_path: Path) -> None:
    # given a git that writes down how it was called, and fails while saying what it was given
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    fake = bin_ / "git"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "fatal: $GIT_CONFIG_VALUE_0" >&2\nexit 128\n'
    )
    fake.chmod(0o755)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    quoted = TOKEN.replace("/", "%2F").replace("+", "%2B")
    given = {
        "variable": {"MLCICD_GIT_TOKEN": TOKEN},
        "file": {"MLCICD_GIT_TOKEN_FILE": str(tmp_path / "token")},
        "address": {"MLCICD_GIT_URL": f"https://asha:{quoted}@git.example.org/x.git"},
    }[where]
    environment = {"MLCICD_GIT_URL": "https://git.example.org/x.git", **given}
    watched = WatchedRepository(environment, tmp_path, tmp_path / "git")

    # when it is asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(ResourceError) as told:
            watched.heads()

    # then what was said holds no secret, and neither do arguments and names
    encoded = Credential("asha" if where == "address" else "oauth2", TOKEN).header.rpartition(" ")[2]
    for text in (str(told.value), (tmp_path / "calls").read_text(), repr(watched), watched.address):
        assert TOKEN not in text
        assert quoted not in text
        assert encoded not in text
    assert "***" in str(told.value)


def test_git_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "git").write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 60\n")
    (bin_ / "git").chmod(0o755)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(ResourceError, match="no answer"):
            GitCommand(tmp_path, seconds=0.2).run("status")
