"""The working tree goes forward, or stays as it is."""

from pathlib import Path

import pytest

from resources.git_command import GitCommand
from resources.protocols import ResourceError
from resources.repository_pull import pull
from tests.fakes.repositories import Clone


@pytest.fixture(autouse=True)
def _nobody_s_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    made = Clone.new(tmp_path / "origin")
    made.commit("first", model__py="x = 1\n")
    return made


@pytest.fixture
def here(origin: Clone, tmp_path: Path) -> Clone:
    origin.git("clone", "-q", str(origin.folder), str(tmp_path / "here"))
    return Clone(tmp_path / "here")


def test_it_goes_forward(origin: Clone, here: Clone) -> None:
    before = here.git("rev-parse", "HEAD")
    after = origin.commit("second", model__py="x = 2\n")
    (here.folder / "notes.txt").write_text("not in git, and none of our business")

    pulled = pull(GitCommand(here.folder))

    assert (pulled.branch, pulled.before, pulled.after) == ("main", before, after)
    assert (here.folder / "model.py").read_text() == "x = 2\n"
    assert pull(GitCommand(here.folder)).before == after


def test_own_commits_that_the_remote_does_not_have_stay(here: Clone) -> None:
    mine = here.commit("mine", other__py="y = 1\n")

    assert pull(GitCommand(here.folder)).after == mine


def changed(_origin: Clone, here: Clone) -> None:
    (here.folder / "model.py").write_text("x = 3\n")


def rewritten(origin: Clone, here: Clone) -> None:
    here.commit("mine", other__py="y = 1\n")
    origin.commit("theirs", model__py="x = 2\n")


def detached(_origin: Clone, here: Clone) -> None:
    here.git("checkout", "-q", "--detach")


def alone(_origin: Clone, here: Clone) -> None:
    here.git("switch", "-q", "-c", "alone")


def gone(origin: Clone, _here: Clone) -> None:
    origin.folder.rename(origin.folder.with_name("away"))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (changed, "changes that are in no commit .model.py"),
        (rewritten, "git reset --keep"),
        (detached, "git switch"),
        (alone, "--set-upstream-to"),
        (gone, "fetch"),
    ],
)
def test_what_would_lose_or_mix_something_is_refused(origin: Clone, here: Clone, state, said: str) -> None:
    state(origin, here)
    before = here.git("rev-parse", "HEAD"), here.git("status", "--porcelain")

    with pytest.raises(ResourceError, match=said):
        pull(GitCommand(here.folder))

    assert (here.git("rev-parse", "HEAD"), here.git("status", "--porcelain")) == before
