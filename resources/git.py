"""The source repository, read by the system's git."""

import re
import subprocess
import tarfile
from pathlib import Path

from resources.protocols import ResourceError, Revision
from resources.worktree import git_environment, tree_files

NONE = Revision("none", dirty=False, author="")
_SECONDS = 30
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class SystemGit:
    """`root` is any folder of the working tree."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"SystemGit({self._root})"

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._root

    def revision(self) -> Revision:
        """The checked-out state; commit "none" outside a repository, without git, or before a first commit.

        Raises ResourceError where there is a repository that git will not read.
        """
        try:
            if self._run("rev-parse", "--is-inside-work-tree").stdout.strip() != "true":
                return NONE
            head = self._run("log", "-1", "--format=%H%n%an <%ae>")
        except FileNotFoundError:
            return NONE
        if head.returncode:
            return Revision("none", dirty=True, author="")
        commit, author = head.stdout.strip().split("\n", 1)
        return Revision(commit, dirty=bool(self._run("status", "--porcelain").stdout.strip()), author=author)

    def branch(self) -> str:
        """The checked-out branch; empty outside a repository or where a commit is checked out by itself."""
        try:
            return self._run("branch", "--show-current").stdout.strip()
        except FileNotFoundError:
            return ""

    def files(self) -> dict[str, str]:
        """Path -> hex SHA-256 of every file that is tracked, or untracked and not ignored."""
        return tree_files(self._root)

    def fork_point(self, base: str) -> str:
        """The commit where this branch left `base`; raises ResourceError where there is no such thing."""
        found = self._run("merge-base", "--end-of-options", base, "HEAD", expect=("Not a valid",))
        if found.returncode or not found.stdout.strip():
            raise ResourceError(
                f"{base!r} has no commit in common with the checked-out state here: "
                f"name a branch or commit, and fetch it whole (git fetch --unshallow origin {base})"
            )
        return found.stdout.strip()

    def changed(self, base: str) -> list[str]:
        """The project's files that differ from where this branch left `base`, uncommitted ones included."""
        left = self.fork_point(base)
        told = self._run("diff", "--name-only", "-z", "--relative", "--no-renames", left, "--").stdout
        new = self._run("ls-files", "-z", "--others", "--exclude-standard").stdout
        return sorted({name for name in (told + new).split("\0") if name})

    def export(self, commit: str, into: Path) -> Path:
        """Write the project's files as of a commit below `into`; returns the project's folder there.

        Nothing of the repository or its working tree changes. Raises ResourceError where the commit is gone.
        """
        if not _COMMIT.match(commit):
            raise ResourceError(f"{commit!r} is no commit: the training ran outside a repository")
        top = self._run("rev-parse", "--show-toplevel").stdout.strip()
        if not top:
            raise ResourceError(f"{self._root} is no git repository: commit {commit[:12]} cannot be read")
        archive = into / f"{commit}.tar"
        # From the top, so that the project may lie in a folder of its repository.
        done = self._run(
            "-C", top, "archive", "--format=tar", f"--output={archive}", commit, expect=("not a",)
        )
        if done.returncode:
            raise ResourceError(f"commit {commit[:12]} is not in {top}: fetch it (git fetch --unshallow)")
        folder = into / "source"
        with tarfile.open(archive) as files:
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4
                files.extractall(folder, filter="data")
            else:
                files.extractall(folder)  # noqa: S202  git's own archive of this repository
        archive.unlink()
        return folder / self._root.resolve().relative_to(Path(top).resolve())

    def _run(self, *arguments: str, expect: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        try:
            done = subprocess.run(
                ["git", "-C", str(self._root), *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
                env=git_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise ResourceError(
                f"git {arguments[0]} in {self._root} did not answer in {_SECONDS} s: try it by hand"
            ) from error
        if "dubious ownership" in done.stderr:
            raise ResourceError(
                f"git refuses {self._root}, which belongs to another user. "
                f"If you trust it, run: git config --global --add safe.directory {self._root.absolute()}"
            )
        if done.returncode and not _expected(done.stderr, expect):
            lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            raise ResourceError(f"git {arguments[0]} failed in {self._root}: {lines[0]}")
        return done


def _expected(message: str, more: tuple[str, ...]) -> bool:
    """No repository, or one without commits; or what the caller can explain better."""
    return any(
        text in message
        for text in (
            *more,
            "not a git repository",
            "does not have any commits",
            "cannot change to",
            "bad default revision",
        )
    )
