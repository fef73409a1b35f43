"""Commits become requests: once, for the newest state, and only for the models that they concern."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.triggers.commits import Cursor
from mlcicd_assets.automation.triggers.git_trigger import GitTrigger
from mlcicd_assets.ml.catalogue import load_all
from resources.protocols import Materialization, Request, ResourceError
from resources.repository_git import MirroredRepository, OwnRepository
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.inbox import MemoryInbox
from tests.fakes.memory import MemoryRecords
from tests.fakes.projects import Project, write_project
from tests.fakes.repositories import Clone
from tests.fakes.requests import MemoryRequests

MODEL = "defs/returns/model.py"
RETRAIN = "  dataset: sales\n  retrain: {at_most_every: 6h}\n"


class Site:
    """A project in a repository, and a trigger that watches it."""

    def __init__(self, project: Project, clone: Clone) -> None:
        self.project, self.clone = project, clone
        self.requests, self.records, self.inbox = MemoryRequests(), MemoryRecords(), MemoryInbox()
        self.alerts = MemoryAlerts()
        self.cursor, self.now, self.told = Cursor(), 1000.0, ""
        self.remote: MirroredRepository | None = None

    def tick(self, seconds: float = 5) -> list[Request]:
        """Another look; the requests that it made."""
        before = len(self.requests.kept)
        self.now += seconds
        trigger = GitTrigger(
            load_all(self.project.defs),
            self.remote or OwnRepository(self.project.root),
            self.requests,
            self.records,
            self.inbox,
            self.alerts,
            self.project.root,
        )
        cursor, self.told = trigger.tick(self.cursor, self.now)
        self.cursor = Cursor.parse(cursor.text)
        return [kept.request for kept in list(self.requests.kept.values())[before:]]

    def change(self, files: Mapping[str, str], message: str = "change") -> str:
        return self.clone.commit_files(message, dict(files))

    def made(self) -> None:
        """Everything was made by the code as it stands."""
        blueprint = Blueprint.of(load_all(self.project.defs))
        for asset, code in blueprint.codes.items():
            parts = {"parts": code.parts, "parameters": code.parameters}
            self.records.write(
                Materialization(asset, None, code.version, {}, "content", "2026-01-01", "run", 1.0, **parts)
            )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    project = write_project(tmp_path / "project", tmp_path / "home")
    project.edit("returns/defs.yaml", "  dataset: sales\n", RETRAIN)
    clone = Clone.new(project.root)
    clone.commit("first")
    made = Site(project, clone)
    made.made()
    assert made.tick() == []
    return made


def estimator(c: float) -> str:
    return (
        f"def estimator():\n    from sklearn.linear_model import LogisticRegression\n"
        f"    return LogisticRegression(C={c})\n"
    )


def test_a_commit_that_concerns_a_model_asks_once(site: Site) -> None:
    commit = site.change({MODEL: estimator(2)}, "A larger C")

    (request,) = site.tick()

    assert (request.scope, request.cause, request.fingerprint) == ("model:returns", "code", commit)
    assert request.reason == f"a commit on main changed returns: {MODEL}"
    assert request.evidence["commit"] == commit
    assert request.evidence["branch"] == "main"
    assert request.evidence["authors"] == ["Asha"]
    assert request.evidence["files"] == [MODEL]
    assert [one["subject"] for one in request.evidence["commits"]] == ["A larger C"]
    assert site.tick() == []


@pytest.mark.parametrize(
    "file",
    [
        "defs/sales/features.py",
        "defs/stores/dataset.py",
        "defs/returns/tests/test_model.py",
        "defs/sales/defs.yaml",
    ],
)
def test_the_data_s_folders_count_as_well(site: Site, file: str) -> None:
    path = site.project.root / file
    site.change({file: f"{path.read_text() if path.exists() else ''}# more\n"})

    assert [request.evidence["files"] for request in site.tick()] == [[file]]


@pytest.mark.parametrize("file", ["README.md", "docs/triggers.md", "defs/returns/notes.md", "other/tool.py"])
def test_what_concerns_no_model_asks_for_nothing(site: Site, file: str) -> None:
    site.change({file: "text\n"})

    assert site.tick() == []
    assert "no model asks" in site.told


def test_code_beside_the_model_that_it_uses_counts(site: Site) -> None:
    # given a model that uses a file elsewhere
    packages = {f"defs/{name}__init__.py": "" for name in ("", "returns/", "shared/")}
    site.change({**packages, "defs/shared/sizes.py": "C = 1.0\n"})
    site.change({MODEL: "from defs.shared.sizes import C\n\n\ndef estimator():\n    return C\n"})
    site.tick()

    # when only that file changes
    site.change({"defs/shared/sizes.py": "C = 2.0\n"})

    assert [request.evidence["files"] for request in site.tick()] == [["defs/shared/sizes.py"]]


def test_ten_commits_between_two_looks_are_one_request(site: Site) -> None:
    for number in range(10):
        commit = site.change({MODEL: estimator(number + 2)})

    (request,) = site.tick()

    assert request.fingerprint == commit
    assert request.evidence["commit_count"] == 10
    assert request.reason.startswith("10 commits on main")


def test_evidence_is_bounded(site: Site) -> None:
    site.change({f"defs/returns/part_{number}.py": "x = 1\n" for number in range(80)})
    site.clone.commits("feature", "defs/returns/notes.py", 30)
    site.clone.git("merge", "-q", "feature", "-m", "merge")

    (request,) = site.tick()

    assert (len(request.evidence["files"]), request.evidence["file_count"]) == (50, 81)
    assert (len(request.evidence["commits"]), request.evidence["commit_count"]) == (20, 31)


def test_a_branch_that_nobody_watches_asks_for_nothing_and_says_so(site: Site) -> None:
    site.clone.git("switch", "-q", "-c", "feature")
    site.change({MODEL: estimator(2)})

    assert site.tick() == []
    assert "models watch main; the repository has feature" in site.told


def test_declared_branches_and_paths(site: Site) -> None:
    declared = "  retrain: {branches: ['release/*'], paths: ['config/**', '!config/notes.md']}\n"
    site.project.edit("returns/defs.yaml", "  retrain: {at_most_every: 6h}\n", declared)
    site.clone.git("switch", "-q", "-c", "release/1")
    site.change({"config/limits.yaml": "a: 1\n"})
    site.made()
    assert site.tick() == []

    site.change({"config/notes.md": "text\n", MODEL: estimator(3)})
    assert site.tick() == []
    site.change({"config/limits.yaml": "a: 2\n"})
    (request,) = site.tick()

    assert request.evidence["files"] == ["config/limits.yaml"]


def test_a_tag_and_an_empty_commit_ask_for_nothing(site: Site) -> None:
    site.clone.git("tag", "v1")
    assert site.tick() == []
    site.change({}, "empty")
    assert site.tick() == []


def test_a_forced_push_back_to_an_asked_commit_is_news(site: Site) -> None:
    # given two states that were asked for
    first = site.change({MODEL: estimator(2)})
    second = site.change({MODEL: estimator(3)})
    assert [request.fingerprint for request in site.tick()] == [second]

    # when the branch goes back, and forward again
    site.clone.git("reset", "-q", "--hard", first)
    (back,) = site.tick()
    site.clone.git("reset", "-q", "--hard", second)
    (forward,) = site.tick()

    # then each is asked for, though no commit is new
    assert "was rewritten" in back.reason
    assert back.evidence["rewritten"] is True
    assert forward.evidence["commit"] == second
    assert site.tick() == []


def test_a_rebase_is_one_request_for_the_newest_state(site: Site) -> None:
    first = site.clone.git("rev-parse", "HEAD")
    site.change({MODEL: estimator(2)})
    site.tick()
    site.clone.git("reset", "-q", "--hard", first)
    site.change({"README.md": "text\n"})
    newest = site.change({MODEL: estimator(3)})

    assert [request.evidence["commit"] for request in site.tick()] == [newest]


def test_a_lost_cursor_loses_nothing_and_repeats_nothing(site: Site) -> None:
    site.change({MODEL: estimator(2)})
    site.tick()

    # when it is lost before the request was answered
    site.cursor = Cursor()
    assert site.tick() == []

    # and again with a commit that was not seen
    site.cursor = Cursor.parse("{not json")
    commit = site.change({MODEL: estimator(3)})
    (request,) = site.tick()

    assert request.fingerprint == commit
    assert "was made by other code" in request.reason


def test_what_was_made_by_this_code_is_not_asked_for_on_a_first_look(site: Site) -> None:
    site.change({MODEL: estimator(2)})
    site.made()
    site.cursor = Cursor()

    assert site.tick() == []


def test_a_model_that_is_new_is_asked_for(site: Site) -> None:
    root = site.project.root
    files = {
        f"defs/resold/{name}": (root / f"defs/returns/{name}").read_text()
        for name in ("defs.yaml", "model.py")
    }
    files["defs/resold/defs.yaml"] = files["defs/resold/defs.yaml"].replace("name: returns", "name: resold")
    site.change(files)

    (request,) = site.tick()

    assert request.scope == "model:resold"
    assert "never trained" in request.reason


def test_a_tick_that_fails_half_way_asks_again_for_the_rest_only(site: Site) -> None:
    class Failing(MemoryRequests):
        def add(self, request: Request) -> bool:
            super().add(request)
            raise ResourceError("the disk is full")

    site.change({MODEL: estimator(2)})
    kept = site.requests
    site.requests = Failing()
    site.requests.kept, site.requests._known = kept.kept, kept._known
    site.tick()
    assert "disk is full" in site.told

    site.requests = kept
    assert site.tick() == []
    assert len(kept.kept) == 1


# -- a remote repository ----------------------------------------------------------------------------------


@pytest.fixture
def remote(site: Site, tmp_path: Path) -> Site:
    """The site watches the origin of its working tree."""
    origin = tmp_path / "origin.git"
    site.clone.git("clone", "-q", "--bare", str(site.project.root), str(origin))
    site.clone.git("remote", "add", "origin", str(origin))
    site.remote = MirroredRepository(str(origin), tmp_path / "mirror.git", site.project.root)
    site.cursor = Cursor()
    assert site.tick() == []
    return site


def pushed(site: Site, tmp_path: Path, c: float) -> str:
    """Somebody else pushes; the working tree stays."""
    other = tmp_path / "elsewhere"
    if not other.exists():
        site.clone.git("clone", "-q", str(site.remote.address), str(other))
    clone = Clone(other)
    commit = clone.commit_files("from elsewhere", {MODEL: estimator(c)})
    clone.git("push", "-q", "origin", "HEAD")
    return commit


def test_a_remote_is_asked_once_a_minute_or_when_a_webhook_came(remote: Site, tmp_path: Path) -> None:
    commit = pushed(remote, tmp_path, 2)
    assert remote.tick(5) == []
    assert "is asked again in" in remote.told

    remote.inbox.put("git", "github", ["delivery-1"], {"ref": "refs/heads/main"})
    (request,) = remote.tick(5)

    assert request.fingerprint == commit
    assert request.evidence["deliveries"] == ["delivery-1"]
    assert remote.inbox.waiting("git") == []


def test_a_lost_webhook_only_costs_time(remote: Site, tmp_path: Path) -> None:
    commit = pushed(remote, tmp_path, 2)

    assert [request.fingerprint for request in remote.tick(61)] == [commit]
    assert not remote.remote.contains(commit)  # a run here would not run it yet


def test_a_deleted_branch_is_told_and_forgotten(remote: Site) -> None:
    remote.clone.git("push", "-q", "origin", "HEAD:refs/heads/other")
    remote.clone.git("--git-dir", str(remote.remote.address), "branch", "-q", "-D", "main")

    assert remote.tick(61) == []
    assert "main was deleted" in remote.told
    assert "main" not in remote.cursor.branches


def test_an_unreachable_repository_keeps_everything_and_tells_a_person_in_the_end(
    remote: Site, tmp_path: Path
) -> None:
    # given a push, a webhook of it, and a repository that is gone
    commit = pushed(remote, tmp_path, 2)
    address = Path(remote.remote.address)
    address.rename(tmp_path / "away.git")
    remote.inbox.put("git", "github", ["delivery-1"], {})

    # when it is asked for a while
    assert remote.tick(61) == []
    assert remote.alerts.standing() == []
    assert remote.tick(400) == []

    # then a person is told, the delivery waits, and nothing is lost when it is back
    assert [one.alert.cause for one in remote.alerts.standing()] == ["git_trigger/unreachable"]
    assert remote.inbox.waiting("git")
    (tmp_path / "away.git").rename(address)
    assert [request.fingerprint for request in remote.tick(61)] == [commit]
    assert remote.alerts.standing() == []


def test_a_clock_that_was_set_back_does_not_stop_the_looks(remote: Site, tmp_path: Path) -> None:
    commit = pushed(remote, tmp_path, 2)
    remote.cursor = replace(remote.cursor, asked=remote.now + 10_000)

    assert [request.fingerprint for request in remote.tick(5)] == [commit]
