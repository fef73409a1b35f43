"""Deleting by rule what nothing needs any more: each deletion begins with a line that the ledger must accept.

That line is taken only while candidate, champion, rollout, approval, override and pin stand as they were when
the plan was rechecked; and none of these decisions is taken once it stands. So a decision and a deletion
never cross, and a deletion that a kill cut short is finished by the next one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from mlcicd_assets.ml.catalogue import Catalogue, ModelLane
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.history import (
    DELETED,
    DELETION_BEGAN,
    PINNED,
    RETENTION_PLANNED,
    UNPINNED,
    VACUUMED,
)
from mlcicd_assets.release.retention import (
    Inventory,
    Item,
    Plan,
    Rule,
    StoredPage,
    StoredRun,
    StoredVersion,
    plan,
    unfinished,
)
from mlcicd_assets.release.rollout_history import parse, rollout_pointer
from mlcicd_assets.release.run_files import (
    TRAINING,
    Candidate,
    candidate_pointer,
    champion_pointer,
    decision_pointer,
    override_pointer,
    pin_pointer,
    retention_pointer,
)
from resources.protocols import (
    Conflict,
    Lake,
    Ledger,
    Registry,
    Reports,
    ResourceError,
    ServingTarget,
    Tracking,
)

STAGES = ("raw_data", "validated_data", "features")


@dataclass(frozen=True)
class Store:
    """Everything that retention looks at and deletes from."""

    lake: Lake
    tracking: Tracking
    registry: Registry
    ledger: Ledger
    reports: Reports
    serving: ServingTarget
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Vacuum:
    """Files of a table that only replaced versions need."""

    table: str
    files: int
    kept: tuple[int, ...]  # table versions that a kept model learned from


# -- the plan ---------------------------------------------------------------------------------------------


def plan_model(store: Store, lane: ModelLane) -> Plan:
    """What would be deleted of a model now, and why the rest stays."""
    rule = Rule(lane.model.retention.keep_versions, lane.model.retention.keep_days)
    return plan(inventory(store, lane.model.name), store.ledger.entries(lane.model.name), rule, store.clock())


def inventory(store: Store, model: str) -> Inventory:
    """What a model keeps, by every store that has something of it."""
    trained = store.ledger.pointer(candidate_pointer(model))
    last = Candidate.parse(trained) if trained else None
    rollout = parse(store.ledger.pointer(rollout_pointer(model)))
    targets = (
        [one for one in (rollout.target, rollout.stable) if one] if rollout and not rollout.ended else []
    )
    return Inventory(
        model=model,
        versions=[
            StoredVersion(one.version, one.digest, one.run_id, _moment(one.created), one.aliases)
            for one in store.registry.versions(model)
        ],
        runs=[StoredRun(one.id, _moment(one.started), one.parent) for one in store.tracking.list_runs(model)],
        pages=[StoredPage(one.name, _moment(one.at)) for one in store.reports.pages(model)],
        candidate_run=last.run_id if last else "",
        candidate_digest=last.digest if last else "",
        rolling={one.version for one in targets},
        rolling_runs={one.run for one in targets if one.run},
        serving={
            server.version
            for server in store.serving.status().servers
            if server.model == model and server.state != "stopped"
        },
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def plan_tables(store: Store, catalogue: Catalogue) -> list[Vacuum]:
    """Which files of each dataset's tables only replaced versions need, that no kept model learned from."""
    used = used_versions(store, catalogue.models.values())
    return [
        Vacuum(
            table, len(_vacuum(store, table, days, used, dry_run=True)), tuple(sorted(used.get(table, ())))
        )
        for table, days in _tables(catalogue)
    ]


# What monitoring writes; a window that is computed again replaces its rows.
_WATCHED = ("monitoring", "episodes", "predictions")


def _tables(catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    for lane in catalogue.datasets.values():
        for stage in STAGES:
            yield lane.table(stage), lane.dataset.retention.keep_days
    for name, model in catalogue.models.items():
        for table in _WATCHED:
            yield f"{name}/{table}", model.data.dataset.retention.keep_days


def _vacuum(store: Store, table: str, days: int, used: Mapping[str, set[int]], *, dry_run: bool) -> list[str]:
    return store.lake.vacuum(
        table, older_than=timedelta(days=days), keep=used.get(table, ()), dry_run=dry_run
    )


def used_versions(store: Store, lanes: Iterable[ModelLane]) -> dict[str, set[int]]:
    """The table versions that any kept run learned from; raises ResourceError where one cannot be read.

    Fails closed: what a kept model learned from is never guessed.
    """
    used: dict[str, set[int]] = {}
    for lane in lanes:
        model = lane.model.name
        kept = inventory(store, model)
        runs = {one.run_id for one in kept.versions} | ({kept.candidate_run} - {""})
        for run_id in sorted(runs):
            for table, version in _learned_from(store, model, run_id):
                used.setdefault(table, set()).add(version)
    return used


def _learned_from(store: Store, model: str, run_id: str) -> list[tuple[str, int]]:
    with TemporaryDirectory(prefix="mlcicd-") as scratch:
        if not store.tracking.has(run_id, TRAINING):
            raise ResourceError(
                f"{model}: the run {run_id} of a kept version has no {TRAINING}: no table is vacuumed, "
                "because nobody can say what it learned from"
            )
        content = store.tracking.fetch(run_id, TRAINING, Path(scratch)).read_bytes()
    record = TrainingRecord.model_validate_json(content)
    return [*record.tables.items(), *((one.table, one.version) for one in record.data)]


# -- doing it ---------------------------------------------------------------------------------------------


def apply_model(store: Store, lane: ModelLane, planned: Plan, actor: str) -> list[Item]:
    """Finish what was begun, then delete what the plan names and still may go; returns what was deleted."""
    model = lane.model.name
    done = []
    for item in unfinished(store.ledger.entries(model)):
        _delete(store, model, item, actor)
        done.append(item)
    if planned.delete:
        store.ledger.append(
            RETENTION_PLANNED,
            model,
            actor=actor,
            reason=f"{len(planned.delete)} to delete, {len(planned.keep)} stay",
            details={"plan": planned.digest},
        )
    for item in planned.delete:
        if item in done:
            continue
        if _begin(store, lane, item, actor):
            _delete(store, model, item, actor)
            done.append(item)
    return done


def _begin(store: Store, lane: ModelLane, item: Item, actor: str) -> bool:
    """Look again, and have the ledger accept the deletion; False where it is needed after all."""
    model = lane.model.name
    holding = _standing_pointers(store.ledger, model, item)
    pointer = retention_pointer(model, item.run_id or item.name)
    # A report of the same name may come again; a run's id does not.
    expected = store.ledger.pointer(pointer) if item.kind == "report" else None
    if item not in plan_model(store, lane).delete:
        return False
    try:
        store.ledger.move(
            pointer,
            expected=expected,
            new=store.clock().isoformat(timespec="seconds"),
            action=DELETION_BEGAN,
            model=model,
            actor=actor,
            reason=item.reason,
            version=item.version,
            digest=item.digest or None,
            details={"kind": item.kind, "name": item.name, "run": item.run_id},
            holding=holding,
        )
    except Conflict:
        return False  # somebody decided, or another retention run was first
    return True


def _standing_pointers(ledger: Ledger, model: str, item: Item) -> dict[str, str | None]:
    names = [candidate_pointer(model), champion_pointer(model), rollout_pointer(model)]
    if item.digest:
        names += [decision_pointer(model, item.digest), override_pointer(model, item.digest)]
    if item.version is not None:
        names.append(pin_pointer(model, item.version))
    return {name: ledger.pointer(name) for name in names}


def _delete(store: Store, model: str, item: Item, actor: str) -> None:
    """Each step may be repeated: a kill in between leaves a deletion that was begun."""
    if item.version is not None:
        store.registry.delete_version(model, item.version)
    if item.run_id:
        store.tracking.delete(item.run_id)
    if item.kind == "report":
        store.reports.remove(item.name)
    what = f"version {item.name} and its run" if item.kind == "version" else f"{item.kind} {item.name}"
    store.ledger.append(
        DELETED,
        model,
        actor=actor,
        reason=item.reason,
        version=item.version,
        digest=item.digest or None,
        details={"kind": item.kind, "name": item.name, "run": item.run_id, "what": what},
    )


def apply_tables(store: Store, catalogue: Catalogue, actor: str) -> list[Vacuum]:
    """Vacuum every dataset's tables; returns those of which files were deleted."""
    used = used_versions(store, catalogue.models.values())
    done = []
    for table, days in _tables(catalogue):
        files = _vacuum(store, table, days, used, dry_run=False)
        if files:
            done.append(Vacuum(table, len(files), tuple(sorted(used.get(table, ())))))
            store.ledger.append(
                VACUUMED,
                table,
                actor=actor,
                reason=f"{len(files)} files that only versions replaced {days} days ago needed",
                details={"files": len(files), "kept versions": list(done[-1].kept)},
            )
    return done


# -- pins -------------------------------------------------------------------------------------------------


def pin(store: Store, model: str, version: int, *, by: str, reason: str, pinned: bool = True) -> bool:
    """Keep retention away from a version, or let it come back; False where that stood already.

    Raises ResourceError for a version that is not there, or is being deleted.
    """
    found = store.registry.get(model, version)
    if found is None:
        raise ResourceError(f"the registry has no version {version} of {model}")
    name = pin_pointer(model, version)
    before, after = store.ledger.pointer(name), "pinned" if pinned else None
    if before == after:
        return False
    try:
        store.ledger.move(
            name,
            expected=before,
            new=after,
            action=PINNED if pinned else UNPINNED,
            model=model,
            actor=by,
            reason=reason,
            version=version,
            digest=found.digest,
            holding={retention_pointer(model, found.run_id): None},
        )
    except Conflict as conflict:
        raise ResourceError(
            f"{model} version {version} is being deleted, or somebody pins it at this moment"
        ) from conflict
    return True


def plans_digest(plans: Sequence[Plan]) -> str:
    """One digest for the plans of several models, in order."""
    import hashlib

    return hashlib.sha256("".join(one.digest for one in plans).encode()).hexdigest()[:16]
