"""What changed of a dataset's partitions since they were made: new, late, corrected, deleted. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from mlcicd_assets.automation.landed import ASKED, LANDED_INPUTS
from resources.protocols import KeptRequest, Materialization, Request

TRIGGER = "data_trigger"
Kind = Literal["new", "late", "corrected"]
_LISTED = 100  # partitions in the evidence, by name
_REMEMBERED = 1000  # fingerprints in it, from which a lost cursor is made up for
_SHORT = 16

Asked = dict[str, str]  # partition ("" for a whole dataset) -> what was asked for, shortened


@dataclass(frozen=True)
class Made:
    """What stands of one partition."""

    fingerprint: str | None  # of what it was made of; None where nobody can compare it
    at: str


@dataclass(frozen=True)
class Arrival:
    """One partition to be made, and why."""

    partition: str | None
    kind: Kind
    fingerprint: str
    replaces: str  # when what stands was made; empty for the first

    @property
    def key(self) -> str:
        """As JSON keeps it."""
        return self.partition or ""

    @property
    def short(self) -> str:
        """What tells it from another arrival of the same partition."""
        return hashlib.sha256(f"{self.fingerprint} {self.replaces}".encode()).hexdigest()[:_SHORT]


@dataclass(frozen=True)
class Seen:
    """What is known of a dataset from earlier looks."""

    asked: Asked = field(default_factory=dict)  # what was asked for and is not made yet
    # How often some of it was no longer to be made: what was taken back and comes again is news.
    turn: int = 0
    gone: tuple[str, ...] = ()  # partitions that were told as deleted
    failing: float = 0.0  # since when it cannot be looked at, in seconds of the clock; 0: it can

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Self:
        """From JSON values; raises TypeError, KeyError, ValueError or AttributeError."""
        asked = {str(key): str(short) for key, short in found["asked"].items()}
        gone = tuple(str(key) for key in found["gone"])
        return cls(asked, int(found["turn"]), gone, float(found["failing"]))

    def after(self, found: Sequence["Arrival"], gone: Sequence[str | None]) -> Self:
        """What is known once everything that was found is asked for."""
        asked = {one.key: one.short for one in found}
        settled = bool(set(self.asked) - set(asked))
        return type(self)(asked, self.turn + settled, tuple(key or "" for key in gone))


def parse_cursor(text: str | None) -> dict[str, Seen] | None:
    """What is known of each dataset; None at the first look, and where it was lost or cannot be read."""
    try:
        found = json.loads(text or "null")
        return None if found is None else {name: Seen.parse(one) for name, one in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def cursor_text(seen: Mapping[str, Seen]) -> str:
    """As Dagster keeps it."""
    return json.dumps({name: asdict(one) for name, one in seen.items()}, sort_keys=True)


def made_of(records: Iterable[Materialization]) -> dict[str, dict[str | None, Made]]:
    """What stands of each dataset's raw data, by dataset and partition."""
    made: dict[str, dict[str | None, Made]] = {}
    for record in records:
        dataset, _, stage = record.asset.partition("/")
        if stage == "raw_data":
            found = next((record.inputs[name] for name in LANDED_INPUTS if name in record.inputs), None)
            made.setdefault(dataset, {})[record.partition] = Made(found, record.at)
    return made


def arrivals(landed: Mapping[str | None, str], made: Mapping[str | None, Made]) -> list[Arrival]:
    """What has landed and is not what stands, by partition; late: something after it was made before it."""
    newest = max((key for key in made if key), default="")
    found = []
    for key in sorted(landed, key=str):
        stands = made.get(key)
        if stands is None:
            found.append(Arrival(key, "late" if key and key < newest else "new", landed[key], ""))
        elif landed[key] != ASKED and stands.fingerprint not in (None, landed[key]):
            found.append(Arrival(key, "corrected", landed[key], stands.at))
    return found


def deleted(landed: Iterable[str | None], made: Mapping[str | None, Made]) -> list[str | None]:
    """What was made of something that is no longer there."""
    there = set(landed)
    return [key for key in sorted(made, key=str) if made[key].fingerprint is not None and key not in there]


def remembered(history: Iterable[KeptRequest]) -> dict[str, Asked]:
    """What the requests that were kept say was asked for, by dataset; the newest counts."""
    asked: dict[str, Asked] = {}
    for kept in history:
        request = kept.request
        dataset = request.evidence.get("dataset")
        # Those that the dispatcher derived for others carry the evidence of this dataset too.
        if request.by == TRIGGER and request.scope == f"dataset:{dataset}":
            for key, short in request.evidence.get("fingerprints", {}).items():
                asked.setdefault(str(dataset), {}).setdefault(key, short)
    return asked


def data_request(
    dataset: str, source: str, found: Sequence[Arrival], turn: int = 0, deliveries: Sequence[str] = ()
) -> Request:
    """One request for everything of a dataset that is there and was not asked for."""
    told = json.dumps([turn, sorted((one.key, one.short) for one in found)])
    return Request(
        scope=f"dataset:{dataset}",
        cause="data",
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        reason=_reason(source, found),
        evidence={"dataset": dataset, **_evidence(found, deliveries)},
        by=TRIGGER,
    )


def _reason(source: str, found: Sequence[Arrival]) -> str:
    if found[0].partition is None:
        return f"{source} {'has landed' if found[0].kind == 'new' else 'was corrected'}"
    parts = []
    for kind in ("new", "late", "corrected"):
        keys = [one.key for one in found if one.kind == kind]
        if keys:
            span = keys[0] if len(keys) == 1 else f"{len(keys)} partitions, {keys[0]} to {keys[-1]}"
            parts.append(f"{kind}: {span}")
    return f"{source}: {'; '.join(parts)}"


def _evidence(found: Sequence[Arrival], deliveries: Sequence[str]) -> dict[str, Any]:
    kinds = [one.kind for one in found]
    return {
        "partitions": {one.key: one.kind for one in found[:_LISTED]},
        "counts": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "fingerprints": {one.key: one.short for one in found[:_REMEMBERED]},
        "deliveries": list(deliveries[:20]),
    }
