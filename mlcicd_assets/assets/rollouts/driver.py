"""Driving a rollout: read its state, look, decide, keep the decision in the ledger, act.

One pass is the same for the deployment run, the sensor, the command line and the repair after a kill.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from mlcicd_assets.assets.rollouts.actions import Actions, Comparer, Prover, World, heal
from mlcicd_assets.assets.rollouts.answers import answer_findings
from mlcicd_assets.assets.rollouts.plan import describe, plan_of
from mlcicd_assets.assets.rollouts.proofs import compared_answers, proven_release
from mlcicd_assets.assets.rollouts.windows import analysis_of, reading
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release import rollout as machine
from mlcicd_assets.release.analysis import Finding, Window
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import Observation, State, Target
from mlcicd_assets.release.rollout_history import (
    RETRIED,
    action_of,
    blocked,
    details_of,
    parse,
    rollout_pointer,
    text_of,
)
from resources.protocols import Conflict, LaunchRefused, ResourceError

_POLL_S = 0.2


class RolloutRefused(Refused):
    """What was asked for does not go with the rollout's state, which the message names."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _nobody(_moment: str) -> None:
    """Nobody watches."""


class Rollouts:
    """The rollouts of one model.

    `observer` is told each moment by name ("before promote", "after promote", "kept watching"): tests stop a
    worker there.
    """

    def __init__(
        self,
        lane: ModelLane,
        world: World,
        *,
        clock: Callable[[], datetime] = utc_now,
        observer: Callable[[str], None] = _nobody,
        proven: Prover = proven_release,
        compared: Comparer = compared_answers,
    ) -> None:
        self.lane = lane
        self.model = lane.model.name
        self.world = world
        self.actions = Actions(lane, world, clock, proven, compared)
        self.clock = clock
        self._observer = observer
        # As read, for the compare-and-set: another version of this code may write the same state otherwise.
        self._texts: dict[tuple[str, int], str] = {}

    def state(self) -> State | None:
        """The last rollout, whether it goes on or has ended; None before the first."""
        return self._read()[0]

    def _read(self) -> tuple[State | None, str | None]:
        text = self.world.ledger.pointer(rollout_pointer(self.model))
        state = parse(text)
        if state is not None and text is not None:
            self._texts[state.id, state.revision] = text
        return state, text

    def active(self) -> State | None:
        """The rollout that goes on."""
        state = self.state()
        return None if state is None or state.ended else state

    # -- beginning ------------------------------------------------------------------------------------

    def begin(self, target: Target, stable: Target | None, actor: str) -> State:
        """Start a release, or join the one of the same version; raises RolloutRefused where another goes on.

        The target's proofs have been verified by the caller; they are again at launch and at promotion.
        """
        before = self.state()
        if before is not None and not before.ended:
            if before.target.version == target.version and before.kind == "release":
                return before
            raise RolloutRefused(f"{self.describe(before)}; version {target.version} has to wait for its end")
        line = blocked(self.world.ledger.entries(self.model), self.model, target.version)
        if line is not None:
            raise RolloutRefused(
                f"{self.model}: version {target.version} was rolled back at {line.at}: {line.reason}. Train "
                f"another, or allow one more try: mlcicd rollout retry {self.model} --by NAME --reason WHY"
            )
        now = self.clock()
        plan = plan_of(self.lane.model.rollout)
        after = machine.start(
            id=uuid4().hex[:12],
            model=self.model,
            plan=plan,
            target=target,
            stable=stable,
            actor=actor,
            now=now,
        )
        return self.keep(before, after, actor)

    # -- by a person ----------------------------------------------------------------------------------

    def pause(self, *, by: str, reason: str) -> State:
        """Keep the weights until somebody resumes; a failing version is rolled back all the same."""
        state = self._going_on()
        if state.phase not in {"baking", "watching"}:
            raise RolloutRefused(f"{self.describe(state)}; it can be paused while a step bakes")
        return self.keep(state, machine.hold(state, reason, self.clock()), by)

    def resume(self, *, by: str, reason: str) -> State:
        """Go on after a hold: the step begins anew."""
        state = self._going_on()
        if state.phase != "held":
            raise RolloutRefused(f"{self.describe(state)}; it is not held")
        return self.keep(state, machine.resume(state, reason, self.clock()), by)

    def abort(self, *, by: str, reason: str) -> State:
        """Give all traffic back to the version that served before."""
        state = self._going_on()
        if state.phase == "rolling_back":
            return state
        if state.moved and state.stable is None:
            raise RolloutRefused(f"{self.describe(state)}; it is the first version: nothing served before it")
        mine = state.model_copy(update={"actor": by})
        return self.keep(state, machine.roll_back(mine, reason, self.clock()), by)

    def retry(self, *, by: str, reason: str) -> int:
        """Allow one more rollout of the version that was rolled back last; returns the version."""
        state = self.state()
        line = state and blocked(self.world.ledger.entries(self.model), self.model, state.target.version)
        if state is None or not line:
            raise RolloutRefused(f"{self.model}: no version that was rolled back is waiting for another try")
        target = state.target
        self.world.ledger.append(
            RETRIED, self.model, actor=by, reason=reason, version=target.version, digest=target.digest
        )
        return target.version

    def _going_on(self) -> State:
        state = self.active()
        if state is None:
            raise RolloutRefused(f"{self.model}: no rollout is going on")
        return state

    # -- going on -------------------------------------------------------------------------------------

    def advance(self) -> State | None:
        """One pass; the state after it. Raises ResourceError where an action has to be tried again.

        Somebody else who moved the rollout on in between is no error: the next pass sees it.
        """
        state, text = self._read()
        if state is None or text is None or not state.pending:
            heal(self.actions, state)
        if state is None or text is None or state.ended:
            return state
        try:
            seen = self._perform(state, text) if state.pending else self._look(state)
            after = machine.advance(state, seen, self.clock())
            if after.revision != state.revision:
                return self.keep(state, after, state.actor)
        except Conflict:
            return self.state()
        if seen.failure:
            raise ResourceError(f"{self.describe(state)}: {seen.failure}")
        return state

    def run(
        self, *, patience_s: float, until: Callable[[State], bool] | None = None, poll_s: float = _POLL_S
    ) -> State:
        """Pass after pass, until it ends, is held, or patience is over; the state then."""
        deadline = time.monotonic() + patience_s
        while True:
            before = self._going_on_or_last()
            if before.ended or (before.phase == "held" and not before.pending) or (until and until(before)):
                return before
            after = self._patiently(deadline)
            if time.monotonic() > deadline:
                return self._going_on_or_last()
            if after is None or after.revision == before.revision:
                time.sleep(poll_s)

    def _patiently(self, deadline: float) -> State | None:
        try:
            return self.advance()
        except ResourceError:
            if time.monotonic() > deadline:
                raise
            return None

    def _going_on_or_last(self) -> State:
        state = self.state()
        if state is None:
            raise RolloutRefused(f"{self.model}: there has been no rollout yet")
        return state

    def _perform(self, state: State, text: str) -> Observation:
        for action in state.pending:
            if self.world.ledger.pointer(rollout_pointer(self.model)) != text:
                raise Conflict(f"{self.model}: somebody else moved the rollout on")
            self._observer(f"before {action.name}")
            try:
                self.actions.perform(action, state, text)
            except Conflict:
                raise
            except (Refused, LaunchRefused) as error:
                return Observation(failure=one_line(error), refused=True)
            except ResourceError as error:
                return Observation(failure=one_line(error))
            self._observer(f"after {action.name}")
        return self._look(state)

    def _look(self, state: State) -> Observation:
        try:
            counted = self.world.serving.traffic("production", self.model)
        except ResourceError as error:
            return Observation(problem=one_line(error))
        known = {one.version: one for one in counted if one.counted_since}
        if state.target.version not in known:
            return Observation(problem="the proxy does not say what it counted; see 'mlcicd serve status'")
        readings = {str(version): reading(one) for version, one in known.items()}
        try:
            analysis = analysis_of(state, known.values(), lambda window: self._answers(state, window))
        except ResourceError as error:
            return Observation(problem=one_line(error))
        return Observation(readings=readings, analysis=analysis)

    def _answers(self, state: State, window: Window) -> tuple[Finding, ...]:
        return answer_findings(self.lane, self.world, state, window, self.clock())

    def keep(self, before: State | None, after: State, actor: str) -> State:
        """Write a state to the ledger, whose pointer must still hold the one before; raises Conflict."""
        action = action_of(before, after)
        self.world.ledger.move(
            rollout_pointer(self.model),
            expected=self._texts.get((before.id, before.revision), text_of(before)) if before else None,
            new=text_of(after),
            action=action,
            model=self.model,
            actor=actor,
            reason=after.reason,
            version=after.target.version,
            digest=after.target.digest,
            details=details_of(after),
        )
        self._observer(f"kept {after.phase}")
        return after

    def describe(self, state: State) -> str:
        """Where a rollout stands, in one line."""
        return f"{self.model}: {describe(state)}"


def one_line(error: Exception) -> str:
    """What an error says, without line breaks."""
    return " ".join(str(error).split())
