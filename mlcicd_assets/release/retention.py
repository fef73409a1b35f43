"""What may be deleted of a model, and why everything else stays. Rules only: nothing here deletes.

A version goes when it is neither among the newest nor young enough and nothing needs it. Its run and its
reports go with it; a run without a version goes by its age.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mlcicd_assets.release import history as told
from mlcicd_assets.release.decisions import newest_decision, newest_override, requested
from mlcicd_assets.release.history import Line
from mlcicd_assets.release.lifecycle import standing

Kind = Literal["version", "run", "report"]


@dataclass(frozen=True)
class Rule:
    """What is kept: versions among the newest, and whatever is younger."""

    keep_versions: int
    keep_days: int


@dataclass(frozen=True)
class StoredVersion:
    """A registered version as the registry has it."""

    version: int
    digest: str
    run_id: str
    created: datetime
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredRun:
    """A tracked run; `parent` is the run that it is a part of."""

    id: str
    started: datetime
    parent: str | None = None


@dataclass(frozen=True)
class StoredPage:
    """A report."""

    name: str
    at: datetime


@dataclass(frozen=True)
class Inventory:
    """What a model keeps, and what the ledger's pointers name of it."""

    model: str
    versions: Sequence[StoredVersion] = ()
    runs: Sequence[StoredRun] = ()
    pages: Sequence[StoredPage] = ()
    candidate_run: str = ""  # of the last trained package
    candidate_digest: str = ""
    rolling: Collection[int] = ()  # versions in a rollout that goes on: canary, shadow, and what they replace
    rolling_runs: Collection[str] = ()
    serving: Collection[int] = ()  # versions with a server, whatever the ledger says


@dataclass(frozen=True)
class Item:
    """One thing, and why it goes or stays."""

    kind: Kind
    name: str  # version number, run id, page
    reason: str
    version: int | None = None
    digest: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Plan:
    """What is deleted, and what stays."""

    model: str
    delete: tuple[Item, ...] = ()
    keep: tuple[Item, ...] = field(default=(), compare=False)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of what is deleted: a plan that was looked at is the plan that is applied."""
        content = [self.model, *(asdict(item) for item in self.delete)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def plan(inventory: Inventory, lines: Sequence[Line], rule: Rule, now: datetime) -> Plan:
    """Decide on everything that a model keeps."""
    kept_versions = needed_versions(inventory, lines, rule, now)
    delete: list[Item] = []
    keep: list[Item] = []
    for one in inventory.versions:
        why = kept_versions.get(one.version)
        item = Item("version", str(one.version), why or _old(rule), one.version, one.digest, one.run_id)
        (keep if why else delete).append(item)
    kept_digests = {
        inventory.candidate_digest,
        *(one.digest for one in inventory.versions if one.version in kept_versions),
    }
    runs = _needed_runs(inventory, lines, kept_digests, rule, now)
    of_versions = {one.run_id for one in inventory.versions}
    for run in inventory.runs:
        if run.id in of_versions:
            continue  # goes and stays with its version
        why = runs.get(run.id)
        (keep if why else delete).append(Item("run", run.id, why or _old(rule), run_id=run.id))
    for page in inventory.pages:
        why = _needed_page(page, kept_digests, rule, now)
        (keep if why else delete).append(Item("report", page.name, why or _old(rule)))
    return Plan(inventory.model, tuple(delete), tuple(keep))


def needed_versions(
    inventory: Inventory, lines: Sequence[Line], rule: Rule, now: datetime
) -> Mapping[int, str]:
    """Why each version that stays has to: the first reason that holds."""
    newest = sorted((one.version for one in inventory.versions), reverse=True)[: rule.keep_versions]
    reasons = {}
    for one in inventory.versions:
        why = _needed_by_release(inventory, lines, one, now)
        if why is None and one.version in newest:
            why = f"among the newest {rule.keep_versions}"
        if why is None and now - one.created < timedelta(days=rule.keep_days):
            why = f"younger than {rule.keep_days} days"
        if why is not None:
            reasons[one.version] = why
    return reasons


def _needed_by_release(
    inventory: Inventory, lines: Sequence[Line], one: StoredVersion, now: datetime
) -> str | None:
    stands = standing(lines, inventory.model)
    for alias in ("champion", "previous", "staging", "challenger"):
        if stands.of(alias) == one.version:
            return alias
    if one.aliases:
        return f"the registry's alias {one.aliases[0]} stands on it"
    if one.version in inventory.rolling:
        return "in a rollout that goes on"
    if one.version in inventory.serving:
        return "a server runs it"
    if one.digest == inventory.candidate_digest:
        return "the last trained package"
    if pinned(lines, one.version):
        return "pinned"
    if requested(lines, one.version, one.digest):
        return "waits for approval"
    return _decided(lines, one, now)


def _decided(lines: Sequence[Line], one: StoredVersion, now: datetime) -> str | None:
    """An approval or override that may still be used keeps its artifact."""
    for line in (newest_decision(lines, one.version, one.digest), newest_override(lines, one.digest)):
        if line is None or line.action == told.REJECTED:
            continue
        until = line.details.get("expires")
        if until and now < datetime.fromisoformat(str(until)):
            return f"{line.action} until {until}"
    return None


def pinned(lines: Iterable[Line], version: int) -> bool:
    """Whether somebody pinned the version, and nobody took that back."""
    held = False
    for line in lines:
        if line.version == version and line.action in {told.PINNED, told.UNPINNED}:
            held = line.action == told.PINNED
    return held


def _needed_runs(
    inventory: Inventory, lines: Sequence[Line], kept_digests: Collection[str], rule: Rule, now: datetime
) -> Mapping[str, str]:
    made = {
        str(line.details.get("run")): line.digest
        for line in lines
        if line.action == told.TRAINED and line.digest
    }
    kept_by_version = {one.run_id for one in inventory.versions if one.digest in kept_digests}
    reasons: dict[str, str] = {}
    for run in inventory.runs:
        if run.id == inventory.candidate_run or run.id in inventory.rolling_runs:
            reasons[run.id] = "of the release that goes on"
        elif run.id in kept_by_version or made.get(run.id) in kept_digests:
            reasons[run.id] = "of a version that stays"
        elif now - run.started < timedelta(days=rule.keep_days):
            reasons[run.id] = f"younger than {rule.keep_days} days"
    stays = set(reasons)
    known = {run.id for run in inventory.runs}
    for run in inventory.runs:
        if run.parent in stays:
            reasons[run.id] = "a part of a run that stays"
        elif run.parent in known and run.id in reasons:
            del reasons[run.id]  # goes with the run that it is a part of
    return reasons


def _needed_page(page: StoredPage, kept: Collection[str], rule: Rule, now: datetime) -> str | None:
    stem = page.name.rpartition("/")[2].partition(".")[0]
    if any(digest and digest.startswith(stem) for digest in kept):
        return "of a version that stays"
    return f"younger than {rule.keep_days} days" if now - page.at < timedelta(days=rule.keep_days) else None


def _old(rule: Rule) -> str:
    return f"older than {rule.keep_days} days, and nothing needs it"


# -- what was begun ---------------------------------------------------------------------------------------


def unfinished(lines: Iterable[Line]) -> list[Item]:
    """Deletions that the ledger saw begin and not end: a killed run's, to be finished first."""
    begun: dict[str, Item] = {}
    for line in lines:
        key = f"{line.details.get('kind')}/{line.details.get('name')}"
        if line.action == told.DELETION_BEGAN:
            begun[key] = Item(
                line.details["kind"],
                line.details["name"],
                line.reason,
                line.version,
                line.digest or "",
                str(line.details.get("run") or ""),
            )
        elif line.action == told.DELETED:
            begun.pop(key, None)
    return list(begun.values())
