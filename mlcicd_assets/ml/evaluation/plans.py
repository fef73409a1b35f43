"""How fairness, slices and robustness are examined: what a person may declare about it."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from mlcicd_assets.ml.declared import Declaration, Name
from mlcicd_assets.ml.evaluation.slice_conditions import Slice

# A group's rate counts from this many rows of its denominator on: at a recall of 0.7 its standard error is
# then 8 points. Smaller groups are reported, never gated.
MIN_GROUP = 30
# Below this many rows a slice's loss is an anecdote, and there are too many slices to look at them all.
MIN_SLICE = 100


class FairnessPlan(Declaration):
    """Which groups are compared, and what a gate decides on."""

    minimum: int = Field(
        default=MIN_GROUP,
        ge=2,
        description="Rows, positives or negatives (by the metric) from which a group counts for a gate.",
    )
    decide_on: Literal["estimate", "upper"] = Field(
        default="estimate",
        description="upper: a gate decides on the unfavourable end of the interval instead of the estimate.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of every interval.")
    intersections: list[list[Name]] = Field(
        default_factory=list, description="Protected columns to cross: [[age_group, gender]]."
    )

    @field_validator("intersections")
    @classmethod
    def _crossed(cls, value: list[list[str]]) -> list[list[str]]:
        for columns in value:
            if len(set(columns)) < 2:
                raise ValueError(
                    f"an intersection names two or more columns, [age_group, gender], not {columns}"
                )
        return value


class SlicePlan(Declaration):
    """Where to look for slices on which the model is worse than elsewhere."""

    of: list[str] = Field(
        default_factory=list,
        description="Slices that are always shown: [carrier, 'carrier=AA', 'distance>=1000 & origin=JFK'].",
    )
    minimum: int = Field(
        default=MIN_SLICE,
        ge=10,
        description="Rows from which a slice is searched for, and counts for a gate.",
    )
    effect: float = Field(
        default=0.2, gt=0, description="Effect size (in standard deviations of the loss) worth showing."
    )
    false_discoveries: float = Field(
        default=0.05, gt=0, lt=1, description="Share of chance findings among the slices found."
    )
    pairs: bool = Field(default=True, description="Whether two conditions are combined as well.")
    shown: int = Field(default=10, ge=1, le=100, description="How many found slices are kept.")

    @field_validator("of")
    @classmethod
    def _readable(cls, value: list[str]) -> list[str]:
        for text in value:
            Slice.parse(text)
        return value


class RobustnessPlan(Declaration):
    """How strongly the holdout's records are disturbed, and on how many of them."""

    rows: int = Field(default=2_000, ge=100, le=100_000, description="Size of the holdout's seeded sample.")
    metric: str = Field(default="", description="What a drop is measured in; by default champion.metric.")
    noise: float = Field(
        default=0.1, gt=0, description="Standard deviation of the noise, in those of the column."
    )
    missing: float = Field(default=0.1, gt=0, le=1, description="Share of nullable values removed.")
    unseen: float = Field(
        default=0.1, gt=0, le=1, description="Share of a text column's values replaced by one never seen."
    )
    extremes: float = Field(
        default=0.05, gt=0, le=1, description="Share of a column's values replaced by extreme ones."
    )
    units: dict[str, float | Literal["fahrenheit", "celsius"]] = Field(
        default_factory=dict,
        description="What a column would be in the wrong unit: {distance: 1.609344, temp: celsius}.",
    )
    unit_factors: list[float] = Field(
        default=[1000.0],
        min_length=1,
        description="For numeric columns without a line in `units`: each factor is tried on each column.",
    )
    fixed: list[str] = Field(
        default_factory=list, description="Columns that are never disturbed: identifiers, enumerations."
    )

    @model_validator(mode="after")
    def _factors(self) -> "RobustnessPlan":
        factors = [*self.unit_factors, *(one for one in self.units.values() if not isinstance(one, str))]
        if any(factor in (0, 1) for factor in factors):
            raise ValueError("a factor between units is neither 0 nor 1: {distance: 1.609344}")
        return self
