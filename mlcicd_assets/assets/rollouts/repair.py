"""After a crash or a reboot: servers and shares as the ledger and a running rollout say."""

from mlcicd_assets.assets.rollouts.actions import heal
from mlcicd_assets.assets.rollouts.driver import Rollouts, one_line
from mlcicd_assets.release import rollout as machine
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import State, Target
from resources.protocols import LaunchRefused, ResourceError

_PATIENCE_S = 60.0


def repair(rollouts: Rollouts) -> list[str]:
    """Put things right; returns what had to be done.

    A new version that cannot be proven or started any more is taken out; the champion's own refusal is raised
    (Refused, LaunchRefused, ResourceError). What a killed worker left undone is done.
    """
    champion = rollouts.actions.champion()
    if champion is None:
        return []
    model, state, done = rollouts.model, rollouts.active(), []
    if rollouts.actions.ensure(_known(rollouts, state, champion)):
        done.append(f"{model}: version {champion} was started again")
    if state is not None and state.current is not None:
        done += _restart_target(rollouts, state)
    done += heal(rollouts.actions, rollouts.active())
    return done + _go_on(rollouts)


def _known(rollouts: Rollouts, state: State | None, version: int) -> Target:
    targets = (state.target, state.stable) if state else ()
    found = next((one for one in targets if one and one.version == version), None)
    return found or rollouts.actions.registered(version)


def _restart_target(rollouts: Rollouts, state: State) -> list[str]:
    try:
        started = rollouts.actions.ensure(state.target)
    except (Refused, LaunchRefused) as refused:
        rollouts.keep(state, machine.roll_back(state, one_line(refused), rollouts.clock()), state.actor)
        return []
    version = state.target.version
    return [f"{rollouts.model}: version {version} was started again"] if started else []


def _go_on(rollouts: Rollouts) -> list[str]:
    """Perform what is pending, as far as it goes without waiting for traffic."""
    state = rollouts.active()
    if state is None or not state.pending:
        return []
    try:
        rollouts.run(patience_s=_PATIENCE_S, until=lambda now: not now.pending)
    except ResourceError as error:
        return [f"{rollouts.model}: the rollout does not go on yet: {one_line(error)}"]
    after = rollouts.state()
    return [rollouts.describe(after)] if after else []
