"""`reproducible:` how a training is repeated to see whether it gives the same model."""

from pydantic import Field, field_validator

from mlcicd_assets.ml.declared import Declaration


class Repetition(Declaration):
    """Full by default: the same inputs must give the same package, byte for byte."""

    gate: bool = Field(
        default=True, description="Repeat the training of every candidate; false: only on the schedule."
    )
    sample: int = Field(
        default=0,
        ge=0,
        description="Train twice on so many rows instead of once again on all; 0: all.",
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        description="Largest difference of a score where hardware gives other bytes; 0: the same digest.",
    )
    schedule: str = Field(
        default="", description="Cron: when the champion is trained again from its commit and data versions."
    )
    timezone: str = Field(default="UTC", description="Of the schedule: 'Asia/Kolkata'.")

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if value and len(value.split()) != 5:
            raise ValueError(f"a schedule has cron's five fields, like '0 3 * * 0', not {value!r}")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}; one is 'Asia/Kolkata'") from error
        return value
