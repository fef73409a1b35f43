"""The story of a version, from commit and data to traffic, from the ledger's lines, for anybody to read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcicd_assets.release import history as told
from mlcicd_assets.release.history import Line
from mlcicd_assets.release.lifecycle import standing
from mlcicd_assets.release.run_files import champion_pointer
from mlcicd_assets.release.verdict import Verdict

# What a person, not a run, decided outside the usual way, or what should never have happened.
_LOUD = {told.OVERRIDDEN, told.ALIAS_BY_HAND, told.ROLLED_BACK, told.REJECTED, told.BUDGET_OVERRIDDEN}
_MINOR = {told.ALIAS_MOVED}


@dataclass(frozen=True)
class Event:
    """One thing that happened, in a sentence."""

    seq: int
    at: str
    who: str
    action: str
    version: int | None
    digest: str | None
    text: str
    why: str
    loud: bool


@dataclass(frozen=True)
class Story:
    """A version's way: what it is made of, and everything that was done with it."""

    model: str
    version: int | None
    digest: str | None
    stage: str
    made_of: tuple[str, ...]
    events: tuple[Event, ...]


def events(lines: Sequence[Line], model: str, *, minor: bool = False) -> list[Event]:
    """A model's history in sentences; with `minor`, the mirror's own moves as well."""
    return [_event(line, model) for line in lines if minor or line.action not in _MINOR]


def story(
    lines: Sequence[Line], model: str, version: int, verdict: Verdict | None = None, *, minor: bool = False
) -> Story:
    """What the ledger knows of one version, and what its verdict says that it is made of."""
    digests = {line.digest for line in lines if line.version == version and line.digest}
    digest = verdict.digest if verdict else next(iter(digests), None)
    known = digests | ({digest} if digest else set())
    about = [line for line in lines if _concerns(line, model, version, known)]
    return Story(
        model=model,
        version=version,
        digest=digest,
        stage=standing(lines, model).stage(version),
        made_of=tuple(made_of(verdict)) if verdict else (),
        events=tuple(events(about, model, minor=minor)),
    )


def _concerns(line: Line, model: str, version: int, digests: Collection[str]) -> bool:
    if line.version == version or (line.digest is not None and line.digest in digests):
        return True
    moved = line.details.get("pointer") or {}
    return moved.get("name") == champion_pointer(model) and moved.get("from") == str(version)


def made_of(verdict: Verdict) -> list[str]:
    """Commit, data and gates in sentences."""
    dirty = ", with changes that were not committed" if verdict.dirty else ""
    author = f" by {verdict.author}" if verdict.author else ""
    lines = [f"code: commit {verdict.commit[:12]}{author}{dirty}"]
    tables: dict[str, list[Any]] = {}
    for used in verdict.data:
        tables.setdefault(used.table, []).append(used)
    for table, parts in tables.items():
        keys = [used.partition for used in parts if used.partition]
        span = f", {len(keys)} partitions {keys[0]} to {keys[-1]}" if keys else ""
        versions = sorted({used.version for used in parts})
        lines.append(f"data: {table}{span} (table version {versions[-1]})")
    lines.append(
        f"judged on: {verdict.holdout.start} to {verdict.holdout.end}, {verdict.holdout.rows} records"
    )
    failed = [gate.name for gate in verdict.gates if not gate.passed]
    passed = len(verdict.gates) - len(failed)
    lines.append(
        f"gates: {passed} passed" + (f", {len(failed)} failed: {', '.join(failed)}" if failed else "")
    )
    if verdict.champion:
        lines.append(f"compared with: the champion of then, version {verdict.champion.version}")
    return lines


def _event(line: Line, model: str) -> Event:
    return Event(
        seq=line.seq,
        at=line.at,
        who=line.actor,
        action=line.action,
        version=line.version,
        digest=line.digest,
        text=_sentence(line, model),
        why=line.reason,
        loud=line.action in _LOUD,
    )


def _sentence(line: Line, model: str) -> str:
    version = f"version {line.version}" if line.version is not None else "the artifact"
    details = line.details
    commit = str(details.get("commit", "?"))[:12]
    known = {
        told.TRAINED: f"trained as {str(line.digest)[:12]} from commit {commit}",
        told.TRAINING_FAILED: "a training failed",
        told.BUDGET_OVERRIDDEN: f"OVERRIDE: the budget of {details.get('month', '?')} may be exceeded",
        told.VERDICT: f"judged by its gates: {'passed' if details.get('passed') else 'failed'}",
        told.REGISTERED: f"registered as {version}",
        told.STAGED: f"{version} served in staging",
        told.APPROVAL_REQUESTED: f"{version} waits for a person's approval",
        told.APPROVED: f"{version} approved until {details.get('expires', '?')}{_signed(details)}",
        told.REJECTED: f"{version} rejected{_signed(details)}",
        told.OVERRIDDEN: f"OVERRIDE: {_waived(details)} waived until {details.get('expires', '?')}"
        f"{_signed(details)}",
        told.PROMOTED: f"{version} became champion{_replaced(details, model)}",
        told.ALIAS_MOVED: f"MLflow's alias {details.get('alias')} follows: {_to(details.get('to'))}",
        told.ALIAS_BY_HAND: f"MLflow's alias {details.get('alias')} was moved BY HAND to "
        f"{_to(details.get('found'))}",
        told.PINNED: f"{version} pinned: retention keeps it",
        told.UNPINNED: f"{version} no longer pinned",
        told.DELETED: f"deleted by retention: {details.get('what', version)}",
    }
    if line.action in known:
        return known[line.action]
    return f"{line.action.replace('_', ' ')}: {version}{_traffic(details)}{_replaced(details, model)}"


def _signed(details: Mapping[str, Any]) -> str:
    return f", signed by {details['signed by']}" if details.get("signed by") else ""


def _waived(details: Mapping[str, Any]) -> str:
    gates = [f"gate {gate}" for gate in details.get("gates", [])]
    return ", ".join([*gates, *(["approval"] if details.get("approval") else [])]) or "nothing"


def _replaced(details: Mapping[str, Any], model: str) -> str:
    moved = details.get("pointer") or {}
    if moved.get("name") != champion_pointer(model):
        return ""
    before = f"instead of version {moved['from']}" if moved.get("from") else "the first one"
    return f", {before}"


def _traffic(details: Mapping[str, Any]) -> str:
    weights = details.get("weights")
    if not isinstance(weights, Mapping) or not weights:
        return ""
    shares = ", ".join(f"version {one} {share} %" for one, share in weights.items())
    return f" (traffic: {shares})"


def _to(version: object) -> str:
    return "no version" if version is None else f"version {version}"
