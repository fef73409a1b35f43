"""Bringing the project's working tree forward to its remote branch, and never anywhere else."""

from dataclasses import dataclass

from resources.git_command import GitCommand
from resources.protocols import ResourceError


@dataclass(frozen=True)
class Pulled:
    """Where a branch was, and where it is."""

    branch: str
    before: str
    after: str


def pull(git: GitCommand) -> Pulled:
    """Fetch, and go forward; raises ResourceError where that would lose or mix anything.

    `git` runs in the working tree.
    """
    branch = git.attempt("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    if not branch:
        raise ResourceError(f"no branch is checked out in {git.folder}: git switch BRANCH")
    changed = git.run("status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        raise ResourceError(
            f"{git.folder} has changes that are in no commit ({changed[0][3:]}): commit them, or git stash"
        )
    upstream = git.attempt("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}")
    if upstream.returncode:
        raise ResourceError(
            f"branch {branch} follows no remote one: git branch --set-upstream-to=origin/{branch}"
        )
    before = git.run("rev-parse", "HEAD").strip()
    git.run("fetch", "--quiet", "--no-tags", git.run("config", f"branch.{branch}.remote").strip())
    if git.attempt("merge-base", "--is-ancestor", "HEAD", "@{upstream}").returncode:
        return _not_forward(git, branch, upstream.stdout.strip(), before)
    git.run("merge", "--quiet", "--ff-only", "@{upstream}")
    return Pulled(branch, before, git.run("rev-parse", "HEAD").strip())


def _not_forward(git: GitCommand, branch: str, upstream: str, before: str) -> Pulled:
    """Nothing to do where only this side has more; else somebody has to say what is meant."""
    if git.attempt("merge-base", "--is-ancestor", "@{upstream}", "HEAD").returncode == 0:
        return Pulled(branch, before, before)
    raise ResourceError(
        f"{branch} and {upstream} went different ways: a person decides, with git rebase {upstream} to keep "
        f"your commits, or git reset --keep {upstream} to drop them"
    )
