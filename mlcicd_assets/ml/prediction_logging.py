"""What a server writes down of its predictions, as it is declared: `log` of a model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mlcicd_assets.ml.declared import Declaration, DurationText, Name
from mlcicd_assets.ml.thresholds import parse_duration

if TYPE_CHECKING:
    from mlcicd_assets.ml.declarations import DatasetDeclaration

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

    def settings(self, personal: Mapping[str, Treatment], keys: Sequence[str] = ()) -> dict[str, Any]:
        """What a server is told, as JSON; `personal` and `keys` are the dataset's."""
        return {
            "keys": list(keys),
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


def extra_keys(settings: Mapping[str, Any], inputs: Sequence[str]) -> list[str]:
    """Keys of a record that a request may carry beside what the model takes, so that its label finds it.

    They are recorded and never reach the model.
    """
    treated = _kept(settings, [*inputs, *settings.get("keys", [])])
    return [name for name in settings.get("keys", []) if name in treated and name not in inputs]


def recorded_columns(settings: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, bool]:
    """The inputs (and keys) that are recorded, and whether each is hashed.

    Raises ValueError for a name that is no input: a misspelt one would be recorded in the clear.
    """
    known = list(dict.fromkeys([*inputs, *settings.get("keys", [])]))
    named = {*(settings["columns"] or []), *settings["hash"], *settings["omit"]}
    unknown = sorted(named - set(known))
    if unknown:
        raise ValueError(f"log names {', '.join(unknown)}; the model takes {', '.join(inputs)}")
    return _kept(settings, known)


def _kept(settings: Mapping[str, Any], known: Sequence[str]) -> dict[str, bool]:
    chosen, hashed, omitted = settings["columns"], set(settings["hash"]), set(settings["omit"])
    for name, treatment in settings["personal"].items():
        (hashed if treatment == "hash" else omitted).add(name)
    kept = [name for name in known if (chosen is None or name in chosen) and name not in omitted]
    return {name: name in hashed for name in kept}


def unjoinable(log: "PredictionLog | None", dataset: "DatasetDeclaration") -> str:
    """Why labels cannot be joined to what is recorded; empty where they can."""
    if log is None:
        return "'log' is null: nothing of the predictions is recorded"
    if not dataset.keys or dataset.time is None:
        return f"{dataset.name} declares no keys or no time, so a label does not find its prediction"
    kept = _kept(log.settings(dataset.personal), dataset.keys)
    hidden = [key for key in dataset.keys if kept.get(key) is not False]
    if hidden:
        return f"the log leaves out or hashes {', '.join(hidden)}, by which a label finds its prediction"
    return ""
