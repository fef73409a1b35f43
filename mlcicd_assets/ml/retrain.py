"""When a model is trained again by itself, as it is declared: `retrain` of a model."""

from typing import Literal

from pydantic import Field

from mlcicd_assets.ml.declared import Declaration, DurationText


class Retrain(Declaration):
    """Which triggers ask for a run of the model's lane, how often, and what it may cost."""

    schedule: str | None = Field(default=None, description="Cron, five fields: '0 2 * * *'.")
    timezone: str = Field(default="UTC", description="Of the schedule: 'Asia/Kolkata'.")
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
    budget: str | None = Field(
        default=None, description="'20 cpu-hours/month' or '50 EUR/month': what is beyond it is refused."
    )
    branches: list[str] = Field(
        default_factory=lambda: ["main"], description="Branches whose commits count, with * as a wildcard."
    )
    paths: list[str] = Field(
        default_factory=list,
        description="Files whose commits count ('mlcicd_assets/defs/fraud_detector/**'); all by default.",
    )
