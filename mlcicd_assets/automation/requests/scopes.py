"""What a request's scope means: the lane that it asks for, what is above that, and whom it concerns below."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.requests.policy import Policy
from mlcicd_assets.codebase.areas import ASSET as SOURCE_CODE
from resources.protocols import Cause, KeptRequest, Request

ALL = "all"
_DERIVED = "derived_from"  # in the evidence: ids of the requests that it was derived from
_NAMED = 20  # of them
# What changed flows down to whoever is made of it; what a person asks for is that alone.
_FLOWING: frozenset[Cause] = frozenset({"code", "data"})


def model_scope(name: str) -> str:
    """`model:fraud_detector`."""
    return f"model:{name}"


def dataset_scope(name: str) -> str:
    """`dataset:payments`."""
    return f"dataset:{name}"


def owner_of(scope: str) -> str:
    """The name of the dataset or model."""
    return scope.partition(":")[2]


def unknown(scope: str, blueprint: Blueprint) -> str:
    """Why nothing of this scope can run; empty when it is declared."""
    kind, _, name = scope.partition(":")
    declared: Mapping[str, object] = {"model": blueprint.models, "dataset": blueprint.datasets}.get(kind, {})
    if scope == ALL or name in declared:
        return ""
    if kind not in {"model", "dataset"}:
        return f"a scope reads like 'model:NAME', 'dataset:NAME' or 'all', not {scope!r}"
    return f"there is no {kind} {name!r}; declared are: {', '.join(sorted(declared)) or 'none'}"


def lanes_above(blueprint: Blueprint, owner: str) -> list[str]:
    """The dataset or model itself, every dataset that it is made of, and the code that a model trusts."""
    code = [SOURCE_CODE] if owner in blueprint.models and blueprint.code else []
    found, pending = [owner], [owner]
    while pending:
        name = pending.pop()
        if name in blueprint.models and name == owner:
            above: Sequence[str] = [blueprint.models[name]]
        else:
            shape = blueprint.datasets[name]
            above = [one for one in (*shape.references, *shape.lookups) if one in blueprint.datasets]
        new = [one for one in dict.fromkeys(above) if one not in found]
        found += new
        pending += new
    return [*code, *found]


def derived(
    pending: Sequence[KeptRequest], blueprint: Blueprint, policies: Mapping[str, Policy]
) -> Iterator[Request]:
    """What requests for data, or for everything, ask of others: of each one for all that ask it alike.

    A model is asked for only where its `retrain` names the cause. Those that have an answer were looked at.
    """
    alike: dict[tuple[str, Cause], list[KeptRequest]] = {}
    for kept in pending:
        asked = kept.request
        fresh = not kept.answer and _DERIVED not in asked.evidence
        if fresh and asked.tier == "full" and not unknown(asked.scope, blueprint):
            alike.setdefault((asked.scope, asked.cause), []).append(kept)
    for (scope, cause), group in alike.items():
        for concerned in _concerned(scope, cause, blueprint, policies):
            yield _derived(concerned, group)


def _concerned(
    scope: str, cause: Cause, blueprint: Blueprint, policies: Mapping[str, Policy]
) -> Iterator[str]:
    if cause == "rollback" or scope.startswith("model:"):
        return
    name = owner_of(scope)
    if scope != ALL and cause not in _FLOWING:
        return
    for dataset in blueprint.datasets:
        if scope == ALL or (dataset != name and name in lanes_above(blueprint, dataset)):
            yield dataset_scope(dataset)
    for model in blueprint.models:
        made_of = scope == ALL or name in lanes_above(blueprint, model)
        if made_of and not policies[model].objection(cause):
            yield model_scope(model)


def _derived(scope: str, group: Sequence[KeptRequest]) -> Request:
    first = group[0].request
    told = "".join(sorted(one.request.fingerprint for one in group))
    more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
    return Request(
        scope=scope,
        cause=first.cause,
        fingerprint=f"{first.scope}:{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        reason=f"{first.scope.replace(':', ' ')}: {first.reason}{more}",
        evidence={**first.evidence, _DERIVED: [one.id for one in group[:_NAMED]]},
        by=first.by,
    )
