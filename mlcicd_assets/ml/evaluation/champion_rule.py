"""What a challenger must show against the champion, as it is declared."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from mlcicd_assets.ml.declared import Declaration, DurationText

# An interval's end is the resample at that quantile: fewer beyond it, and the end is chance.
_BEYOND = 5


class ChampionRule(Declaration):
    """What a challenger must show against the champion."""

    metric: str = Field(description="The metric on which both are compared.")
    non_inferiority: float = Field(default=0.0, ge=0, description="How much worse is still as good.")
    also: dict[str, float] = Field(
        default={},
        description="Further metrics that must not be worse, each with its margin: {brier: 0.002}.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="Of the two-sided interval of the difference."
    )
    resamples: int = Field(default=1000, ge=200, le=100_000, description="Of the bootstrap.")
    stale_after: DurationText = Field(
        default="0s",
        description="How much newer than the holdout labels may be before the comparison is refused: '7d'.",
    )

    @field_validator("also")
    @classmethod
    def _margins(cls, also: dict[str, float]) -> dict[str, float]:
        for name, margin in also.items():
            if not 0 <= margin < float("inf"):
                raise ValueError(f"champion.also.{name} is a margin of 0 or more, not {margin}")
        return also

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.metric in self.also:
            raise ValueError(
                f"champion.also repeats champion.metric {self.metric!r}; its margin is non_inferiority"
            )
        if self.resamples * (1 - self.confidence) / 2 < _BEYOND:
            least = round(2 * _BEYOND / (1 - self.confidence))
            raise ValueError(
                f"a confidence of {self.confidence:g} needs at least resamples: {least}, not {self.resamples}"
            )
        return self

    @property
    def margins(self) -> dict[str, float]:
        """Every metric that decides, the first one first, and how much worse is still as good."""
        return {self.metric: self.non_inferiority, **self.also}
