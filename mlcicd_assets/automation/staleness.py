"""What is stale, and why: decided from what was recorded, without Dagster, and without running anything.

A record says what an asset (partition) was made of and by which code. It is fresh while the code is the same
and every input still has the content that was read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mlcicd_assets.automation.blueprint import DATA_STAGES, MODEL_STAGES, Blueprint, DatasetShape
from mlcicd_assets.automation.changes import code_change, shortened
from mlcicd_assets.automation.landed import ASKED, LANDED_INPUTS
from mlcicd_assets.codebase.areas import ASSET, CodeShape, area_contents
from mlcicd_assets.codebase.standing import Standing, standings
from resources.protocols import Materialization

Place = tuple[str, str | None]  # asset and partition
Landed = Mapping[str, Mapping[str | None, str]]  # dataset -> partition -> fingerprint of the file
State = Literal["fresh", "stale", "waiting", "held"]


@dataclass(frozen=True)
class Status:
    """One asset (partition): fresh; stale with the reason; waiting for records; or held by a failed check."""

    asset: str
    partition: str | None
    state: State
    reason: str = ""
    seconds: float | None = None  # what making it took, or takes for its like; None when nobody knows
    # The stale places above: when they turn out the same, only a reason of its own makes this one run.
    behind: tuple[Place, ...] = ()
    own: bool = False

    @property
    def place(self) -> Place:
        """Asset and partition."""
        return self.asset, self.partition

    @property
    def name(self) -> str:
        """As records and people write it: `flights/raw_data@2013-01`."""
        return place_name(self.place)


def place_name(place: Place) -> str:
    """As records and people write it: `flights/raw_data@2013-01`."""
    return place[0] if place[1] is None else f"{place[0]}@{place[1]}"


def assess(
    blueprint: Blueprint,
    records: Iterable[Materialization],
    landed: Landed,
    champions: Mapping[str, str],
    files: Mapping[str, str] | None = None,
) -> list[Status]:
    """Say of each asset (partition) whether it is fresh, the code first, then in the order data flows.

    `champions` holds the digest of each model's champion; a model without one is left out. `files` are the
    project's, path -> content, asked for where the blueprint has a code base.
    """
    known: dict[Place, Materialization] = {(record.asset, record.partition): record for record in records}
    code = code_status(blueprint.code, known.values(), files or {}) if blueprint.code else None
    return list(_Assessment(blueprint, known, landed, champions, code).all())


def code_status(shape: CodeShape, records: Collection[Materialization], files: Mapping[str, str]) -> Status:
    """Whether the code as it is now has passed every check; else which of them must run, and why."""
    made = next((record for record in records if record.asset == ASSET), None)
    found = standings(shape, area_contents(shape, files), records)
    due = [one for one in found if one.state == "unchecked"]
    failed = [one for one in found if one.state == "failed"]
    seconds = [one.record.seconds for one in [*due, *failed] if one.record]
    known = sum(seconds) if len(seconds) == len(due) + len(failed) else None
    if made is None or due:
        return Status(ASSET, None, "stale", _why_check(made, found), known, (), own=True)
    if failed:
        return Status(ASSET, None, "held", _why_held(failed))
    return Status(ASSET, None, "fresh", seconds=made.seconds)


def _why_held(failed: Sequence[Standing]) -> str:
    """A single check with what it found; of several their names."""
    if len(failed) == 1:
        return f"failed check: {failed[0].told}"
    return f"failed checks: {', '.join(one.check for one in failed)} (mlcicd report tells what they found)"


def _why_check(made: Materialization | None, found: Iterable[Standing]) -> str:
    """What changed, and which checks that concerns; those that it does not concern are told as well."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.state == "unchecked":
            reasons.setdefault(one.reason, []).append(one.check)
    told = [f"{reason}: {', '.join(checks)}" for reason, checks in reasons.items()]
    left = [one.check for one in found if one.state == "passed"]
    skipped = [f"unchanged: {', '.join(left)}"] if left and told else []
    return "; ".join([*([] if made else ["never materialized"]), *told, *skipped])


def selection(statuses: Iterable[Status]) -> str:
    """The stale assets as `dagster asset materialize --select` takes them; empty when nothing is stale."""
    return select_assets(dict.fromkeys(status.asset for status in statuses if status.state == "stale"))


def select_assets(names: Iterable[str]) -> str:
    """Assets as `dagster asset materialize --select` takes them."""
    return " or ".join(f'key:"{name}"' for name in names)


def partition_range(statuses: Iterable[Status]) -> str | None:
    """The stale partitions as `--partition-range` takes them; None when no stale asset has partitions."""
    keys = sorted({status.partition for status in statuses if status.state == "stale" and status.partition})
    return f"{keys[0]}...{keys[-1]}" if keys else None


@dataclass
class _Assessment:
    blueprint: Blueprint
    known: Mapping[Place, Materialization]
    landed: Landed
    champions: Mapping[str, str]
    code: Status | None = None  # of source_code; None where no code base is declared
    decided: dict[Place, Status] = field(default_factory=dict)

    def all(self) -> Iterator[Status]:
        if self.code:
            yield self.code
        for dataset in self.blueprint.datasets.values():
            for stage in dataset.stages:
                yield from (
                    self.status((dataset.table(stage), key)) for key in self._partitions[dataset.name]
                )
        for model in self.blueprint.models:
            yield from (self.status((f"{model}/{stage}", None)) for stage in MODEL_STAGES)

    def status(self, place: Place) -> Status:
        if place not in self.decided:
            self.decided[place] = self._decide(place)
        return self.decided[place]

    def _decide(self, place: Place) -> Status:
        record = self.known.get(place)
        above = [self.status(upstream) for upstream in self._upstream(place)]
        missing = self._missing(place, above) if record is None else ""
        if missing:
            return Status(*place, "waiting", missing)
        reason = self._own_reason(place, record)
        held = next((status for status in above if status.state == "held"), None)
        if held:
            told = f"upstream {held.name} is held by a failed check"
            return Status(*place, "held", f"{told}; {reason}" if reason else told)
        behind = tuple(status.place for status in above if status.state == "stale")
        if self.code and (reason or behind) and place[0].endswith(f"/{MODEL_STAGES[0]}"):
            # No model is trained from code that has not passed; one that is there stays as it is.
            if self.code.state == "held":
                told = reason or f"upstream {place_name(behind[0])} is stale"
                return Status(*place, "held", f"{ASSET} is held by {self.code.reason}; {told}")
            if self.code.state == "stale":
                behind = (*behind, self.code.place)
        if reason or behind:
            told = reason or f"upstream {place_name(behind[0])} is stale"
            return Status(*place, "stale", told, self._seconds(place), behind, bool(reason))
        if record and record.failure:
            return Status(*place, "held", f"failed check: {' '.join(record.failure.split())}")
        return Status(*place, "fresh", seconds=record.seconds if record else None)

    def _own_reason(self, place: Place, record: Materialization | None) -> str:
        if record is None:
            return "never materialized"
        changed = code_change(record, self.blueprint.codes[place[0]], self._versions[place[0]])
        if changed:
            return changed
        data = next(self._changes(record), None) or self._arrived(place, record)
        return f"data changed: {data}" if data else ""

    def _missing(self, place: Place, above: list[Status]) -> str:
        """What has to land before this can be made for the first time; empty when all is there."""
        owner, stage = place[0].split("/")
        if stage == "raw_data" and place[1] not in self.landed.get(owner, {}):
            source = self.blueprint.datasets[owner].source
            return f"{source.replace('{partition}', place[1] or '')} has not landed"
        if stage == "trained_model" and not above:
            return f"{self._learned(owner).source} has not landed"
        return next((status.reason for status in above if status.state == "waiting"), "")

    def _changes(self, record: Materialization) -> Iterator[str]:
        for name, before in record.inputs.items():
            now = self._content(record, name)
            if now is not None and now != before:
                yield f"{name} {shortened(before)} → {shortened(now)}"

    def _content(self, record: Materialization, name: str) -> str | None:
        """An input's content now; None where it is gone, which changes nothing that was made of it."""
        owner = record.asset.split("/")[0]
        if name.split(":")[0] in LANDED_INPUTS:
            found = self.landed.get(owner, {}).get(record.partition)
            return None if found == ASKED else found
        if name == "champion":
            champion = self.champions.get(owner, "none")
            # The candidate that became champion was judged: it is not compared with itself.
            own = champion == record.inputs.get(f"{owner}/trained_model")
            return record.inputs[name] if own else champion
        asset, _, partition = name.partition("@")
        upstream = self.known.get((asset, partition or None))
        return upstream.content if upstream else None

    def _arrived(self, place: Place, record: Materialization) -> str:
        """A partition that came after a model was trained or judged, and belongs to the window of that."""
        owner, stage = place[0].split("/")
        if stage not in MODEL_STAGES[:2]:
            return ""
        data = self._learned(owner)
        table = data.table("features")
        used = {name.partition("@")[2] for name in record.inputs if name.startswith(f"{table}@")}
        new = (
            partition
            for partition in self._window(data, record)
            if used
            and partition
            and partition not in used
            and not self._seen(stage, table, partition, record)
        )
        first = next(new, None)
        return f"{table}@{first} is new" if first else ""

    def _seen(self, stage: str, table: str, partition: str, record: Materialization) -> bool:
        """Whether a partition was there when the model was trained: too few of its labels were known.

        An evaluation names every partition that was there, used or not; and one that has no features yet
        reaches it through the training.
        """
        made = self.known.get((table, partition))
        if stage == MODEL_STAGES[0]:
            return made is not None and made.at <= record.at
        return made is None or made.at < record.at

    def _upstream(self, place: Place) -> list[Place]:
        owner, stage = place[0].split("/")
        if stage in DATA_STAGES:
            return self._upstream_of_data(self.blueprint.datasets[owner], stage, place[1])
        if stage == MODEL_STAGES[0]:
            data = self._learned(owner)
            return [(data.table("features"), key) for key in self._window(data, self.known.get(place))]
        return [(f"{owner}/{MODEL_STAGES[MODEL_STAGES.index(stage) - 1]}", None)]

    def _upstream_of_data(self, dataset: DatasetShape, stage: str, partition: str | None) -> list[Place]:
        if stage == DATA_STAGES[0]:
            return []
        before = (dataset.table(DATA_STAGES[DATA_STAGES.index(stage) - 1]), partition)
        beside = dataset.references if stage == DATA_STAGES[1] else dataset.lookups
        others = [name for name in beside if name in self.blueprint.datasets]
        return [
            before,
            *((f"{name}/validated_data", key) for name in others for key in self._partitions[name]),
        ]

    def _window(self, data: DatasetShape, record: Materialization | None) -> list[str | None]:
        """The feature partitions that a model is made of: none older than the oldest that it used."""
        table = data.table("features")
        names = record.inputs if record else {}
        used = [name.partition("@")[2] for name in names if name.startswith(f"{table}@")]
        oldest = min(used, default="")
        return [key for key in self._partitions[data.name] if key is None or key >= oldest]

    def _learned(self, model: str) -> DatasetShape:
        return self.blueprint.datasets[self.blueprint.models[model]]

    def _seconds(self, place: Place) -> float | None:
        record = self.known.get(place)
        return record.seconds if record and record.seconds else self._usual.get(place[0])

    @cached_property
    def _partitions(self) -> dict[str, list[str | None]]:
        recorded: dict[str, set[str | None]] = {}
        for asset, partition in self.known:
            recorded.setdefault(asset.split("/")[0], set()).add(partition)
        return {
            name: [None]
            if dataset.partitions == "none"
            else [*sorted(key for key in {*self.landed.get(name, {}), *recorded.get(name, ())} if key)]
            for name, dataset in self.blueprint.datasets.items()
        }

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {asset: code.version for asset, code in self.blueprint.codes.items()}

    @cached_property
    def _usual(self) -> dict[str, float]:
        """The median of an asset's recorded durations, in seconds."""
        took: dict[str, list[float]] = {}
        for record in self.known.values():
            took.setdefault(record.asset, []).append(record.seconds)
        # The upper median: `statistics` takes longer to import than all of this to decide.
        return {asset: sorted(seconds)[len(seconds) // 2] for asset, seconds in took.items()}
