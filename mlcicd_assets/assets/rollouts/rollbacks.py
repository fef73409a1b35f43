"""Taking the champion back, asked for by a person: to the version before, or to a named one."""

from uuid import uuid4

from mlcicd_assets.assets.rollouts.driver import RolloutRefused, Rollouts
from mlcicd_assets.assets.rollouts.plan import plan_of
from mlcicd_assets.release.history import ROLLED_BACK
from mlcicd_assets.release.lifecycle import standing
from mlcicd_assets.release.rollout import State, Target, start_rollback
from mlcicd_assets.release.rollout_history import last_move, promotion


def ask_rollback(rollouts: Rollouts, to: int | None, *, by: str, reason: str) -> State | None:
    """Decide and keep a rollback, which `rollouts.run` then performs; None where it is done already.

    Asked again it goes on with what was asked. The version that comes back must still verify: package,
    verdict, and the approval as it was valid when it was promoted. Raises Refused, ResourceError.
    """
    going_on = rollouts.active()
    if going_on is not None:
        return _of_rollout(rollouts, going_on, to, by, reason)
    champion = rollouts.actions.champion()
    if champion is None:
        raise RolloutRefused(f"{rollouts.model} has no champion yet: there is nothing to roll back")
    number = _previous(rollouts, champion) if to is None else to
    if number == champion:
        return None
    before = rollouts.state()
    after = start_rollback(
        id=uuid4().hex[:12],
        model=rollouts.model,
        bad=rollouts.actions.registered(champion),
        good=_proven(rollouts, number),
        plan=plan_of(rollouts.lane.model.rollout),
        actor=by,
        reason=reason,
        now=rollouts.clock(),
    )
    return rollouts.keep(before, after, by)


def _of_rollout(rollouts: Rollouts, state: State, to: int | None, by: str, reason: str) -> State:
    """A release that goes on is taken back itself; the champion stays, or comes back."""
    stable = state.stable.version if state.stable else None
    if to not in (None, stable):
        raise RolloutRefused(
            f"{rollouts.describe(state)}; end it before another version is named: "
            f"mlcicd rollout abort {rollouts.model} --by NAME --reason WHY"
        )
    return rollouts.abort(by=by, reason=reason)


def _previous(rollouts: Rollouts, champion: int) -> int:
    lines = rollouts.world.ledger.entries(rollouts.model)
    last = last_move(lines, rollouts.model)
    if last is not None and last.action == ROLLED_BACK:
        return champion  # asked twice: a retried command must not go back two versions
    previous = standing(lines, rollouts.model).previous
    if previous is None:
        raise RolloutRefused(
            f"{rollouts.model}: no version served before version {champion}: there is nothing to go back to"
        )
    return previous


def _proven(rollouts: Rollouts, version: int) -> Target:
    model = rollouts.model
    promoted = promotion(rollouts.world.ledger.entries(model), model, version)
    if promoted is None:
        raise RolloutRefused(f"{model}: version {version} never was champion; release it instead")
    target = rollouts.actions.registered(version, str(promoted.details.get("run") or ""))
    if promoted.digest != target.digest:
        raise RolloutRefused(
            f"{model}: version {version} was promoted as {str(promoted.digest)[:12]}, "
            f"but the registry holds {target.digest[:12]}"
        )
    rollouts.actions.prove(target)
    return target
