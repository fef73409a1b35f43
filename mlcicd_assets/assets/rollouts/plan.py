"""A declared rollout as the state machine takes it, and a state in words."""

from mlcicd_assets.ml.rollouts import Rollout
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.release.analysis import Limits
from mlcicd_assets.release.rollout import Plan, State, Step

_TOLD_WHY = {"held", "rolling_back", "rolled_back"}


def plan_of(declared: Rollout) -> Plan:
    """The declaration as the state machine takes it."""
    bake = declared.seconds("bake")
    shadow = Step(kind="shadow", percent=declared.shadow.percent, bake_s=_seconds(declared.shadow.bake))
    steps = [shadow] if "shadow" in declared.strategy else []
    canary = "canary" in declared.strategy
    if canary:
        weights = [weight for weight in declared.weights if weight < 100]
        steps += [Step(kind="canary", percent=weight, bake_s=bake) for weight in weights]
    longest = max([step.bake_s for step in steps], default=declared.seconds("keep_warm"))
    return Plan(
        steps=tuple(steps),
        keep_warm_s=declared.seconds("keep_warm"),
        watch_s=bake if canary else 0.0,
        interval_s=_seconds(declared.interval) if declared.interval else max(longest / 5, 1.0),
        failure_limit=declared.failure_limit,
        error_limit=declared.error_limit,
        hold_s=declared.seconds("hold"),
        on_inconclusive=declared.on_inconclusive,
        sticky_header=declared.sticky_header,
        limits=Limits(
            error_rate=declared.limit("error_rate"),
            latency_p99_ms=declared.limit("latency_p99_ms"),
            p99_ratio=declared.limit("p99_ratio"),
            psi=declared.limit("psi"),
            memory_mb=declared.limit("memory_mb"),
            minimum_requests=declared.minimum_requests,
            agreement=declared.limit("agreement"),
            minimum_labelled=declared.minimum_labelled,
            labelled_required=declared.slo.labelled == "required",
        ),
    )


def describe(state: State) -> str:
    """Where a rollout stands, without the model's name."""
    version, phase = state.target.version, state.phase.replace("_", " ")
    if state.kind == "rollback" and state.stable is not None:
        return f"the rollback from version {version} to {state.stable.version} is {phase}"
    step = state.current
    at = f", step {state.step + 1} of {len(state.plan.steps) + 1} ({step})" if step else ""
    why = (
        f": {state.reason}" if state.reason and state.phase in {"held", "rolling_back", "rolled_back"} else ""
    )
    return f"the rollout of version {version} is {phase}{at}{why}"


def _seconds(text: str) -> float:
    return parse_duration(text).total_seconds()
