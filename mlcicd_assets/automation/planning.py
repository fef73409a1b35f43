"""Turning what is stale into as few runs as possible, in the order data flows."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.staleness import Place, Status, select_assets
from mlcicd_assets.codebase.areas import ASSET
from mlcicd_assets.ml.periods import FORMATS, end_of, start_of


@dataclass(frozen=True)
class PlannedRun:
    """One run of Dagster: assets, over one contiguous range of partitions where they have any."""

    statuses: tuple[Status, ...]
    partitions: tuple[str, str] | None  # first and last

    @property
    def assets(self) -> list[str]:
        """In the order data flows."""
        return list(dict.fromkeys(status.asset for status in self.statuses))

    @property
    def selection(self) -> str:
        """As `dagster asset materialize --select` takes it."""
        return select_assets(self.assets)

    @property
    def partition_range(self) -> str | None:
        """As `--partition-range` takes it."""
        return f"{self.partitions[0]}...{self.partitions[1]}" if self.partitions else None

    @property
    def seconds(self) -> float:
        """What it takes by what was recorded; what nobody knows counts nothing."""
        return sum(status.seconds or 0.0 for status in self.statuses)


def next_run(
    blueprint: Blueprint, statuses: Sequence[Status], tried: Collection[Place] = ()
) -> PlannedRun | None:
    """The first run of the plan; None when nothing (more) can be run.

    Only what must run whatever comes out above it: a reason of its own, and nothing stale above but what runs
    with it. So assess again after each run, and content that did not change stops the wave. What was `tried`
    is not run again, nor is what is behind it.
    """
    ready = _ready(statuses, tried)
    # The code is checked with the first data, or alone: its failures are known before anything is trained.
    early = {*blueprint.datasets, ASSET}
    data = [status for status in ready if status.asset.split("/")[0] in early]
    # Model lanes after the data, in one run of their own.
    if [status.asset for status in data] == [ASSET]:
        return PlannedRun(tuple(ready), None)
    return _first(blueprint, data) if data else PlannedRun(tuple(ready), None) if ready else None


def with_what_follows(planned: PlannedRun, statuses: Sequence[Status]) -> PlannedRun:
    """The run with the later stages of its own lanes that are stale only because of it.

    One run instead of one for each stage; content that turns out the same no longer stops the wave within it.
    """
    run = list(planned.statuses)
    places = {status.place for status in run}
    keys = {status.partition for status in run}
    owners = {status.asset.split("/")[0] for status in run}
    later: dict[str, list[Status]] = {}
    for status in statuses:
        if status.state == "stale" and status.partition in keys and status.place not in places:
            later.setdefault(status.asset, []).append(status)
    for asset, group in later.items():  # in the order data flows within a lane
        # Dagster runs an asset for the whole range, or not at all.
        whole = {one.partition for one in group} == {None} or {
            None,
            *(one.partition for one in group),
        } >= keys
        follows = all(place in places for one in group for place in one.behind)
        if asset.split("/")[0] in owners and whole and follows:
            run += group
            places |= {one.place for one in group}
    return PlannedRun(tuple(run), planned.partitions)


def preview(blueprint: Blueprint, statuses: Sequence[Status]) -> Iterator[PlannedRun]:
    """All runs, if the content of everything that runs changes: the most that there will be."""
    left = list(statuses)
    while planned := next_run(blueprint, left):
        yield planned
        done = {status.place for status in planned.statuses}
        left = [_after(status, done) for status in left if status.place not in done]


def _after(status: Status, done: set[Place]) -> Status:
    behind = tuple(place for place in status.behind if place not in done)
    return status if behind == status.behind else replace(status, behind=behind, own=status.own or not behind)


def _ready(statuses: Sequence[Status], tried: Collection[Place]) -> list[Status]:
    """In the order data flows, so that what is above was decided before."""
    ready: dict[Place, Status] = {}
    for status in _flowing(statuses):
        may = status.state == "stale" and status.own and status.place not in tried
        if may and all(place in ready for place in status.behind):
            ready[status.place] = status
    return list(ready.values())


def _flowing(statuses: Sequence[Status]) -> Iterator[Status]:
    """What is stale, each after what it is behind: a dataset may be declared before one that it looks up."""
    stale = {status.place: status for status in statuses if status.state == "stale"}
    seen: set[Place] = set()
    for start in stale:
        pending = [start]
        while pending:
            place = pending[-1]
            above = [one for one in stale[place].behind if one in stale and one not in seen]
            if place in seen or not above:
                pending.pop()
                if place not in seen:
                    seen.add(place)
                    yield stale[place]
            else:
                pending.extend(above)


def _first(blueprint: Blueprint, ready: list[Status]) -> PlannedRun:
    """Everything without partitions, with the first contiguous range of one dataset that needs no other."""
    whole = [status for status in ready if status.partition is None]
    if len(whole) == len(ready):
        return PlannedRun(tuple(whole), None)
    first = next(status for status in ready if status.partition is not None)
    name = first.asset.split("/")[0]
    by_key: dict[str, list[Status]] = {}
    for status in ready:
        if status.partition is not None and status.asset.split("/")[0] == name:
            by_key.setdefault(status.partition, []).append(status)
    keys = list(_contiguous(blueprint.datasets[name].partitions, by_key))
    chosen = [*(status for key in keys for status in by_key[key])]
    together = {status.place for status in [*whole, *chosen]}
    joining = [status for status in whole if set(status.behind) <= together]
    alone = {status.place for status in joining} | {status.place for status in chosen}
    if not all(set(status.behind) <= alone for status in [*joining, *chosen]):
        return PlannedRun(tuple(whole), None)
    order = {status.place: number for number, status in enumerate(ready)}
    run = sorted([*joining, *chosen], key=lambda status: order[status.place])
    return PlannedRun(tuple(run), (keys[0], keys[-1]))


def _contiguous(kind: str, by_key: dict[str, list[Status]]) -> Iterator[str]:
    """The first keys that follow each other without a gap and need the same stages."""
    before, stages = "", {""}
    for key in sorted(by_key):
        needed = {status.asset for status in by_key[key]}
        if before and (needed != stages or not _follows(kind, before, key)):
            return
        yield key
        before, stages = key, needed


def _follows(kind: str, before: str, key: str) -> bool:
    return kind in FORMATS and end_of(kind, before) == start_of(kind, key)


def total_seconds(statuses: Iterable[Status]) -> float:
    """What everything stale takes by what was recorded."""
    return sum(status.seconds or 0.0 for status in statuses if status.state == "stale")
