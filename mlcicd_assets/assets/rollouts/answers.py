"""From the prediction log, and the labels that have come, to findings about a step's answers.

Reading takes longer than reading counters, so it is done where a measurement counts, not at each pass.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.feature_table import ARRIVES, LABEL, TIME
from mlcicd_assets.ml.prediction_logging import unjoinable
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.release.analysis import Finding, Window
from mlcicd_assets.release.answers import AGREEMENT, LABELLED, agreement_finding, labelled_finding
from mlcicd_assets.release.rollout import State, elapsed
from mlcicd_assets.release.shadow import agreement
from resources.protocols import ResourceError

if TYPE_CHECKING:
    from mlcicd_assets.assets.rollouts.actions import World

# Agreement is looked for among the newest: an hour says enough, and a pass stays short.
_RECENT = timedelta(hours=1)
# Beyond a flush of the log: counters that say more than the log are only ahead of it for so long.
_BEHIND_S = 10.0
_ROW = ["request_id", "row"]


def answer_findings(
    lane: ModelLane, world: "World", state: State, window: Window, now: datetime
) -> tuple[Finding, ...]:
    """Agreement in a shadow step, and errors on labels that came within the step; none outside of steps.

    Between two measurements that count, the last ones stand. Raises ResourceError where something that the
    declaration asks for cannot be read: that is a failure to measure, never a success.
    """
    if state.current is None or state.stable is None or state.baseline is None:
        return ()
    if state.measured and elapsed(state.measured, now) < state.plan.interval_s:
        told = state.analysis.findings if state.analysis else ()
        return tuple(one for one in told if one.name in {AGREEMENT, LABELLED})
    return tuple(_findings(lane, world, state, window, now))


def _findings(
    lane: ModelLane, world: "World", state: State, window: Window, now: datetime
) -> Iterator[Finding]:
    limits = state.plan.limits
    shadow = state.current is not None and state.current.kind == "shadow"
    if shadow and (limits.agreement is not None or lane.model.log):
        try:
            yield _agreement(lane, world, state, window, now)
        except ResourceError as error:
            if limits.agreement is not None:
                raise
            yield _not_told(AGREEMENT, str(error))
    try:
        yield _labelled(lane, world, state)
    except ResourceError as error:
        if limits.labelled_required:
            raise
        yield _not_told(LABELLED, str(error))


def _not_told(name: str, why: str) -> Finding:
    return Finding(name=name, outcome="passed", value=None, bound="only told", message=f"not measured: {why}")


# -- agreement ------------------------------------------------------------------------------------------


def _agreement(lane: ModelLane, world: "World", state: State, window: Window, now: datetime) -> Finding:
    start = max(datetime.fromisoformat(state.since), now - _RECENT)
    columns = [*_ROW, "score", "label"]
    theirs, mine = (_recorded(lane, world, version, start, columns) for version in _versions(state))
    found = agreement(theirs, mine)
    _require_recorded(lane, state, window, found.joined, now)
    return agreement_finding(found, state.plan.limits)


def _require_recorded(lane: ModelLane, state: State, window: Window, joined: int, now: datetime) -> None:
    """Copies that were answered are in the log soon after; raises ResourceError where they are not."""
    log = lane.model.log
    sample = log.sample if log else 0.0
    flush_s = parse_duration(log.flush).total_seconds() if log else 0.0
    answered = max(0, window.requests - window.faults) * (sample or 1.0)
    late = elapsed(state.since, now) > flush_s + _BEHIND_S
    if not joined and late and answered >= state.plan.limits.minimum_requests:
        raise ResourceError(
            f"{lane.model.name}: {window.requests} copies were answered, but the prediction log has "
            "none that both versions answered; see 'mlcicd serve status', and 'log' of the model"
        )


def _versions(state: State) -> tuple[int, int]:
    """The champion's and the new one's."""
    if state.stable is None:
        raise ResourceError(f"{state.model}: there is no champion to compare with")
    return state.stable.version, state.target.version


def _recorded(
    lane: ModelLane, world: "World", version: int, start: datetime, columns: list[str]
) -> pl.DataFrame:
    if world.predictions is None:
        raise ResourceError(f"{lane.model.name}: there is no prediction log to read here")
    rows = world.predictions.scan(lane.model.name, start, versions=[version])
    try:
        return rows.select(columns).collect()
    except (PolarsError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise ResourceError(
            f"{lane.model.name}: the prediction log of version {version} cannot be read: {said}"
        ) from error


# -- labels ---------------------------------------------------------------------------------------------


def _labelled(lane: ModelLane, world: "World", state: State) -> Finding:
    problem = unjoinable(lane.model.log, lane.data.dataset)
    if problem:
        raise ResourceError(f"{lane.model.name}: {problem}")
    start = datetime.fromisoformat(state.since)
    labels = _labels(lane, world, start)
    theirs, mine = (_losses(lane, world, version, start, labels) for version in _versions(state))
    return labelled_finding(mine, theirs, state.plan.limits)


def _labels(lane: ModelLane, world: "World", start: datetime) -> pl.DataFrame:
    """Keys and labels that became known since; earlier ones may have been learned from."""
    if world.lake is None:
        raise ResourceError(f"{lane.model.name}: there is no lake to read labels from here")
    table = world.lake.scan(lane.data.table("features"))
    schema = table.collect_schema()
    columns = {f"_{name}": name for name in lane.data.dataset.keys}
    missing = sorted({*columns, LABEL, TIME} - set(schema))
    if missing:
        raise ResourceError(
            f"{lane.data.table('features')} has no column {', '.join(missing)}: materialize it again"
        )
    times = [_naive(pl.col(name), schema[name]) for name in (ARRIVES, TIME) if name in schema]
    recent = pl.coalesce(times) >= start.astimezone(UTC).replace(tzinfo=None)
    keys = [_text(pl.col(column), schema[column]).alias(name) for column, name in columns.items()]
    found = table.filter(recent, pl.col(LABEL).is_not_null()).select(*keys, LABEL)
    return found.unique(list(columns.values()), keep="last").collect()


def _losses(
    lane: ModelLane, world: "World", version: int, start: datetime, labels: pl.DataFrame
) -> pl.DataFrame:
    """The version's rows whose label has come, each record once, with the loss of the answer."""
    rows = _recorded(lane, world, version, start, ["score", "label", "inputs"])
    keys = lane.data.dataset.keys
    inputs = rows["inputs"].struct.schema if rows.height else {}
    if rows.is_empty() or not set(keys) <= set(inputs):
        return pl.DataFrame(schema={"loss": pl.Float64})
    named = [_text(pl.col("inputs").struct.field(key), inputs[key]).alias(key) for key in keys]
    asked = rows.select("score", "label", *named).unique(keys, keep="last", maintain_order=True)
    joined = asked.join(labels, on=keys, how="inner")
    if lane.model.task == "regression":
        return joined.select(loss=(pl.col("score") - pl.col(LABEL)).abs().cast(pl.Float64))
    return joined.select(loss=(pl.col("label") != pl.col(LABEL).cast(pl.String)).cast(pl.Float64))


def _naive(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A time as UTC without a zone."""
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"))


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A key as text, alike whether the request gave it as a value or as text."""
    if dtype.is_temporal() and dtype != pl.Time:
        return _naive(column, dtype).dt.strftime("%Y-%m-%dT%H:%M:%S")
    return column.cast(pl.String)
