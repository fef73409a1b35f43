"""The checks of a dataset whose limits come from its own history: numbers, schema, and drift.

They read the stored statistics of accepted partitions, never the records.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.partitions import partitions_of
from mlcicd_assets.assets.recording import refuse
from mlcicd_assets.assets.statistics import FEATURES, RECORDS
from mlcicd_assets.ml.catalogue import DataLane
from mlcicd_assets.ml.data.data_checks import DriftJudgement, judge_drift, judge_numbers, needed
from mlcicd_assets.ml.data.drift import FeatureDrift
from mlcicd_assets.ml.data.dynamic_thresholds import Judgement
from mlcicd_assets.ml.data.feature_table import model_columns
from mlcicd_assets.ml.data.partition_statistics import WHOLE, Statistics, from_table
from mlcicd_assets.ml.watches import Watches
from mlcicd_assets.reports.drift import drift_page, drift_picture
from resources.protocols import Lake, Records, Reports

_DRIFT = {"drift", "label_drift"}
_LINES = 200  # of a metadata table


def data_checks(lane: DataLane) -> list[dg.AssetChecksDefinition]:
    """One step for the declared checks of `validated_data`, and one for those of `features`."""
    watches = Watches.parse(lane.dataset.checks)
    found = [
        (stage, table, names)
        for stage, table, on_features in [("validated_data", RECORDS, False), ("features", FEATURES, True)]
        if (names := watches.names(on_features=on_features))
    ]
    return [_step(lane, stage, table, names) for stage, table, names in found]


def _step(lane: DataLane, stage: str, table: str, names: Sequence[str]) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([lane.dataset.name, stage])

    @dg.multi_asset_check(
        name=f"{lane.dataset.name}__{stage}_history", specs=[_spec(lane, key, name) for name in names]
    )
    def _history(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        reports: dg.ResourceParam[Reports],
        records: dg.ResourceParam[Records],
    ) -> Iterator[dg.AssetCheckResult]:
        with expected_failures():
            accepted = [partition or WHOLE for partition in lake.versions(lane.table(table))]
            partitions = _partitions(context, lane, accepted)
            for name in names:
                statistics = _statistics(lake, lane, table, name, partitions, accepted)
                if name in _DRIFT:
                    judged = [_drift(lane, name, p, accepted, statistics) for p in partitions]
                    _refuse(records, lane, stage, name, judged)
                    yield _drift_result(lane, key, name, judged, _pages(lane, name, judged, lake, reports))
                else:
                    numbers = [_numbers(lane, name, p, accepted, statistics) for p in partitions]
                    flat = [one for many in numbers for one in many]
                    _refuse(records, lane, stage, name, flat)
                    yield _numbers_result(lane, key, name, flat)

    return _history


def _refuse(
    records: Records, lane: DataLane, stage: str, name: str, judged: Sequence[Judgement | DriftJudgement]
) -> None:
    """What a hard check refused stays refused for later runs: Dagster holds only what runs with it."""
    if name not in lane.dataset.hard_checks:
        return
    failed = {
        None if one.partition == WHOLE else one.partition: f"{name}: {one.reason}"
        for one in judged
        if not one.holds
    }
    refuse(records, lane.table(stage), failed)


def _spec(lane: DataLane, key: dg.AssetKey, name: str) -> dg.AssetCheckSpec:
    lines = [
        f"{line.column}: {line.text}" if line.column else line.text
        for line in Watches.parse(lane.dataset.checks).of(name)
    ]
    hard = name in lane.dataset.hard_checks
    return dg.AssetCheckSpec(
        name,
        asset=key,
        blocking=hard,
        description=f"{'Blocks' if hard else 'Warns'} unless {name} is {'; '.join(lines)}.",
        metadata={"declared": lines},
    )


def _partitions(context: dg.AssetCheckExecutionContext, lane: DataLane, accepted: Sequence[str]) -> list[str]:
    """The partitions of the run; without any, the newest that was accepted."""
    definition = partitions_of(lane.dataset)
    tags = context.run.tags
    if definition is None:
        return [WHOLE]
    if one := tags.get("dagster/partition"):
        return [one]
    first, last = (
        tags.get("dagster/asset_partition_range_start"),
        tags.get("dagster/asset_partition_range_end"),
    )
    if first and last:
        return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))
    return [max(accepted)] if accepted else []


def _earlier(partition: str, accepted: Sequence[str]) -> list[str]:
    return [key for key in accepted if key < partition]


def _statistics(
    lake: Lake, lane: DataLane, table: str, check: str, partitions: Sequence[str], accepted: Sequence[str]
) -> dict[str, Any]:
    """Only the partitions that this check of these partitions reads."""
    wanted = {
        key
        for partition in partitions
        for key in needed(lane.dataset, check, partition, _earlier(partition, accepted))
    }
    if lane.dataset.partitions == "none":
        return dict(from_table(lake.scan(lane.table(table)).collect()))
    return dict(from_table(lake.scan(lane.table(table), partitions=sorted(wanted)).collect()))


def _known(partition: str, accepted: Sequence[str], statistics: Statistics) -> Statistics:
    return {key: statistics[key] for key in [*_earlier(partition, accepted), partition] if key in statistics}


def _numbers(
    lane: DataLane, name: str, partition: str, accepted: Sequence[str], statistics: Statistics
) -> list[Judgement]:
    return judge_numbers(lane.dataset, name, partition, _known(partition, accepted, statistics))


def _drift(
    lane: DataLane, name: str, partition: str, accepted: Sequence[str], statistics: Statistics
) -> DriftJudgement:
    return judge_drift(lane.dataset, name, partition, _known(partition, accepted, statistics))


def _severity(lane: DataLane, name: str) -> dg.AssetCheckSeverity:
    hard = name in lane.dataset.hard_checks
    return dg.AssetCheckSeverity.ERROR if hard else dg.AssetCheckSeverity.WARN


def _said(reasons: Mapping[str, list[str]], held: int) -> str:
    """What failed and what was excused, then how many held or are cold."""
    loud = [line for outcome in ("failed", "excused") for line in reasons.get(outcome, [])]
    quiet = [f"{len(lines)} {outcome}" for outcome, lines in reasons.items() if outcome not in {"failed"}]
    if not loud and held == 1:
        return next(iter(reasons.values()))[0]
    return "; ".join([*loud[:5], *([f"… {len(loud) - 5} more"] if len(loud) > 5 else []), *quiet])


def _numbers_result(
    lane: DataLane, key: dg.AssetKey, name: str, judged: Sequence[Judgement]
) -> dg.AssetCheckResult:
    reasons: dict[str, list[str]] = {}
    for one in judged:
        where = f"{one.partition} {one.subject}".strip()
        reasons.setdefault(one.outcome, []).append(f"{where}: {one.reason}")
    ordered = sorted(judged, key=lambda one: (one.outcome == "passed", one.partition, one.subject))
    metadata: dict[str, Any] = {
        "thresholds": dg.MetadataValue.table([_record(one) for one in ordered[:_LINES]])
    }
    return _result(lane, key, name, judged, reasons, metadata)


def _result(
    lane: DataLane,
    key: dg.AssetKey,
    name: str,
    judged: Sequence[Judgement] | Sequence[DriftJudgement],
    reasons: Mapping[str, list[str]],
    metadata: dict[str, Any],
) -> dg.AssetCheckResult:
    if used := reasons.get("excused"):
        metadata["exceptions used"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in used))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=all(one.holds for one in judged),
        severity=_severity(lane, name),
        description=_said(reasons, len(judged)),
        metadata=metadata,
    )


def _record(one: Judgement) -> dg.TableRecord:
    limits = one.limits
    return dg.TableRecord(
        {
            "partition": one.partition,
            "of": one.subject,
            "value": "" if one.value is None else f"{one.value:.6g}",
            "outcome": one.outcome,
            "rule": one.rule,
            "low": f"{limits.low:.6g}" if limits else "",
            "high": f"{limits.high:.6g}" if limits else "",
            "median": f"{limits.median:.6g}" if limits else "",
            "MAD": f"{limits.mad:.4g}" if limits else "",
            "history": f"{len(limits.history)}: {limits.season}" if limits else "",
            "why": one.reason,
        }
    )


def _drift_result(
    lane: DataLane,
    key: dg.AssetKey,
    name: str,
    judged: Sequence[DriftJudgement],
    pages: Mapping[str, str],
) -> dg.AssetCheckResult:
    reasons: dict[str, list[str]] = {}
    for one in judged:
        reasons.setdefault(one.outcome, []).append(f"{one.partition}: {one.reason}")
    rows = [(one.partition, feature) for one in judged for feature in one.features]
    rows.sort(key=lambda row: (row[1].outcome != "drifted", -row[1].size))
    metadata: dict[str, Any] = {"features": dg.MetadataValue.table([_feature(*row) for row in rows[:_LINES]])}
    if judged and (picture := drift_picture(judged[-1].features)):
        metadata[f"picture of {judged[-1].partition}"] = dg.MetadataValue.md(picture)
    metadata |= {f"page of {partition}": _link(address) for partition, address in pages.items()}
    return _result(lane, key, name, judged, reasons, metadata)


def _feature(partition: str, feature: FeatureDrift) -> dg.TableRecord:
    effect = feature.effect
    numbers = {
        size: f"{getattr(effect, size):.4f}" if effect else "" for size in ("psi", "js", "wasserstein", "ks")
    }
    return dg.TableRecord(
        {
            "partition": partition,
            "feature": feature.name,
            "outcome": feature.outcome,
            **numbers,
            "p": f"{effect.p:.2g}" if effect else "",
            "significant": feature.significant,
            "rule": f"{feature.rule.metric} {feature.rule.bound} against {feature.rule.window}",
            "why": feature.reason,
        }
    )


def _link(address: str) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.url(address) if "://" in address else dg.MetadataValue.path(address)


def _pages(
    lane: DataLane, name: str, judged: Sequence[DriftJudgement], lake: Lake, reports: Reports
) -> dict[str, str]:
    """Evidently's page for the newest partition that drifted, or that was compared when always asked for."""
    wanted = lane.dataset.drift_page
    chosen = [one for one in judged if one.reference and (wanted == "always" or _moved(one))]
    if wanted == "never" or not chosen or name != "drift":
        return {}
    newest = chosen[-1]
    table = lane.table("features")
    current = lake.scan(table, partitions=[newest.partition]).collect()
    reference = lake.scan(table, partitions=list(newest.reference)).collect()
    page = drift_page(_features(reference), _features(current))
    return {newest.partition: reports.save(f"{lane.dataset.name}/drift-{_file(newest.partition)}.html", page)}


def _moved(one: DriftJudgement) -> bool:
    return any(feature.outcome == "drifted" for feature in one.features)


def _features(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(model_columns(frame.columns))


def _file(partition: str) -> str:
    return partition.replace(":", "")
