"""From a branch that moved to requests: one for each model that the new state concerns."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.changes import code_change
from mlcicd_assets.automation.triggers.footprint import Footprint
from mlcicd_assets.automation.triggers.globs import matches
from mlcicd_assets.ml.catalogue import Catalogue
from resources.protocols import Materialization, Movement, Repository, Request

TRIGGER = "git_trigger"
_NAMED = 3  # in the sentence for people
_LISTED = 20  # commits and authors in the evidence
_FILES = 50


@dataclass(frozen=True)
class Branch:
    """What of a branch was turned into requests."""

    commit: str
    rewrites: int = 0  # how often it was moved other than forward: an old commit may then be news again
    models: tuple[str, ...] = ()  # for which it was looked at


@dataclass(frozen=True)
class Cursor:
    """Where the git trigger stands. When it is lost, every branch is looked at for the first time again."""

    branches: Mapping[str, Branch] = field(default_factory=dict)
    asked: float = 0.0  # when a remote repository was last asked, in seconds of the clock
    failing: float = 0.0  # since when it cannot be reached; 0: it can

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Undo `text`; one that cannot be read counts as lost."""
        try:
            found = json.loads(text or "{}")
            branches = {
                name: Branch(one["commit"], int(one["rewrites"]), tuple(one["models"]))
                for name, one in found.get("branches", {}).items()
            }
            return cls(branches, float(found.get("asked", 0)), float(found.get("failing", 0)))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """As Dagster keeps it."""
        return json.dumps(asdict(self), sort_keys=True)


def watching(catalogue: Catalogue, branch: str) -> list[str]:
    """The models that ask to be trained by the commits of a branch."""
    declared = {name: lane.model.retrain for name, lane in catalogue.models.items()}
    return [
        name
        for name, retrain in declared.items()
        if retrain and retrain.code and matches(retrain.branches, branch)
    ]


def next_branch(before: Branch | None, commit: str, movement: Movement, models: Sequence[str]) -> Branch:
    """Where a branch stands after a look."""
    rewrites = before.rewrites if before else 0
    rewritten = before is not None and before.commit != commit and not movement.forward
    return Branch(commit, rewrites + rewritten, tuple(models))


@dataclass(frozen=True)
class Look:
    """One branch at one moment, compared with what was seen before."""

    repository: Repository
    branch: str
    commit: str
    before: str | None
    movement: Movement
    rewrites: int
    deliveries: tuple[str, ...] = ()  # of webhooks that told of it

    def requests(self, footprints: Mapping[str, Footprint], outdated: Mapping[str, str]) -> Iterator[Request]:
        """For each model that the changed files concern, or that is `outdated`: model -> why."""
        for model, footprint in footprints.items():
            files = footprint.touched(self.movement.files)
            if model in outdated:
                yield self._request(
                    model, files, f"{self.branch} is at {self.commit[:12]}: {outdated[model]}"
                )
            elif files:
                yield self._request(model, files, self._reason(model, files))

    def _request(self, model: str, files: Sequence[str], reason: str) -> Request:
        return Request(
            scope=f"model:{model}",
            cause="code",
            # Moved back to a commit that was asked for before: that is news.
            fingerprint=f"{self.commit}+{self.rewrites}" if self.rewrites else self.commit,
            reason=reason,
            evidence=self._evidence(files),
            by=TRIGGER,
        )

    def _reason(self, model: str, files: Sequence[str]) -> str:
        count = self.movement.count
        commits = f"{count} commits" if count != 1 else "a commit"
        told = f"{commits} on {self.branch} changed {model}: {_listed(files)}"
        if self.before is not None and not self.movement.forward:
            return (
                f"{self.branch} was rewritten to {self.commit[:12]}, which changes {model}: {_listed(files)}"
            )
        return told

    def _evidence(self, files: Sequence[str]) -> dict[str, Any]:
        commits = self.movement.commits
        authors = list(dict.fromkeys(commit.author for commit in commits))
        return {
            "repository": self.repository.address,
            "branch": self.branch,
            "commit": self.commit,
            "before": self.before,
            "rewritten": self.before is not None and not self.movement.forward,
            "commits": [asdict(commit) for commit in commits[:_LISTED]],
            "commit_count": self.movement.count,
            "authors": authors[:_LISTED],
            "files": list(files[:_FILES]),
            "file_count": len(files),
            "deliveries": list(self.deliveries[:_LISTED]),
        }


def outdated(
    blueprint: Blueprint, records: Iterable[Materialization], models: Iterable[str]
) -> dict[str, str]:
    """Why each model has to be made anew whatever changed lately: it never was, or by other code."""
    made: dict[str, list[Materialization]] = {}
    for record in records:
        made.setdefault(record.asset.split("/")[0], []).append(record)
    found = {}
    for model in models:
        lane = [*made.get(blueprint.models[model], []), *made.get(model, [])]
        reason = next((told for record in lane if (told := _other_code(blueprint, record))), "")
        if not any(record.asset == f"{model}/{MODEL_STAGES[0]}" for record in lane):
            reason = f"{model} was never trained"
        if reason:
            found[model] = reason
    return found


def _other_code(blueprint: Blueprint, record: Materialization) -> str:
    code = blueprint.codes.get(record.asset)
    changed = code_change(record, code, code.version) if code else ""
    return f"{record.asset} was made by other code ({changed})" if changed else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
