"""Which requests of commits have to wait until their commit is here: a run executes the working tree."""

from collections.abc import Sequence
from functools import cache

from resources.protocols import KeptRequest, Repository, ResourceError

Place = tuple[str, str]  # scope and branch


def waiting_for_checkout(pending: Sequence[KeptRequest], repository: Repository) -> dict[int, str]:
    """Why each of these waits, by id; those that can be answered are left out.

    The newest request of a branch decides for the earlier ones: a commit that was rewritten away never comes.
    """
    newest: dict[Place, KeptRequest] = {}
    for kept in pending:
        if _commit(kept):
            newest[_place(kept)] = kept

    @cache
    def problem(commit: str, branch: str) -> str:
        try:
            return "" if repository.contains(commit) else _told(repository.checkout(), commit, branch)
        except ResourceError as error:
            return f"waits: whether {commit[:12]} is checked out cannot be told: {error}"

    found = {
        kept.id: problem(_commit(newest[_place(kept)]), _place(kept)[1]) for kept in pending if _commit(kept)
    }
    return {number: said for number, said in found.items() if said}


def _told(standing: str | None, commit: str, branch: str) -> str:
    stands = f"{standing[:12]} is checked out" if standing else "nobody knows what is checked out"
    return f"waits for commit {commit[:12]} of {branch}: here {stands}; bring it here with 'mlcicd pull'"


def _commit(kept: KeptRequest) -> str:
    """What a request of a commit asks for; empty for another request."""
    found = kept.request.evidence.get("commit") if kept.request.cause == "code" else None
    return found if isinstance(found, str) else ""


def _place(kept: KeptRequest) -> Place:
    return kept.request.scope, str(kept.request.evidence.get("branch", ""))
