"""The one decision about a partition's numbers: what the dataset's `checks:` say of its statistics.

Works on stored statistics alone, so that a check, a backtest and a test come to the same result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from mlcicd_assets.ml.data import dynamic_thresholds as thresholds
from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule, Judgement, Outcome, Rule, judge
from mlcicd_assets.ml.data.partition_statistics import Profiles, Statistics
from mlcicd_assets.ml.data.schema_drift import schema_diff
from mlcicd_assets.ml.data.seasons import Window, covers
from mlcicd_assets.ml.watches import Watch, Watches

if TYPE_CHECKING:
    from mlcicd_assets.ml.data.drift import FeatureDrift
    from mlcicd_assets.ml.data.profiles import ColumnProfile
    from mlcicd_assets.ml.declarations import DatasetDeclaration

LABEL = "_label"
Measured = tuple[float | None, Callable[[float], float]]  # the value, and its sampling noise by usual size


@dataclass(frozen=True)
class DriftJudgement:
    """All features of one partition against their references."""

    partition: str
    outcome: Outcome
    reason: str
    features: tuple["FeatureDrift", ...]
    reference: tuple[str, ...]  # every partition that any feature was compared with

    @property
    def holds(self) -> bool:
        """Whether nothing drifted, or it was planned."""
        return self.outcome != "failed"


def needed(dataset: "DatasetDeclaration", check: str, partition: str, accepted: Sequence[str]) -> list[str]:
    """The partitions whose statistics a check of this partition reads, itself included."""
    windows = [_window(line) for line in Watches.parse(dataset.checks).of(check)]
    chosen = {key for window in windows for key in _chosen(dataset, check, window, partition, accepted)}
    return sorted({*chosen, partition})


def judge_numbers(
    dataset: "DatasetDeclaration", check: str, partition: str, statistics: Statistics
) -> list[Judgement]:
    """Hold a partition against `row_count`, `null_rate`, `mean`, `positive_share` or `schema`."""
    lines = Watches.parse(dataset.checks).of(check)
    if check == "schema":
        return [_judge_schema(dataset, partition, statistics)]
    named = {line.column for line in lines}
    return [
        _judge_line(dataset, line, column, partition, statistics)
        for line in lines
        for column in _columns(line, statistics[partition], named)
    ]


def judge_drift(
    dataset: "DatasetDeclaration", check: str, partition: str, statistics: Statistics
) -> DriftJudgement:
    """Hold a partition's features against `drift`, or its label against `label_drift`."""
    from mlcicd_assets.ml.data.drift import compare

    rules = _drift_rules(dataset, check, statistics[partition])
    chosen = {
        rule.window: _chosen(dataset, check, rule.window, partition, list(statistics))
        for rule in rules.values()
    }
    warm = {window: keys for window, keys in chosen.items() if len(keys) >= _minimum(dataset, window)}
    merged = {
        name: profile
        for name, rule in rules.items()
        if (profile := _merged(statistics, warm.get(rule.window, []), name))
    }
    features = tuple(compare(merged, statistics[partition], rules))
    used = sorted({key for keys in warm.values() for key in keys})
    outcome, reason = _concluded(features, used, excuse(dataset, check, partition))
    return DriftJudgement(partition, outcome, reason, features, tuple(used))


def excuse(dataset: "DatasetDeclaration", check: str, partition: str) -> str:
    """The planned exception that covers a check of a partition, as people read it; empty without one."""
    for planned in dataset.exceptions:
        named = check in planned.checks
        if named and covers(planned.first, planned.last, dataset.partitions, partition):
            return f"{planned.reason} ({planned.first} to {planned.last})"
    return ""


def _chosen(
    dataset: "DatasetDeclaration", check: str, window: Window, partition: str, accepted: Sequence[str]
) -> list[str]:
    """The window's partitions; those of planned exceptions say nothing about what is usual."""
    usual = [key for key in accepted if not excuse(dataset, check, key)]
    return window.choose(dataset.partitions, partition, usual)


def _minimum(dataset: "DatasetDeclaration", window: Window) -> int:
    """How many partitions a drift reference needs: all that are asked for, when that is fewer."""
    return min(dataset.minimum_history, window.count)


def _window(line: Watch) -> Window:
    if line.check == "schema":
        return Window(count=1)
    drift = line.check in {"drift", "label_drift"}
    return DriftRule.parse(line.text).window if drift else Rule.parse(line.text).window


def _columns(line: Watch, profiles: Profiles, named: set[str | None]) -> Iterator[str | None]:
    """The columns that a line speaks of: its own, or every one without a line of its own."""
    if line.column or line.check not in {"null_rate"}:
        yield line.column
    else:
        yield from (name for name in profiles if name not in named)


def _judge_line(
    dataset: "DatasetDeclaration", line: Watch, column: str | None, partition: str, statistics: Statistics
) -> Judgement:
    rule = Rule.parse(line.text)
    keys = _chosen(dataset, line.check, rule.window, partition, list(statistics))
    past = {key: _value(line.check, column, statistics[key])[0] for key in keys}
    value, noise = _value(line.check, column, statistics[partition])
    return judge(
        rule,
        f"{line.check} {column}" if column else line.check,
        partition,
        value,
        {key: known for key, known in past.items() if known is not None},
        noise=noise,
        excused=excuse(dataset, line.check, partition),
        minimum_history=dataset.minimum_history,
    )


def _value(check: str, column: str | None, profiles: Profiles) -> Measured:
    any_column = next(iter(profiles.values()), None)
    if check == "row_count":
        return (float(any_column.rows) if any_column else 0.0), thresholds.count_noise
    profile = profiles.get(LABEL if check == "positive_share" else column or "")
    if profile is None or not profile.rows:
        return None, lambda usual: 0.0  # noqa: ARG005
    if check == "null_rate":
        rows = profile.rows
        return profile.missing_share, lambda usual: thresholds.share_noise(usual, rows)
    present = profile.present
    if check == "positive_share":
        return profile.mean, lambda usual: thresholds.share_noise(usual, present)
    spread = (profile.std or 0.0) / sqrt(max(present, 1))
    return profile.mean, lambda usual: spread  # noqa: ARG005


def _judge_schema(dataset: "DatasetDeclaration", partition: str, statistics: Statistics) -> Judgement:
    earlier = _chosen(dataset, "schema", Window(count=1), partition, list(statistics))
    after = {name: profile.dtype for name, profile in statistics[partition].items()}
    if not earlier:
        reason = "cold start: no earlier partition to compare with"
        return Judgement("schema", partition, None, "unchanged", "cold start", reason)
    diff = schema_diff({name: p.dtype for name, p in statistics[earlier[0]].items()}, after)
    if not diff:
        return Judgement("schema", partition, 0.0, "unchanged", "passed", f"as in {earlier[0]}")
    said = f"since {earlier[0]}: {'; '.join(diff.lines())}"
    planned = excuse(dataset, "schema", partition)
    outcome: Outcome = "excused" if planned else "failed"
    changes = float(len(diff.lines()))
    return Judgement("schema", partition, changes, "unchanged", outcome, f"{said}{_planned(planned)}")


def _drift_rules(dataset: "DatasetDeclaration", check: str, profiles: Profiles) -> dict[str, DriftRule]:
    lines = Watches.parse(dataset.checks).of(check)
    own = {line.column: DriftRule.parse(line.text) for line in lines if line.column}
    everyone = [DriftRule.parse(line.text) for line in lines if not line.column]
    if check == "label_drift":
        return {LABEL: everyone[0]} if LABEL in profiles else {}
    features = [name for name in profiles if not name.startswith("_")]
    return {name: own[name] if name in own else everyone[0] for name in features if name in own or everyone}


def _merged(statistics: Statistics, keys: Sequence[str], column: str) -> "ColumnProfile | None":
    from mlcicd_assets.ml.data.profiles import merge

    parts = [statistics[key][column] for key in keys if column in statistics[key]]
    return merge(parts) if parts else None


def _concluded(features: Sequence["FeatureDrift"], used: Sequence[str], planned: str) -> tuple[Outcome, str]:
    drifted = [feature for feature in features if feature.outcome == "drifted"]
    cold = [feature for feature in features if feature.outcome == "cold start"]
    unknown = [feature for feature in features if feature.outcome == "not enough evidence"]
    against = f"against {len(used)} partitions, {used[0]} … {used[-1]}" if used else ""
    if drifted:
        listed = ", ".join(f"{f.name} ({f.rule.metric} {f.size:.3f}, {f.rule.bound})" for f in drifted[:8])
        said = f"{len(drifted)} of {len(features)} drifted {against}: {listed}"
        return ("excused" if planned else "failed"), f"{said}{_planned(planned)}"
    notes = [f"{len(cold)} without earlier partitions yet"] if cold else []
    notes += [f"{len(unknown)} with too few rows ({unknown[0].reason})"] if unknown else []
    if len(cold) == len(features):
        return "cold start", "cold start: too few earlier partitions to compare with"
    if len(cold) + len(unknown) == len(features):
        return "not enough evidence", f"nothing could be compared: {'; '.join(notes)}"
    rest = f"; {'; '.join(notes)}" if notes else ""
    compared = len(features) - len(cold) - len(unknown)
    return "passed", f"none of {compared} drifted {against}{rest}"


def _planned(planned: str) -> str:
    return f", as planned: {planned}" if planned else ""
