"""When a model is trained again by itself, as it is declared: `retrain` of a model."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlcicd_assets.ml.budget import Budget
from mlcicd_assets.ml.cron import check_cron
from mlcicd_assets.ml.declared import Declaration, DurationText
from mlcicd_assets.ml.training.cost import Rates


def _timezone(value: str) -> str:
    from zoneinfo import ZoneInfo  # opens files: only where a time zone is declared

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"a time zone reads like 'Asia/Kolkata' or 'UTC', not {value!r}") from error
    return value


def _budget(value: str) -> str:
    Budget.parse(value)
    return value


Cron = Annotated[str, AfterValidator(check_cron)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
BudgetText = Annotated[str, AfterValidator(_budget)]


class Retrain(Declaration):
    """Which triggers ask for a run of the model's lane, how often, and what it may cost."""

    schedule: Cron | None = Field(default=None, description="Cron, five fields: '0 2 * * *'.")
    timezone: TimeZone = Field(default="UTC", description="Of the schedule: 'Asia/Kolkata'.")
    catch_up: Literal["latest", "none"] = Field(
        default="latest", description="latest: what was missed while nothing ran is made up for, once."
    )
    code: bool = Field(default=True, description="When its code or declaration changed.")
    data: bool = Field(default=False, description="When its dataset has new or corrected partitions.")
    drift: bool = Field(default=False, description="When monitoring finds drift: see Monitoring.")
    performance: bool = Field(default=False, description="When labelled performance fell: see Monitoring.")
    at_most_every: DurationText | None = Field(
        default=None, description="'6h': a request that comes sooner waits; hotfix and rollback do not."
    )
    budget: BudgetText | None = Field(
        default=None, description="'20 cpu-hours/month' or '50 EUR/month': what is beyond it is refused."
    )
    branches: list[str] = Field(
        default_factory=lambda: ["main"], description="Branches whose commits count, with * as a wildcard."
    )
    paths: list[str] = Field(
        default_factory=list,
        description="Files whose commits count ('config/**'); by default those that the model is made by.",
    )

    @model_validator(mode="after")
    def _a_time_to_catch_up(self) -> "Retrain":
        if self.schedule is None and self.catch_up == "none":
            raise ValueError("catch_up says what becomes of missed times: it needs 'schedule'")
        return self

    def spending_problem(self, rates: Rates | None) -> str:
        """Why the budget cannot be measured with these rates; empty where it can."""
        if self.budget is None or not (budget := Budget.parse(self.budget)).in_money:
            return ""
        if rates is not None and rates.currency == budget.unit:
            return ""
        return f"retrain.budget is in {budget.unit}: it needs 'rates' with currency: {budget.unit}"
