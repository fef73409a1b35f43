"""What a server writes down of its predictions, as it is declared: `log` of a model."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from mlcicd_assets.ml.declared import Declaration, DurationText, Name
from mlcicd_assets.ml.thresholds import parse_duration

Treatment = Literal["hash", "omit"]


class PredictionLog(Declaration):
    """What is recorded, how soon it is on disk, and what it may take there."""

    sample: float = Field(
        default=1.0, ge=0, le=1, description="Share of the requests that is recorded, chosen by their id."
    )
    columns: list[Name] | None = Field(
        default=None, description="The raw columns that are recorded beside score and label; all by default."
    )
    hash: list[Name] = Field(
        default_factory=list, description="Columns recorded as a keyed hash: equal stays equal, no more."
    )
    omit: list[Name] = Field(default_factory=list, description="Columns that are never recorded.")
    flush: DurationText = Field(default="500ms", description="The most that a killed server loses.")
    buffer: int = Field(
        default=10_000,
        ge=1,
        description="Rows held in memory between two flushes; more are dropped, counted.",
    )
    keep: DurationText = Field(default="30d", description="Older files are deleted.")
    max_mb: int = Field(default=1_024, ge=1, description="10^6 bytes per version; the oldest go first.")

    def settings(self, personal: Mapping[str, Treatment]) -> dict[str, Any]:
        """What a server is told, as JSON; `personal` is the dataset's, whichever of it the model takes."""
        return {
            "sample": self.sample,
            "columns": self.columns,
            "hash": self.hash,
            "omit": self.omit,
            "personal": dict(personal),
            "flush_s": parse_duration(self.flush).total_seconds(),
            "buffer": self.buffer,
            "keep_s": parse_duration(self.keep).total_seconds(),
            "max_bytes": self.max_mb * 10**6,
        }


def recorded_columns(settings: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, bool]:
    """The inputs that are recorded, and whether each is hashed.

    Raises ValueError for a name that is no input: a misspelt one would be recorded in the clear.
    """
    chosen, hashed, omitted = settings["columns"], set(settings["hash"]), set(settings["omit"])
    unknown = sorted({*(chosen or []), *hashed, *omitted} - set(inputs))
    if unknown:
        raise ValueError(f"log names {', '.join(unknown)}; the model takes {', '.join(inputs)}")
    for name, treatment in settings["personal"].items():
        (hashed if treatment == "hash" else omitted).add(name)
    kept = [name for name in inputs if (chosen is None or name in chosen) and name not in omitted]
    return {name: name in hashed for name in kept}
