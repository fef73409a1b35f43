"""Watched repositories by the system's git: the project's own, and a remote one by a bare mirror."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from resources.git_command import Credential, GitCommand
from resources.protocols import Commit, Movement, Repository, ResourceError
from resources.redaction import know

_SHOWN = 50  # commits of a movement
# Names only, and no program that a repository names.
_DIFF = ("--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z")
_LOG = ("--no-show-signature", "-z", "--format=%H%x1f%an%x1f%s")
_POLL_S = 60.0
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class OwnRepository:
    """Implements `Repository`: the project's working tree and the branch that is checked out there."""

    root: Path

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def interval(self) -> float:
        """It is here."""
        return 0.0

    @cached_property
    def prefix(self) -> str:
        """The project's folder in the repository."""
        return _prefix(self.root)

    def heads(self) -> Mapping[str, str]:
        """The branch that is checked out: only its code can run here."""
        _require_repository(self._git)
        found = self._git.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
        if found.returncode:
            raise ResourceError(
                f"no branch is checked out in {self.root}: git switch BRANCH, or set MLCICD_GIT_URL"
            )
        head = self._git.attempt("rev-parse", "--verify", "--quiet", "HEAD")
        return {} if head.returncode else {found.stdout.strip(): head.stdout.strip()}

    def movement(self, branch: str, before: str | None, after: str) -> Movement:  # noqa: ARG002  one branch
        """What changed since `before`."""
        return _movement(self._git, before, after)

    def checkout(self) -> str | None:
        """The commit of the working tree."""
        return _checkout(self.root)

    def contains(self, commit: str) -> bool:
        """Whether the working tree's history has a commit."""
        return _contains(self._git, commit, self.checkout())

    @property
    def _git(self) -> GitCommand:
        return GitCommand(self.root)


@dataclass(frozen=True)
class MirroredRepository:
    """Implements `Repository`: a remote one, asked by `ls-remote`, fetched into a bare mirror to compare."""

    address: str
    mirror: Path
    root: Path  # of the working tree whose code runs here
    credential: Credential | None = None
    seconds: float = 60
    interval: float = _POLL_S
    deployed: str = ""  # the commit of a project that runs without its repository, as in an image

    @cached_property
    def prefix(self) -> str:
        """The project's folder in the repository; the top where no working tree tells."""
        return _prefix(self.root)

    def heads(self) -> Mapping[str, str]:
        """Every branch's commit."""
        told = self._outside.run("ls-remote", "--heads", "--", self.address)
        rows = (line.split("\t", 1) for line in told.splitlines() if "\t" in line)
        return {name.removeprefix("refs/heads/"): commit for commit, name in rows if _COMMIT.match(commit)}

    def movement(self, branch: str, before: str | None, after: str) -> Movement:
        """Fetch the branch, then compare."""
        self._prepare()
        if not _has(self._git, after):
            self._git.run(
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"),
                *(self.address, f"+refs/heads/{branch}:refs/heads/{branch}"),
            )
        if not _has(self._git, after):
            raise ResourceError(
                f"branch {branch} of {self.address} moved while it was fetched; the next tick looks again"
            )
        return _movement(self._git, before, after)

    def checkout(self) -> str | None:
        """The working tree's commit, or the one that was deployed (`MLCICD_COMMIT`)."""
        return _checkout(self.root) or self.deployed or None

    def contains(self, commit: str) -> bool:
        """Whether what runs here has a commit in its history, by the working tree or else by the mirror."""
        standing = self.checkout()
        if _contains(GitCommand(self.root), commit, standing):
            return True
        return self._prepared and _contains(self._git, commit, standing)

    @property
    def _outside(self) -> GitCommand:
        """In no repository, so that none's configuration is read."""
        return GitCommand(Path(os.sep), self.address, self.credential, self.seconds)

    @property
    def _git(self) -> GitCommand:
        return GitCommand(self.mirror, self.address, self.credential, self.seconds)

    @property
    def _prepared(self) -> bool:
        return (self.mirror / "HEAD").is_file()

    def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            self.mirror.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(
                f"{self.mirror} cannot be made ({error.strerror}); make it writable"
            ) from error
        GitCommand(self.mirror).run("init", "--quiet", "--bare", "--template=", ".")
        # What is here already need not come over the network; without it the first fetch only takes longer.
        self._git.attempt("fetch", "--quiet", "--no-tags", "--", str(self.root), "+HEAD:refs/seed")


@dataclass(frozen=True)
class WatchedRepository:
    """Implements `Repository`: the one that the environment names, chosen when it is first asked.

    `MLCICD_GIT_URL` with `MLCICD_GIT_TOKEN` (or `_FILE`) and `MLCICD_GIT_USER`, else the project's own.
    Every method raises ResourceError where the address cannot be used.
    """

    environment: Mapping[str, str] = field(repr=False)
    project: Path
    mirrors: Path  # the folder of bare mirrors: a cache

    @property
    def address(self) -> str:
        """How people call it."""
        return self._chosen.address

    @property
    def prefix(self) -> str:
        """The project's folder in the repository."""
        return self._chosen.prefix

    @property
    def interval(self) -> float:
        """Seconds between two questions."""
        return self._chosen.interval

    def heads(self) -> Mapping[str, str]:
        """The commit of each branch."""
        return self._chosen.heads()

    def movement(self, branch: str, before: str | None, after: str) -> Movement:
        """What changed on a branch."""
        return self._chosen.movement(branch, before, after)

    def checkout(self) -> str | None:
        """The commit that is checked out where the pipeline runs."""
        return self._chosen.checkout()

    def contains(self, commit: str) -> bool:
        """Whether what is checked out has a commit in its history."""
        return self._chosen.contains(commit)

    def working_tree(self) -> GitCommand:
        """Git in the project's folder, with the credential of the environment."""
        chosen = self._chosen
        if isinstance(chosen, MirroredRepository):
            return GitCommand(self.project, chosen.address, chosen.credential, chosen.seconds)
        return GitCommand(self.project)

    @cached_property
    def _chosen(self) -> Repository:
        url = self.environment.get("MLCICD_GIT_URL", "").strip()
        if not url:
            return OwnRepository(self.project)
        address, credential = self._taken_apart(url)
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        return MirroredRepository(
            address,
            self.mirrors / f"{name}.git",
            self.project,
            credential,
            interval=self._interval(),
            deployed=self.environment.get("MLCICD_COMMIT", ""),
        )

    def _interval(self) -> float:
        given = self.environment.get("MLCICD_GIT_INTERVAL_S") or str(_POLL_S)
        try:
            return max(0.0, float(given))
        except ValueError:
            raise ResourceError(f"MLCICD_GIT_INTERVAL_S is a number of seconds, not {given!r}") from None

    def _taken_apart(self, url: str) -> tuple[str, Credential | None]:
        """The address without, and the credential: from the address itself or from the environment."""
        if url.startswith("-") or "::" in url.partition("://")[0]:
            raise ResourceError("MLCICD_GIT_URL is no repository's address: https://…, ssh://…, or a path")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            return url, None
        host = parts.netloc.rpartition("@")[2]
        address = urlunsplit((parts.scheme, host, parts.path, "", ""))
        token = self._token() or unquote(parts.password or "")
        if not token:
            return address, None
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ResourceError(
                "MLCICD_GIT_URL begins with http://, which would show the token: use https://"
            )
        user = self.environment.get("MLCICD_GIT_USER") or parts.username or "oauth2"
        return address, Credential(user, know(token))

    def _token(self) -> str:
        file = self.environment.get("MLCICD_GIT_TOKEN_FILE")
        if not file:
            return self.environment.get("MLCICD_GIT_TOKEN", "")
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ResourceError(
                f"MLCICD_GIT_TOKEN_FILE names {file}, which cannot be read ({error.strerror})"
            ) from None


def _require_repository(git: GitCommand) -> None:
    found = git.attempt("rev-parse", "--git-dir")
    if found.returncode and "not a git repository" in found.stderr:
        raise ResourceError(
            f"{git.folder} is no git repository: set MLCICD_GIT_URL to the one that it comes from"
        )
    if found.returncode:
        raise ResourceError(git.told("rev-parse", found.stderr))


def _prefix(root: Path) -> str:
    found = GitCommand(root).attempt("rev-parse", "--show-prefix")
    return "" if found.returncode else found.stdout.strip()


def _checkout(root: Path) -> str | None:
    found = GitCommand(root).attempt("rev-parse", "--verify", "--quiet", "HEAD")
    return None if found.returncode else found.stdout.strip()


def _has(git: GitCommand, commit: str) -> bool:
    return git.attempt("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _contains(git: GitCommand, commit: str, standing: str | None) -> bool:
    if standing is None or not _COMMIT.match(commit):
        return False
    if commit == standing:
        return True
    return git.attempt("merge-base", "--is-ancestor", commit, standing).returncode == 0


def _movement(git: GitCommand, before: str | None, after: str) -> Movement:
    if before is None or not _has(git, before):
        files = git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", after)
        return Movement(*_commits(git, after), _sorted(files), forward=False)
    # Not the merge base: what differs between the two states is what a run would see change.
    files = git.run(
        "diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", before, after
    )
    forward = git.attempt("merge-base", "--is-ancestor", before, after).returncode == 0
    return Movement(*_commits(git, f"{before}..{after}"), _sorted(files), forward)


def _commits(git: GitCommand, span: str) -> tuple[tuple[Commit, ...], int]:
    count = int(git.run("rev-list", "--count", span))
    told = git.run(
        "log", f"--max-count={_SHOWN}", "--no-show-signature", "-z", "--format=%H%x1f%an%x1f%s", span
    )
    return tuple(_parsed(told)), count


def _parsed(told: str) -> Iterator[Commit]:
    for line in told.split("\0"):
        if line:
            commit, author, subject = line.split("\x1f", 2)
            yield Commit(commit, author[:100], subject.strip()[:200])


def _sorted(files: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in files.split("\0") if name))
