"""A rollout as a state machine: `(state, observation, now) -> state`, whose `pending` actions come next.

It knows no clock, ledger or proxy. Whoever drives it (`assets/rollouts`) keeps each state in the ledger
*before* its actions are performed; every action may be repeated, so after a kill the pending ones are
performed again. The champion moves at promotion only, and no version has all of the traffic without being
champion.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from mlcicd_assets.release.analysis import Analysis, Limits, Record

Phase = Literal[
    "launching",  # the new version's server starts; no traffic
    "baking",  # a step: a mirror, or a share of the traffic
    "held",  # waits for a person; weights stay, the analysis goes on
    "promoting",  # the ledger's champion moves, and the traffic after it
    "watching",  # champion with all traffic; the old version is warm
    "finishing",  # the old version drains and stops
    "rolling_back",
    "promoted",
    "rolled_back",
]
ENDED: frozenset[Phase] = frozenset({"promoted", "rolled_back"})
# In these the champion's pointer may already stand on the new version.
AFTER_PROMOTION: frozenset[Phase] = frozenset({"promoting", "watching", "finishing"})

ActionName = Literal["launch", "mirror", "route", "promote", "restore", "follow", "alias", "retire"]


class Step(Record):
    """One stretch before promotion: copies of the requests (shadow) or a share of them (canary)."""

    kind: Literal["shadow", "canary"]
    percent: int = Field(ge=1, le=100)
    bake_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _not_all(self) -> "Step":
        if self.kind == "canary" and self.percent > 99:
            raise ValueError("a canary has less than all of the traffic; all of it is the promotion")
        return self

    def __str__(self) -> str:
        return f"{self.kind} {self.percent} %"


class Plan(Record):
    """What was declared when the rollout began; a later edit changes the next rollout."""

    steps: tuple[Step, ...] = ()
    keep_warm_s: float = Field(default=30.0, ge=0)  # the old version, after promotion
    watch_s: float = Field(default=0.0, ge=0)  # as the last step's bake; at least keep_warm_s counts
    interval_s: float = Field(default=60.0, gt=0)  # one measurement counts in this time
    failure_limit: int = Field(default=0, ge=0)  # failed measurements that are borne
    error_limit: int = Field(default=4, ge=0)  # consecutive measurements that could not be made
    hold_s: float = Field(default=3600.0, ge=0)  # how long an inconclusive step may wait for evidence
    on_inconclusive: Literal["hold", "rollback"] = "hold"
    sticky_header: str | None = None
    limits: Limits = Limits()

    @property
    def after_s(self) -> float:
        """How long the old version stays warm, and the new one is watched."""
        return max(self.keep_warm_s, self.watch_s)

    @property
    def total_s(self) -> float:
        """The shortest time from the first step to the end."""
        return sum(step.bake_s for step in self.steps) + self.after_s


class Target(Record):
    """A version that takes part."""

    version: int = Field(ge=1)
    digest: str
    run: str = ""  # the training run whose verdict counts; "" for the registered one


class Action(Record):
    """Something to be done outside; done twice is as done once."""

    name: ActionName
    version: int | None = None
    percent: int = 0
    weights: Mapping[int, int] = {}

    def __str__(self) -> str:
        if self.name == "route":
            return "route " + ", ".join(f"version {one}: {share} %" for one, share in self.weights.items())
        told = "" if self.version is None else f" version {self.version}"
        return f"{self.name}{told}" + (f" at {self.percent} %" if self.percent else "")


class State(Record):
    """Where a rollout stands: everything that is needed to go on after a kill."""

    format: Literal[1] = 1  # of the ledger's pointer; another one is refused, not guessed
    id: str
    model: str
    kind: Literal["release", "rollback"] = "release"
    target: Target  # the version that comes (in a rollback: that goes)
    stable: Target | None  # the champion when it began (in a rollback: the version that comes back)
    plan: Plan
    actor: str
    phase: Phase
    revision: int = 0
    step: int = 0
    began: str  # ISO 8601 with offset, as are all times here
    since: str  # when the phase's or step's clock began
    measured: str = ""  # when a measurement last counted
    pending: tuple[Action, ...] = ()
    # Counters when the step began, by version; None before its actions are done.
    baseline: Mapping[str, Any] | None = None
    failures: int = 0  # failed measurements
    errors: int = 0  # consecutive measurements or actions that did not work
    exposed: bool = False  # whether it ever had requests or copies of them
    held_from: Phase | None = None
    analysis: Analysis | None = None
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in ENDED

    @property
    def current(self) -> Step | None:
        """The step that bakes or is held."""
        baking = self.phase == "baking" or (self.phase == "held" and self.held_from == "baking")
        return self.plan.steps[self.step] if baking else None

    @property
    def moved(self) -> bool:
        """Whether the champion's pointer may stand on the new version."""
        return self.kind == "rollback" or self.phase in AFTER_PROMOTION or self.held_from in AFTER_PROMOTION

    @property
    def restores(self) -> bool:
        """Whether it takes the champion's pointer back."""
        return any(action.name == "restore" for action in self.pending)


class Observation(Record):
    """What the driver saw. Either the pending actions were tried, or time has passed."""

    failure: str = ""  # why a pending action did not work; empty: all of them did
    refused: bool = False  # the version itself was refused, by a proof or by its own server
    readings: Mapping[str, Any] | None = None  # today's counters by version; None: could not be read
    problem: str = ""  # why they could not
    analysis: Analysis | None = None  # of what was counted since `baseline`


class Routing(Record):
    """What the proxy should do."""

    weights: Mapping[int, int]
    mirror: tuple[int, int] | None = None  # version and percent

    def __str__(self) -> str:
        shares = [f"version {version} {share} %" for version, share in self.weights.items()]
        return ", ".join(shares) + (
            f", {self.mirror[1]} % copied to version {self.mirror[0]}" if self.mirror else ""
        )


def start(
    *, id: str, model: str, plan: Plan, target: Target, stable: Target | None, actor: str, now: datetime
) -> State:
    """A new rollout. Without a champion there is nothing to compare with: it is promoted once launched."""
    return State(
        id=id,
        model=model,
        target=target,
        stable=stable,
        plan=plan if stable else plan.model_copy(update={"steps": ()}),
        actor=actor,
        phase="launching",
        began=now.isoformat(),
        since=now.isoformat(),
        pending=(Action(name="launch", version=target.version),),
    )


def start_rollback(
    *, id: str, model: str, bad: Target, good: Target, plan: Plan, actor: str, reason: str, now: datetime
) -> State:
    """Take the champion back to another version, when no rollout is going on."""
    state = State(
        id=id,
        model=model,
        kind="rollback",
        target=bad,
        stable=good,
        plan=plan,
        actor=actor,
        phase="watching",
        began=now.isoformat(),
        since=now.isoformat(),
        exposed=True,
    )
    return roll_back(state, reason, now)


def advance(state: State, observation: Observation, now: datetime) -> State:
    """The next state; the same one where nothing changes. Its `pending` actions are to be performed."""
    if state.ended:
        return state
    if state.pending:
        return _settled(state, observation, now)
    if state.phase == "held" and state.held_from not in {"baking", "watching"}:
        return state
    return _measured(_rebased(state, now), observation, now)


# -- after the pending actions --------------------------------------------------------------------------


def _settled(state: State, seen: Observation, now: datetime) -> State:
    if seen.failure:
        return _not_done(state, seen, now)
    done = _to(state, state.phase, now, pending=(), errors=0)
    if state.phase == "launching":
        return _enter(done, 0, now)
    if state.phase == "promoting":
        return _end(done, "promoted", now) if state.stable is None else _watch(done, seen, now)
    if state.phase == "finishing":
        return _end(done, "promoted", now)
    if state.phase == "rolling_back":
        return _end(done, "rolled_back", now)
    return done.model_copy(update={"baseline": seen.readings})


def _watch(state: State, seen: Observation, now: datetime) -> State:
    return _to(state, "watching", now, baseline=seen.readings)


def _not_done(state: State, seen: Observation, now: datetime) -> State:
    if state.phase == "rolling_back":
        if seen.refused:  # what should come back cannot: what serves goes on, and a person looks
            return _to(state, "held", now, pending=(), held_from="rolling_back", reason=seen.failure)
        return state  # never given up
    if state.phase == "finishing" or (state.phase == "promoting" and state.stable is None):
        return state
    errors = state.errors + 1
    if seen.refused or errors > state.plan.error_limit:
        return roll_back(state, seen.failure, now)
    return state.model_copy(update={"errors": errors, "reason": seen.failure, "revision": state.revision + 1})


def _enter(state: State, step: int, now: datetime) -> State:
    """Begin a step, or promote after the last one."""
    if step >= len(state.plan.steps):
        last = (Action(name="promote", version=state.target.version), Action(name="follow"))
        pending = (*last, Action(name="alias"))
        return _to(state, "promoting", now, pending=pending, failures=0, exposed=True)
    found = state.plan.steps[step]
    if found.kind == "shadow":
        action = Action(name="mirror", version=state.target.version, percent=found.percent)
    else:
        action = Action(name="route", weights=_split(state, found.percent))
    return _to(state, "baking", now, step=step, pending=(action,), failures=0, exposed=True)


def _split(state: State, percent: int) -> dict[int, int]:
    if state.stable is None:
        raise ValueError("without a champion there is nothing to share the traffic with")
    return {state.stable.version: 100 - percent, state.target.version: percent}


# -- as time passes -------------------------------------------------------------------------------------


def _rebased(state: State, now: datetime) -> State:
    """A clock that was set back starts the step's time anew, so that it does not wait for ever."""
    stamps = {name: now.isoformat() for name in ("since", "measured") if _later(getattr(state, name), now)}
    return state.model_copy(update=stamps) if stamps else state


def _later(stamp: str, now: datetime) -> bool:
    return bool(stamp) and datetime.fromisoformat(stamp) > now


def _measured(state: State, seen: Observation, now: datetime) -> State:
    due = not state.measured or elapsed(state.measured, now) >= state.plan.interval_s
    if seen.readings is None:
        return _unmeasured(state, seen, now) if due else state
    if state.baseline is None:
        return _to(state, state.phase, now, baseline=seen.readings, errors=0)
    analysis = seen.analysis
    if analysis is None:
        return state
    if analysis.outcome == "failed":
        return _failed(state, analysis, now) if due or not _counted(state) else state
    state = state.model_copy(update={"errors": 0, "analysis": analysis}) if due else state
    moved = _bake_over(state, analysis, now)
    return _count(moved, now) if due and moved.revision == state.revision else moved


def _counted(state: State) -> bool:
    """Whether the last measurement that counted had failed already."""
    return bool(state.analysis and state.analysis.outcome == "failed")


def _failed(state: State, analysis: Analysis, now: datetime) -> State:
    counted = state.model_copy(
        update={"analysis": analysis, "failures": state.failures + 1, "reason": analysis.reason}
    )
    if counted.failures > state.plan.failure_limit:
        return roll_back(counted, analysis.reason, now)
    return _count(counted, now)


def _unmeasured(state: State, seen: Observation, now: datetime) -> State:
    reason = f"could not be measured: {seen.problem}"
    counted = state.model_copy(update={"errors": state.errors + 1, "reason": reason})
    # A champion is not taken away because nobody can look: it served, and nothing says that it is worse.
    if counted.errors > state.plan.error_limit and not state.moved:
        return roll_back(counted, reason, now)
    return _bake_over(_count(counted, now), None, now)


def _count(state: State, now: datetime) -> State:
    return state.model_copy(update={"measured": now.isoformat(), "revision": state.revision + 1})


def _bake_over(state: State, analysis: Analysis | None, now: datetime) -> State:
    """What follows when the step's time is over; before that, the same state."""
    if state.phase == "held":
        return state
    baked = elapsed(state.since, now)
    if state.phase == "watching":
        if baked < state.plan.after_s:
            return state
        return _to(state, "finishing", now, pending=(Action(name="retire"),), analysis=analysis)
    bake = state.plan.steps[state.step].bake_s
    if baked < bake or analysis is None:
        return state
    if analysis.outcome == "passed":
        return _enter(state.model_copy(update={"analysis": analysis}), state.step + 1, now)
    return state if baked < bake + state.plan.hold_s else _inconclusive(state, analysis, now)


def _inconclusive(state: State, analysis: Analysis, now: datetime) -> State:
    reason = f"inconclusive: {analysis.reason}"
    state = state.model_copy(update={"analysis": analysis})
    if state.plan.on_inconclusive == "rollback":
        return roll_back(state, reason, now)
    return hold(state, reason, now)


# -- by a person, or by what was found ------------------------------------------------------------------


def roll_back(state: State, reason: str, now: datetime) -> State:
    """Give the traffic back to the stable version and stop the new one."""
    names: list[ActionName] = ["follow", "alias", "retire"]
    pending = [Action(name=name) for name in names]
    if state.moved and state.stable is not None:
        old = state.stable.version
        pending = [Action(name="launch", version=old), Action(name="restore", version=old), *pending]
    changes = {"pending": tuple(pending), "reason": reason, "held_from": None, "errors": 0}
    return _to(state, "rolling_back", now, **changes)


def hold(state: State, reason: str, now: datetime) -> State:
    """Wait for a person; weights stay as they are."""
    return state.model_copy(
        update={
            "phase": "held",
            "held_from": state.phase,
            "reason": reason,
            "revision": state.revision + 1,
            "measured": now.isoformat(),
        }
    )


def resume(state: State, reason: str, now: datetime) -> State:
    """End a hold: the step begins anew."""
    if state.held_from == "rolling_back":
        again = state.model_copy(update={"phase": "watching", "held_from": None})
        return roll_back(again, reason, now)
    if state.held_from == "baking":
        return _enter(state.model_copy(update={"held_from": None, "reason": reason}), state.step, now)
    phase = state.held_from or state.phase
    return _to(state, phase, now, held_from=None, reason=reason)


def wanted(state: State | None, champion: int | None) -> Routing | None:
    """What the proxy should do now, given the ledger's champion; None before the first release."""
    if champion is None:
        return None
    alone = Routing(weights={champion: 100})
    step = state.current if state else None
    if state is None or step is None or state.stable is None or state.stable.version != champion:
        return alone
    if step.kind == "shadow":
        return Routing(weights={champion: 100}, mirror=(state.target.version, step.percent))
    return Routing(weights=_split(state, step.percent))


# -- time -----------------------------------------------------------------------------------------------


def elapsed(since: str, now: datetime) -> float:
    """Seconds since then; none where the clock was set back."""
    return max(0.0, (now - datetime.fromisoformat(since)) / timedelta(seconds=1))


def left_s(state: State, now: datetime) -> float | None:
    """The shortest time to the end, in seconds; None where a person is waited for or it is over."""
    if state.ended or state.phase in {"held", "rolling_back"}:
        return None
    passed = elapsed(state.since, now)
    if state.phase in {"watching", "finishing"}:
        return max(0.0, state.plan.after_s - passed)
    steps = [step.bake_s for step in state.plan.steps[state.step :]]
    if state.phase == "promoting":
        return state.plan.after_s
    if state.phase == "baking" and steps:
        steps[0] = max(0.0, steps[0] - passed)
    return sum(steps) + state.plan.after_s


def _end(state: State, phase: Literal["promoted", "rolled_back"], now: datetime) -> State:
    return _to(state, phase, now, baseline=None)


def _to(state: State, phase: Phase, now: datetime, **changes: Any) -> State:
    """Another phase, or its clock begun anew."""
    fresh: dict[str, Any] = {
        "phase": phase,
        "since": now.isoformat(),
        "measured": "",
        "baseline": None,
        "revision": state.revision + 1,
    }
    return state.model_copy(update=fresh | changes)
