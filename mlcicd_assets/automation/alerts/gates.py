"""Which checks and steps fail now, as finished runs tell: what failed stands until it passes. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resources.protocols import Alert

Span = tuple[str, str]  # first and last partition; two times "" where there are none
# asset, span -> the partitions among them that a check refused; empty where nobody knows
Refused = Callable[[str, Span], Sequence[str]]
WHOLE: Span = ("", "")
_NAMED = 6  # partitions in a message
_ROLLBACK = "roll_back"  # the step of the job that answers requests for a rollback
_JOB = "job "  # how the steps of no asset are called
_KEPT = 500  # spans that are kept of one check


@dataclass(frozen=True)
class CheckSeen:
    """One evaluation of a check whose failure counts as an error."""

    asset: str  # "returns/evaluation_report"
    check: str
    passed: bool
    blocking: bool
    span: Span = WHOLE
    said: str = ""


@dataclass(frozen=True)
class StepSeen:
    """A step that ended, or a run that failed outside any step."""

    step: str  # "returns/trained_model", "returns/roll_back", "job decision"
    failed: bool
    error: str = ""  # what it said
    kind: str = ""  # the error's type
    span: Span = WHOLE
    asset: bool = True  # False: a job's step, named after the model that it is about


@dataclass(frozen=True)
class RunSeen:
    """What a finished run tells."""

    run: str
    checks: tuple[CheckSeen, ...] = ()
    steps: tuple[StepSeen, ...] = ()


@dataclass
class Failing:
    """What fails, kept between two looks."""

    checks: dict[str, dict[str, list[Span]]] = field(default_factory=dict)  # asset -> check -> spans
    said: dict[str, str] = field(default_factory=dict)  # "asset check" -> its last words
    steps: dict[str, list[Span]] = field(default_factory=dict)  # step -> spans

    def see(
        self, seen: RunSeen, owners: Mapping[str, str], refused: Refused
    ) -> Iterator[Alert | tuple[str, str]]:
        """Take a run in; yields what to raise, and what to resolve as (cause, reason)."""
        failed = {check.asset for check in seen.checks if not check.passed}
        before = {asset: self._state(asset) for asset in self.checks}
        blocking = any(check.blocking for check in seen.checks if not check.passed)
        for check in seen.checks:
            self._take(check, refused)
        for asset in dict.fromkeys(check.asset for check in seen.checks):
            if not self.checks.get(asset):
                self.checks.pop(asset, None)
                if asset in before:
                    yield check_cause(asset), f"every check of {asset} passed in run {seen.run}"
            elif asset in failed or self._state(asset) != before.get(asset):
                yield self._alert(asset, seen.run, owners, blocking=blocking)
        for step in seen.steps:
            yield from self._step(step, seen.run, owners)

    def _take(self, check: CheckSeen, refused: Refused) -> None:
        spans = self.checks.setdefault(check.asset, {}).setdefault(check.check, [])
        spans[:] = [one for one in spans if not _within(one, check.span)]
        if check.passed:
            if not spans:
                del self.checks[check.asset][check.check]
                self.said.pop(f"{check.asset} {check.check}", None)
            return
        named = [] if check.span == WHOLE else [(one, one) for one in refused(check.asset, check.span)]
        spans += [one for one in (named or [check.span]) if one not in spans]
        del spans[:-_KEPT]
        self.said[f"{check.asset} {check.check}"] = check.said

    def _state(self, asset: str) -> str:
        return " ".join(sorted(self.checks.get(asset, {})))

    def _alert(self, asset: str, run: str, owners: Mapping[str, str], *, blocking: bool) -> Alert:
        failing = self.checks[asset]
        names = sorted(failing)
        evidence: dict[str, str | int | float | bool | None] = {
            name: " ".join([*_partitions(failing[name]), self.said.get(f"{asset} {name}", "")]).strip()
            for name in names
        }
        named = asset.partition("/")[0]
        what = "a blocking check" if blocking else "a check"
        several = "blocking checks" if blocking else "checks"
        many = what if len(names) == 1 else f"{len(names)} {several}"
        return Alert(
            cause=check_cause(asset),
            state=self._state(asset),
            severity="critical" if blocking else "warning",
            title=f"{asset} failed {many}: {', '.join(names)}",
            subject=subject_of(asset, owners),
            owner=owners.get(named, ""),
            evidence={**evidence, "Dagster run": run},
            command=f"mlcicd status {named}" if _is_model(asset) else "mlcicd stale",
        )

    def _step(self, step: StepSeen, run: str, owners: Mapping[str, str]) -> Iterator[Alert | tuple[str, str]]:
        cause, known = f"run/{step.step}", step.step in self.steps
        spans = [one for one in self.steps.get(step.step, []) if not _within(one, step.span)]
        if step.failed:
            self.steps[step.step] = [*spans, step.span][-_KEPT:]
            yield self._step_alert(step, cause, run, owners)
        elif spans:
            self.steps[step.step] = spans
        elif known:
            del self.steps[step.step]
            yield cause, f"{step.step} succeeded in run {run}"

    def _step_alert(self, step: StepSeen, cause: str, run: str, owners: Mapping[str, str]) -> Alert:
        where = " ".join(_partitions(self.steps[step.step]))
        return Alert(
            cause=cause,
            state=step.kind,
            severity="warning",
            title=f"{step.step} failed: {step.error}",
            subject=subject_of(step.step, owners),
            owner=owners.get(step.step.partition("/")[0], ""),
            evidence={"partitions": where or None, "error": step.kind, "Dagster run": run},
            command=_again(step),
        )


def _again(step: StepSeen) -> str:
    """The command that tries what failed once more."""
    if not step.asset:
        # What is stale has nothing to do with it.
        model, _, name = step.step.partition("/")
        return "mlcicd requests" if name == _ROLLBACK else f"mlcicd status {model}"
    if "/" not in step.step:
        return "mlcicd stale"
    first, last = step.span
    chosen = f" --partition {first}" if first == last else f" --partition-range {first}...{last}"
    which = chosen if first else ""
    return f"dagster asset materialize -f definitions.py --select 'key:\"{step.step}\"'{which}"


def check_cause(asset: str) -> str:
    """Of the failed checks of one asset."""
    return f"gates/{asset}"


def subject_of(asset: str, owners: Mapping[str, str]) -> str:
    """Whose asset it is: 'model:returns', 'dataset:payments'; another asset is its own subject."""
    name = asset.partition("/")[0]
    if asset.startswith(_JOB):
        return f"job:{asset.removeprefix(_JOB)}"
    if name not in owners:
        return f"asset:{asset}"
    return f"{'model' if _is_model(asset) else 'dataset'}:{name}"


def _is_model(asset: str) -> bool:
    return asset.partition("/")[2] not in {"raw_data", "validated_data", "features", "quarantine"}


def _within(inner: Span, outer: Span) -> bool:
    return inner == outer or (
        outer != WHOLE and inner != WHOLE and outer[0] <= inner[0] and inner[1] <= outer[1]
    )


def _partitions(spans: Sequence[Span]) -> list[str]:
    texts = [first if first == last else f"{first}…{last}" for first, last in sorted(spans) if first]
    more = [f"and {len(texts) - _NAMED} more"] if len(texts) > _NAMED else []
    return [f"[{', '.join([*texts[:_NAMED], *more])}]"] if texts else []
