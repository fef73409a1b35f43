"""What a declaration says about people and keeping: who approves a release, and what is kept how long."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from mlcicd_assets.ml.declared import Declaration, DurationText


def _who(value: str) -> str:
    if not value.strip() or any(ord(character) < 32 for character in value):
        raise ValueError("an approver is a name, an e-mail address or 'team:risk', in one line")
    return value.strip()


class ApprovalRule(Declaration):
    """Who must agree before a version may have production traffic."""

    required: bool | None = Field(
        default=None, description="true: a person approves, whatever the risk. Always so with risk: high."
    )
    expires: DurationText = Field(default="7d", description="How long an approval may be used for a release.")
    four_eyes: bool = Field(
        default=False, description="true: the author of the commit cannot approve, nor override."
    )
    approvers: list[Annotated[str, AfterValidator(_who)]] = Field(
        default_factory=list,
        description="People or teams ('team:risk') who approve, with keys of their own; anybody when empty.",
    )

    @field_validator("approvers")
    @classmethod
    def _once(cls, approvers: list[str]) -> list[str]:
        if len({name.casefold() for name in approvers}) < len(approvers):
            raise ValueError("an approver is named once")
        return approvers


class Retention(Declaration):
    """What is kept of a model: whatever is among the newest, or young enough, and all that is needed."""

    keep_versions: int = Field(default=5, ge=1, description="Registered versions, the newest first.")
    keep_days: int = Field(default=90, ge=1, description="Days for which any version, run or report is kept.")


class DataRetention(Declaration):
    """How long replaced versions of a dataset's tables are kept; the current rows always are."""

    keep_days: int = Field(default=30, ge=1, description="Days for which replaced table versions are kept.")
