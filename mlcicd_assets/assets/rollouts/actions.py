"""What a rollout does to the world, one action at a time; each may be done twice.

The ledger moves first, then the traffic: whoever dies in between leaves the old version serving, and the
route follows the ledger when the action is done again.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlcicd_assets.assets.rollouts.proofs import compared_answers, proven_release
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release import rollout as machine
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.history import PROMOTED, ROLLED_BACK
from mlcicd_assets.release.rollout import Action, ActionName, State, Target
from mlcicd_assets.release.rollout_history import promotion, rollout_pointer
from mlcicd_assets.release.run_files import champion_pointer
from mlcicd_assets.serving.routing import follow
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    Predictions,
    Registry,
    Release,
    ResourceError,
    ServerStatus,
    ServingTarget,
    Tracking,
)


@dataclass(frozen=True)
class World:
    """What a rollout works on."""

    ledger: Ledger
    registry: Registry
    tracking: Tracking
    keys: Keys
    serving: ServingTarget
    # What a step's answers are judged from; what is asked for and not given cannot be measured.
    predictions: Predictions | None = None
    lake: Lake | None = None


class ChampionMoved(Refused):
    """The champion is neither the version that this rollout began with nor the one that it brings."""


Prover = Callable[[ModelLane, World, Target, str, Path], Release]
Comparer = Callable[[ModelLane, World, Release, str], None]


class Actions:
    """Performs the actions of one model's rollouts.

    `proven` fetches a version, `compared` asks a launched one; both raise Refused.
    """

    def __init__(
        self,
        lane: ModelLane,
        world: World,
        clock: Callable[[], datetime],
        proven: Prover = proven_release,
        compared: Comparer = compared_answers,
    ) -> None:
        self.lane = lane
        self.model = lane.model.name
        self.world = world
        self.clock = clock
        self._proven = proven
        self._compared = compared

    def perform(self, action: Action, state: State, text: str) -> None:
        """Do it; `text` is the state as the ledger's pointer holds it.

        Raises Refused, LaunchRefused, Conflict (somebody else moved the rollout on), ResourceError.
        """
        does: Mapping[ActionName, Callable[[Action, State, str], None]] = {
            "launch": self._launch,
            "mirror": self._mirror,
            "route": self._route,
            "promote": self._promote,
            "restore": self._restore,
            "follow": self._follow,
            "alias": self._alias,
            "retire": self._retire,
        }
        does[action.name](action, state, text)

    # -- what others ask for as well ------------------------------------------------------------------

    def champion(self) -> int | None:
        """The version that the ledger calls champion."""
        value = self.world.ledger.pointer(champion_pointer(self.model))
        return None if value is None else int(value)

    def server(self, version: int) -> ServerStatus | None:
        """The version's ready server in production."""
        wanted = (self.model, version, "production", "ready")
        for server in self.world.serving.status().servers:
            if (server.model, server.version, server.environment, server.state) == wanted:
                return server
        return None

    def ensure(self, target: Target) -> bool:
        """Have the version's server ready, proven anew where it must be started; whether it was started."""
        running = self.server(target.version)
        if running is not None and running.digest == target.digest:
            return False  # it proved itself before it loaded
        self._prove(target, launch=True)
        return True

    def registered(self, version: int, run: str = "") -> Target:
        """A version as the registry has it; raises ResourceError when it is gone."""
        found = self.world.registry.get(self.model, version)
        if found is None:
            raise ResourceError(
                f"{self.model}: the ledger names version {version}, but the registry has no such version; "
                "restore the registry before releasing anything"
            )
        return Target(version=version, digest=found.digest, run=run)

    def prove(self, target: Target) -> None:
        """Prove package, verdict and approval; raises Refused."""
        self._prove(target, launch=False)

    def _prove(self, target: Target, *, launch: bool, compare: bool = False) -> None:
        promoted = promotion(self.world.ledger.entries(self.model), self.model, target.version)
        # An approval limits when a version may be promoted, not how long it then serves.
        at = promoted.at if promoted else self.clock().isoformat()
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            release = self._proven(self.lane, self.world, target, at, Path(scratch))
            if launch:
                self.world.serving.launch(release, self.world.keys.trusted_keys())
            if compare:
                server = self.server(target.version)
                if server is None:
                    raise ResourceError(f"{self.model}: the server of version {target.version} is not ready")
                self._compared(self.lane, self.world, release, server.address)

    # -- the actions ----------------------------------------------------------------------------------

    def _launch(self, action: Action, state: State, _text: str) -> None:
        target = _target(state, action.version)
        if state.phase != "launching":
            self.ensure(target)
            return
        # Before any user is answered by it, whoever launches it, and again where a kill came in between.
        running = self.server(target.version)
        started = running is not None and running.digest == target.digest
        self._prove(target, launch=not started, compare=True)

    def _mirror(self, action: Action, _state: State, _text: str) -> None:
        self.world.serving.mirror("production", self.model, action.version, action.percent)

    def _route(self, action: Action, state: State, _text: str) -> None:
        self.route(action.weights, state)

    def route(self, weights: Mapping[int, int], state: State | None) -> None:
        """Share the traffic; the champion stands in for a new version that fails."""
        fallback = state.stable.version if state and state.stable and len(weights) > 1 else None
        sticky = state.plan.sticky_header if state and len(weights) > 1 else None
        self.world.serving.route("production", self.model, weights, sticky=sticky, fallback=fallback)

    def _promote(self, action: Action, state: State, text: str) -> None:
        before = state.stable.version if state.stable else None
        if self._moved(action.version, before):
            return
        self.prove(state.target)
        self._move(state.stable, state.target, PROMOTED, state, text)

    def _restore(self, action: Action, state: State, text: str) -> None:
        if state.stable is None:
            raise ResourceError(f"{self.model}: there is no version to go back to")
        try:
            if self._moved(action.version, state.target.version):
                return
        except ChampionMoved:
            return  # a third version is champion: there is nothing of this rollout to take back
        self._move(state.target, state.stable, ROLLED_BACK, state, text)

    def _moved(self, to: int | None, before: int | None) -> bool:
        champion = self.champion()
        if champion == to:
            return True
        if champion != before:
            raise ChampionMoved(
                f"{self.model}: version {champion} became champion meanwhile, "
                f"{f'not version {before}' if before else 'where there was none'}"
            )
        return False

    def _move(self, old: Target | None, new: Target, action: str, state: State, text: str) -> None:
        # The rollout must still stand as it was read, in the same transaction: a worker that was slow cannot
        # promote what somebody has aborted meanwhile.
        self.world.ledger.move(
            champion_pointer(self.model),
            expected=str(old.version) if old else None,
            new=str(new.version),
            action=action,
            model=self.model,
            actor=state.actor,
            reason=state.reason if action == ROLLED_BACK else "",
            version=new.version,
            digest=new.digest,
            details={
                "from": old.digest if old else None,
                "from_version": old.version if old else None,
                "to": new.digest,
                "rollout": state.id,
                "run": new.run,
            },
            holding={rollout_pointer(self.model): text},
        )

    def _follow(self, _action: Action, state: State, _text: str) -> None:
        champion = self.champion()
        if champion is None:
            return
        known = next((one for one in (state.target, state.stable) if one and one.version == champion), None)
        self.ensure(known or self.registered(champion))
        follow(self.world.serving, self.model, champion, fallback=self._warm(state, champion))

    def _warm(self, state: State, champion: int) -> int | None:
        """The replaced version stands in for a new champion that fails, while it is warm."""
        old = state.stable.version if state.stable else None
        new = champion == state.target.version and state.phase == "promoting"
        return old if new and old is not None and self.server(old) else None

    def _alias(self, _action: Action, state: State, _text: str) -> None:
        from mlcicd_assets.assets.lifecycle import mirror  # it brings Dagster; the traffic has moved by now

        mirror(self.world.ledger, self.world.registry, self.model, state.actor)

    def _retire(self, _action: Action, _state: State, _text: str) -> None:
        self.retire_others()

    def retire_others(self) -> None:
        """Drain and stop every version but the champion."""
        champion = self.champion()
        for server in self.world.serving.status().servers:
            mine = (server.model, server.environment) == (self.model, "production")
            if mine and server.version != champion:
                if champion is not None:
                    follow(self.world.serving, self.model, champion)
                self.world.serving.retire("production", self.model, server.version)


def heal(actions: Actions, state: State | None) -> list[str]:
    """Give the proxy the shares that the ledger and the rollout say, where it has others; what was done."""
    champion, serving, model = actions.champion(), actions.world.serving, actions.model
    wanted = machine.wanted(state, champion)
    if wanted is None or champion is None or not serving.status().running:
        return []
    mirrored = {wanted.mirror[0]: wanted.mirror[1]} if wanted.mirror else {}
    routed = dict(serving.routes("production", model))
    if (routed, dict(serving.mirrors("production", model))) == (dict(wanted.weights), mirrored):
        return []
    if len(wanted.weights) == 1:
        follow(serving, model, champion)
    else:
        actions.route(wanted.weights, state)
    for version, percent in mirrored.items():
        serving.mirror("production", model, version, percent)
    if state is not None and state.current is not None:
        return [f"{model}: production follows the rollout again, {wanted}"]
    return [f"{model}: production follows the champion again, version {champion}"]


def _target(state: State, version: int | None) -> Target:
    for target in (state.target, state.stable):
        if target is not None and target.version == version:
            return target
    raise ResourceError(f"{state.model}: version {version} takes no part in the rollout {state.id}")
