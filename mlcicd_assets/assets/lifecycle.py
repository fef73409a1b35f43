"""MLflow's aliases and lifecycle tags, made to follow the ledger: the one place that moves them.

Only release code calls `mirror`, and only after the ledger's line was written; what a kill left undone is
done by the next call. `require_unmoved` keeps a version whose alias was moved by hand away from traffic.
"""

from mlcicd_assets.release.history import ALIAS_BY_HAND, ALIAS_MOVED
from mlcicd_assets.release.lifecycle import ALIASES, Deviation, Standing, deviations, mirrored, standing
from resources.protocols import Ledger, Registry

STAGE_TAG = "lifecycle"


def standing_of(ledger: Ledger, model: str) -> Standing:
    """Who is champion, previous, in staging and challenger, by the ledger's lines."""
    return standing(ledger.entries(model), model)


def aliases_of(registry: Registry, model: str) -> dict[str, int]:
    """Where the registry's aliases stand."""
    return {alias: found.version for found in registry.versions(model) for alias in found.aliases}


def moved(ledger: Ledger, registry: Registry, model: str) -> list[Deviation]:
    """The aliases that do not stand where the ledger says."""
    return deviations(ledger.entries(model), model, aliases_of(registry, model))


def mirror(ledger: Ledger, registry: Registry, model: str, actor: str) -> list[Deviation]:
    """Make aliases and tags follow the ledger; returns what had stood elsewhere.

    Each move is written to the ledger. An alias that was moved by hand is put back, and that is written too.
    """
    lines = ledger.entries(model)
    now, put = standing(lines, model), mirrored(lines)
    versions = registry.versions(model)
    aliases = {alias: found.version for found in versions for alias in found.aliases}
    known = {version.version for version in versions}
    found = deviations(lines, model, aliases)
    for one in found:
        if one.by_hand:
            note_moved(ledger, one, actor)
    for alias in ALIASES:
        # A version that was deleted took its alias with it.
        to = now.of(alias) if now.of(alias) in known else None
        if aliases.get(alias) != to:
            registry.set_alias(model, alias, to)
        if put.get(alias) != to:
            _note_put(ledger, model, alias, put.get(alias), to, actor)
    for version in versions:
        stage = now.stage(version.version)
        if version.tags.get(STAGE_TAG) != stage:
            registry.tag(model, version.version, {STAGE_TAG: stage})
    return found


def _note_put(ledger: Ledger, model: str, alias: str, before: int | None, to: int | None, actor: str) -> None:
    ledger.append(
        ALIAS_MOVED,
        model,
        actor=actor,
        version=to,
        reason=f"the alias {alias!r} follows the ledger",
        details={"alias": alias, "from": before, "to": to},
    )


def note_moved(ledger: Ledger, deviation: Deviation, actor: str) -> None:
    """Write an alias that was moved by hand to the ledger, once while it stands there."""
    details = {"alias": deviation.alias, "found": deviation.found, "expected": deviation.expected}
    about = [line for line in ledger.entries(deviation.model) if line.details.get("alias") == deviation.alias]
    if about and (about[-1].action, about[-1].details) == (ALIAS_BY_HAND, details):
        return
    ledger.append(
        ALIAS_BY_HAND,
        deviation.model,
        actor=actor,
        reason=str(deviation),
        version=deviation.found,
        details=details,
    )


def require_unmoved(ledger: Ledger, registry: Registry, model: str, version: int, actor: str) -> None:
    """Refuse a version that carries an alias which a hand gave it; raises Failure, and writes it down."""
    import dagster as dg  # here, so that the command line can look without it

    by_hand = [one for one in moved(ledger, registry, model) if one.by_hand]
    for one in by_hand:
        note_moved(ledger, one, actor)
    concerned = [one for one in by_hand if one.found == version]
    if concerned:
        told = "; ".join(str(one) for one in concerned)
        raise dg.Failure(
            f"{told}. Only the release moves aliases, so version {version} gets no traffic. "
            f"Put them back with: mlcicd repair {model}",
            allow_retries=False,
        )
