"""Real git repositories for tests."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clone:
    """A working tree."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, branch: str = "main") -> "Clone":
        """An empty repository."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        made.git("init", "-q", "-b", branch)
        return made

    def git(self, *arguments: str) -> str:
        """Run git as Asha; its output."""
        who = ("-c", "user.name=Asha", "-c", "user.email=asha@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commits(self, branch: str, file: str, count: int) -> None:
        """Many commits of one file on a new branch from main, by one process."""
        parts = []
        for number in range(count):
            who = f"committer Asha <asha@example.org> {1_700_000_000 + number} +0000"
            text = f"x = {number}\n"
            start = "from refs/heads/main\n" if number == 0 else ""
            parts.append(f"commit refs/heads/{branch}\n{who}\ndata 4\nstep\n{start}")
            parts.append(f"M 100644 inline {file}\ndata {len(text)}\n{text}\n")
        subprocess.run(
            ["git", "-C", str(self.folder), "fast-import", "--quiet"],
            input="".join(parts),
            text=True,
            check=True,
        )

    def commit(self, message: str = "change", **files: str) -> str:
        """Commit everything, with files written first: `model__py="x = 1"` is model.py; the commit."""
        return self.commit_files(message, {name.replace("__", "."): text for name, text in files.items()})

    def commit_files(self, message: str, files: dict[str, str]) -> str:
        """Write files by path and commit everything; the commit."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@dataclass
class CheckedOut:
    """As much of a repository as tells what is checked out: a line of commits up to `head`."""

    line: tuple[str, ...]
    head: str | None
    asked: int = 0

    def contains(self, commit: str) -> bool:
        """Whether it is `head` or before it."""
        self.asked += 1
        known = self.head in self.line and commit in self.line
        return known and self.line.index(commit) <= self.line.index(str(self.head))

    def checkout(self) -> str | None:
        """The head."""
        return self.head
