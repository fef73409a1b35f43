"""What is stale, and why: decided from what was recorded, without Dagster, and without running anything.

A record says what an asset (partition) was made of and by which code. It is fresh while the code is the same
and every input still has the content that was read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mlcicd_assets.ml.catalogue import Catalogue, DataLane
from mlcicd_assets.ml.code_versions import data_stage, model_stage
from mlcicd_assets.ml.periods import end_of, start_of
from resources.protocols import Landing, Materialization, ResourceError

DATA_STAGES = ("raw_data", "validated_data", "features")
# monitoring_report looks at live traffic: it is never fresh, so it is never stale.
MODEL_STAGES = (
    "trained_model",
    "evaluation_report",
    "registered_model",
    "staging_deployment",
    "deployment",
)

Place = tuple[str, str | None]  # asset and partition
Landed = Mapping[str, Mapping[str | None, str]]  # dataset -> partition -> fingerprint of the file


@dataclass(frozen=True)
class Status:
    """One asset (partition): fresh; stale with the reason; or waiting for records that have not landed."""

    asset: str
    partition: str | None
    state: Literal["fresh", "stale", "waiting"]
    reason: str = ""

    @property
    def name(self) -> str:
        """As records and people write it: `flights/raw_data@2013-01`."""
        return _name((self.asset, self.partition))


def current_codes(catalogue: Catalogue) -> dict[str, str]:
    """The code version of every asset as the files stand now; raises FingerprintError."""
    codes = {
        lane.table(stage): data_stage(lane, stage)
        for lane in catalogue.datasets.values()
        for stage in _stages(lane)
    }
    for name, model in catalogue.models.items():
        codes |= {f"{name}/{stage}": model_stage(model, stage) for stage in MODEL_STAGES}
    return codes


def landed_files(catalogue: Catalogue, landing: Landing, now: datetime) -> dict[str, dict[str | None, str]]:
    """The fingerprints of what has landed, by dataset and partition.

    `now` (without offset, UTC) ends the partitions: one that is not over yet cannot be materialized.
    """
    return {name: _landed(lane, landing, now) for name, lane in catalogue.datasets.items()}


def _landed(lane: DataLane, landing: Landing, now: datetime) -> dict[str | None, str]:
    template = lane.dataset.source.files
    if lane.dataset.partitions == "none":
        try:
            return {None: landing.find(template, None).fingerprint}
        except ResourceError:  # nothing has landed, and assess says so
            return {}
    keys = [key for key in landing.partitions(template) if _complete(lane, key, now)]
    return {key: landing.find(template, key).fingerprint for key in keys}


def _complete(lane: DataLane, key: str, now: datetime) -> bool:
    try:
        start, end = start_of(lane.dataset.partitions, key), end_of(lane.dataset.partitions, key)
    except ValueError:  # a file beside the partitions, named otherwise
        return False
    return end <= now and (lane.dataset.start is None or start.date() >= lane.dataset.start)


def assess(
    catalogue: Catalogue,
    records: Iterable[Materialization],
    landed: Landed,
    codes: Mapping[str, str],
    champions: Mapping[str, str],
) -> list[Status]:
    """Say of each asset (partition) whether it is fresh, in the order data flows.

    `champions` holds the digest of each model's champion; a model without one is left out.
    """
    known: dict[Place, Materialization] = {(record.asset, record.partition): record for record in records}
    return list(_Assessment(catalogue, known, landed, codes, champions).all())


def selection(statuses: Iterable[Status]) -> str:
    """The stale assets as `dagster asset materialize --select` takes them; empty when nothing is stale."""
    names = dict.fromkeys(status.asset for status in statuses if status.state == "stale")
    return " or ".join(f'key:"{name}"' for name in names)


def partition_range(statuses: Iterable[Status]) -> str | None:
    """The stale partitions as `--partition-range` takes them; None when no stale asset has partitions."""
    keys = sorted({status.partition for status in statuses if status.state == "stale" and status.partition})
    return f"{keys[0]}...{keys[-1]}" if keys else None


@dataclass
class _Assessment:
    catalogue: Catalogue
    known: Mapping[Place, Materialization]
    landed: Landed
    codes: Mapping[str, str]
    champions: Mapping[str, str]
    decided: dict[Place, Status] = field(default_factory=dict)

    def all(self) -> Iterator[Status]:
        for lane in self.catalogue.datasets.values():
            for stage in _stages(lane):
                yield from (
                    self.status((lane.table(stage), partition)) for partition in self._partitions(lane)
                )
        for model in self.catalogue.models:
            yield from (self.status((f"{model}/{stage}", None)) for stage in MODEL_STAGES)

    def status(self, place: Place) -> Status:
        if place not in self.decided:
            state, reason = self._decide(place)
            self.decided[place] = Status(*place, state, reason)
        return self.decided[place]

    def _decide(self, place: Place) -> tuple[Literal["fresh", "stale", "waiting"], str]:
        record = self.known.get(place)
        above = [self.status(upstream) for upstream in self._upstream(place)]
        if record is None:
            missing = self._missing(place, above)
            return ("waiting", missing) if missing else ("stale", "never materialized")
        if record.code != self.codes[place[0]]:
            return "stale", f"code changed: {_short(record.code)} → {_short(self.codes[place[0]])}"
        changed = next(self._changes(record), None) or self._arrived(place, record)
        if changed:
            return "stale", f"data changed: {changed}"
        stale = next((status for status in above if status.state == "stale"), None)
        return ("stale", f"upstream {stale.name} is stale") if stale else ("fresh", "")

    def _missing(self, place: Place, above: list[Status]) -> str:
        """What has to land before this can be made for the first time; empty when all is there."""
        owner, stage = place[0].split("/")
        if stage == "raw_data" and place[1] not in self.landed.get(owner, {}):
            files = self.catalogue.datasets[owner].dataset.source.files
            return f"{files.replace('{partition}', place[1] or '')} has not landed"
        if stage == "trained_model" and not above:
            data = self.catalogue.models[owner].data.dataset
            return f"{data.source.files} has not landed"
        return next((status.reason for status in above if status.state == "waiting"), "")

    def _changes(self, record: Materialization) -> Iterator[str]:
        for name, before in record.inputs.items():
            now = self._content(record, name)
            if now is not None and now != before:
                yield f"{name} {_short(before)} → {_short(now)}"

    def _content(self, record: Materialization, name: str) -> str | None:
        """An input's content now; None where it is gone, which changes nothing that was made of it."""
        owner = record.asset.split("/")[0]
        if name.split(":")[0] == "file":
            return self.landed.get(owner, {}).get(record.partition)
        if name == "champion":
            champion = self.champions.get(owner, "none")
            # The candidate that became champion was judged: it is not compared with itself.
            own = champion == record.inputs.get(f"{owner}/trained_model")
            return record.inputs[name] if own else champion
        asset, _, partition = name.partition("@")
        upstream = self.known.get((asset, partition or None))
        return upstream.content if upstream else None

    def _arrived(self, place: Place, record: Materialization) -> str:
        """A partition that came after a model was trained, and belongs to its training window."""
        owner, stage = place[0].split("/")
        if stage != "trained_model":
            return ""
        table = self.catalogue.models[owner].data.table("features")
        used = {name.partition("@")[2] for name in record.inputs if name.startswith(f"{table}@")}
        new = [
            partition
            for _, partition in self._upstream(place)
            if used and partition and partition not in used and not self._seen(table, partition, record)
        ]
        return f"{table}@{new[0]} is new" if new else ""

    def _seen(self, table: str, partition: str, trained: Materialization) -> bool:
        """Whether a partition was there when the model was trained: too few of its labels were known."""
        made = self.known.get((table, partition))
        return made is not None and made.at <= trained.at

    def _upstream(self, place: Place) -> list[Place]:
        owner, stage = place[0].split("/")
        if stage in DATA_STAGES:
            return self._upstream_of_data(self.catalogue.datasets[owner], stage, place[1])
        if stage == MODEL_STAGES[0]:
            data = self.catalogue.models[owner].data
            record = self.known.get(place)
            return [(data.table("features"), key) for key in self._window(data, record)]
        return [(f"{owner}/{MODEL_STAGES[MODEL_STAGES.index(stage) - 1]}", None)]

    def _upstream_of_data(self, lane: DataLane, stage: str, partition: str | None) -> list[Place]:
        if stage == "raw_data":
            return []
        before = (lane.table(DATA_STAGES[DATA_STAGES.index(stage) - 1]), partition)
        targets = {target.split(".")[0] for target in lane.dataset.references.values()}
        beside = sorted(targets) if stage == "validated_data" else lane.dataset.lookups
        others = [self.catalogue.datasets[name] for name in beside if name in self.catalogue.datasets]
        return [
            before,
            *((other.table("validated_data"), key) for other in others for key in self._partitions(other)),
        ]

    def _window(self, data: DataLane, record: Materialization | None) -> list[str | None]:
        """The feature partitions that a model is made of: none older than the oldest that it used."""
        table = data.table("features")
        names = record.inputs if record else {}
        used = sorted(name.partition("@")[2] for name in names if name.startswith(f"{table}@"))
        return [key for key in self._partitions(data) if not used or key is None or key >= used[0]]

    def _partitions(self, lane: DataLane) -> list[str | None]:
        if lane.dataset.partitions == "none":
            return [None]
        recorded = {partition for asset, partition in self.known if asset.split("/")[0] == lane.dataset.name}
        keys = {*self.landed.get(lane.dataset.name, {}), *recorded}
        return [*sorted(key for key in keys if key)]


def _stages(lane: DataLane) -> tuple[str, ...]:
    return DATA_STAGES if lane.dataset.features else DATA_STAGES[:2]


def _name(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}@{place[1]}"


def _short(content: str) -> str:
    return content[:12]
