"""A source repository that is watched for commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Commit:
    """One commit, as people name it."""

    id: str  # full SHA-1
    author: str
    subject: str  # its first line


@dataclass(frozen=True)
class Movement:
    """What lies between two states of a branch."""

    commits: tuple[Commit, ...]  # newest first; not all of many
    count: int  # of all
    files: tuple[str, ...]  # every file that differs, from the repository's top, sorted
    forward: bool  # False: the branch was rewritten, or the state before is gone


class Repository(Protocol):
    """Where commits come from: the project's own repository, or a remote one."""

    @property
    def address(self) -> str:
        """How people call it; never with a credential."""
        ...

    @property
    def prefix(self) -> str:
        """The project's folder in the repository with a slash behind it; empty at the top."""
        ...

    @property
    def interval(self) -> float:
        """Seconds between two questions: one that is asked over a network is asked less often."""
        ...

    def heads(self) -> Mapping[str, str]:
        """The commit of each branch; raises ResourceError where it cannot be reached."""
        ...

    def movement(self, branch: str, before: str | None, after: str) -> Movement:
        """What changed on a branch since `before`; None: everything. Raises ResourceError."""
        ...

    def checkout(self) -> str | None:
        """The commit that is checked out where the pipeline runs; None where nobody knows."""
        ...

    def contains(self, commit: str) -> bool:
        """Whether what is checked out has a commit in its history, so that a run would run it."""
        ...
