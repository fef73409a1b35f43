"""What the ledger's lines mean to whoever reads them: the lines, and the names of actions."""

from collections.abc import Mapping
from typing import Any, Protocol

TRAINED = "trained"
TRAINING_FAILED = "training_failed"
BUDGET_OVERRIDDEN = "budget_overridden"
VERDICT = "verdict"
REGISTERED = "registered"
STAGED = "staged"
STAGING_TESTED = "staging_tested"
APPROVAL_REQUESTED = "approval_requested"
APPROVED = "approved"
REJECTED = "rejected"
OVERRIDDEN = "overridden"
PROMOTED = "promoted"
ROLLED_BACK = "rolled_back"
ALIAS_MOVED = "alias_moved"  # by the mirror: where the registry's alias was put
ALIAS_BY_HAND = "alias_by_hand"  # found where nothing of ours put it
PINNED = "pinned"
UNPINNED = "unpinned"
RETENTION_PLANNED = "retention_planned"
DELETION_BEGAN = "deletion_began"
DELETED = "deleted"
VACUUMED = "vacuumed"


class Line(Protocol):
    """One line of the ledger, as `resources.protocols.Entry` has it."""

    @property
    def seq(self) -> int:
        """Its place in the chain."""
        ...

    @property
    def at(self) -> str:
        """ISO 8601, UTC."""
        ...

    @property
    def actor(self) -> str:
        """A person, or `run <id>`."""
        ...

    @property
    def action(self) -> str:
        """One of the names above, or another stage's."""
        ...

    @property
    def model(self) -> str:
        """What it is about."""
        ...

    @property
    def version(self) -> int | None:
        """The registered version, where there is one."""
        ...

    @property
    def digest(self) -> str | None:
        """The package's digest, where there is one."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...

    @property
    def details(self) -> Mapping[str, Any]:
        """Whatever else belongs to it."""
        ...
