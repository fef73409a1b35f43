"""One window of production, looked at: every signal of every version that answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl
from polars.exceptions import PolarsError

from mlcicd_assets.assets.monitoring.served import error_signal, latency_signal, traffic_signal
from mlcicd_assets.assets.monitoring.watched_versions import NoReference, WatchedVersion, WatchedVersions
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.labels import LabelError
from mlcicd_assets.ml.fingerprint import value_fingerprint
from mlcicd_assets.ml.monitoring.answered import INPUTS, answered, by_record
from mlcicd_assets.ml.monitoring.drifted import feature_drift, score_drift, thinned
from mlcicd_assets.ml.monitoring.late_labels import TRUTH, Labelled, known_labels, with_labels
from mlcicd_assets.ml.monitoring.performance import against_champion, labels_signal, performance
from mlcicd_assets.ml.monitoring.signals import (
    ERRORS,
    FEATURE_DRIFT,
    LABELS,
    LATENCY,
    PERFORMANCE,
    SCORE_DRIFT,
    SHADOW,
    TRAFFIC,
    Signal,
    unknown,
)
from mlcicd_assets.ml.monitoring.windows import Span
from mlcicd_assets.ml.periods import end_of
from mlcicd_assets.ml.prediction_logging import unjoinable
from mlcicd_assets.ml.thresholds import parse_duration
from resources.protocols import Counted, Lake, ResourceError

# Of a window's inputs: more say no more about a distribution, and take memory.
FEATURE_ROWS = 200_000
_ATTEMPTS = 3
# What decides about drift; where it changes, windows are judged anew.
_DRIFT_FIELDS = {"drift", "ignore", "reference", "minimum_rows", "clock"}
Counts = Callable[[datetime, datetime], Sequence[Counted]]


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


@dataclass
class Look:
    """What one window showed: signals, and the rows behind the pictures of the newest one."""

    span: Span
    signals: list[Signal]
    features: dict[int, pl.DataFrame] = field(default_factory=dict)  # by version, where they were read


@dataclass
class Observer:
    """Looks at windows of one model, as of a moment."""

    lane: ModelLane
    lake: Lake
    scan: Callable[[], pl.LazyFrame]  # of the prediction log
    versions: WatchedVersions
    champion: int
    as_of: datetime
    counts: Counts
    since: datetime  # the start of the earliest window
    first_windows: dict[int, Span] = field(default_factory=dict)  # by version: its reference, if so declared
    _labels: pl.DataFrame | None = None
    _no_labels: str = ""
    _log: pl.LazyFrame | None = None

    def look(self, span: Span, known: Sequence[Signal] = ()) -> Look:
        """Every signal of a window; `known` are those that it had, of which drift stays while rows do."""
        found = Look(span, [])
        try:
            rows = self._rows(span)
        except NoReference as error:
            found.signals = self._absent(span, str(error))
            return found
        live = rows.filter(pl.col("role") == "live")
        if live.is_empty():
            found.signals = self._absent(span, self._why_nothing(rows))
        labelled: dict[int, Labelled] = {}
        for version in sorted(rows["version"].unique().to_list()):
            mine = rows.filter(pl.col("version") == version)
            is_live = bool((mine["role"] == "live").any())
            mine = mine.filter(pl.col("role") == "live") if is_live else mine
            share = mine.height / live.height if is_live else 0.0
            labelled[version] = self._look_at(found, span, version, mine, share, known)
        found.signals += self._shadows(span, rows, labelled)
        return found

    # -- what there is --------------------------------------------------------------------------------

    def _rows(self, span: Span, *, inputs: bool = False) -> pl.DataFrame:
        for attempt in range(_ATTEMPTS):
            try:
                return self._read(span, inputs=inputs)
            except (PolarsError, OSError) as error:
                self._log = None  # a server has merged files since they were listed: they are listed anew
                if attempt + 1 == _ATTEMPTS:
                    said = " ".join(str(error).split())[:200]
                    raise NoReference(f"the prediction log cannot be read: {said}") from error
        raise AssertionError("unreachable")

    def _read(self, span: Span, *, inputs: bool) -> pl.DataFrame:
        missing = sorted({"request_id", "row", "at", "score", "version"} - set(self.schema))
        if missing:
            raise NoReference(f"the prediction log has no column {', '.join(missing)}")
        rows = answered(self.log, self.lane.data.dataset, self.lane.model.monitor, span, inputs=inputs)
        return rows if "role" in rows.columns else rows.with_columns(role=pl.lit("live"))

    @property
    def log(self) -> pl.LazyFrame:
        """The log as it was listed last."""
        if self._log is None:
            self._log = self.scan()
        return self._log

    @property
    def schema(self) -> pl.Schema:
        """What it records."""
        return self.log.collect_schema()

    def _why_nothing(self, rows: pl.DataFrame) -> str:
        if self.lane.model.log is None:
            return "'log' of the model is null: nothing of its predictions is recorded"
        return "no traffic of users was recorded" + (": only copies for a shadow" if rows.height else "")

    def _absent(self, span: Span, why: str) -> list[Signal]:
        """All that is watched, without evidence."""
        monitor = self.lane.model.monitor
        names = [TRAFFIC, ERRORS, *([LATENCY] if monitor.traffic.latency_p99_ms else [])]
        names += [SCORE_DRIFT] if monitor.score_rule else []
        names += [FEATURE_DRIFT] if self._features_watched() else []
        names += [LABELS, PERFORMANCE] if monitor.performance else []
        return [unknown(Signal(span.key, 0, name, "waiting"), why) for name in names]

    def _features_watched(self) -> bool:
        return any(name.startswith("features") for name in self.lane.model.monitor.drift)

    # -- one version ----------------------------------------------------------------------------------

    def _look_at(
        self,
        found: Look,
        span: Span,
        version: int,
        rows: pl.DataFrame,
        share: float,
        known: Sequence[Signal],
    ) -> Labelled:
        monitor, mine = self.lane.model.monitor, Signal(span.key, version, "", "waiting")
        log = self.lane.model.log
        traffic = traffic_signal(mine, rows, share, log.sample if log and log.sample else 1.0)
        found.signals.append(traffic)
        if share:
            found.signals += self._counted(span, mine, rows)
        before = {one.name: one for one in known if one.version == version}
        same = TRAFFIC in before and before[TRAFFIC].rows == traffic.rows
        watched = self.versions.of(version)
        found.signals += self._drift(found, span, mine, rows, watched, before if same else {})
        labelled = Labelled(rows.clear(), rows.height)
        if monitor.performance:
            labelled = self._performance(found, span, mine, rows, watched)
        return labelled

    def _counted(self, span: Span, mine: Signal, rows: pl.DataFrame) -> list[Signal]:
        monitor = self.lane.model.monitor
        start, end = span.start, span.end
        if by_record(self.schema, self.lane.data.dataset, monitor):
            # The proxy knows the requests' time only: the stretch in which this window's were answered.
            start, end = rows["at"].min(), rows["at"].max()  # type: ignore[assignment]
        try:
            counted = next(
                (one for one in self.counts(start, end) if one.traffic.version == mine.version), None
            )
            why = "the proxy's counters were not read near this window"
        except ResourceError as error:
            counted, why = None, str(error)
        if counted is None:
            since, requests, errors, p50, p99 = "", None, 0, None, None
        else:
            traffic = counted.traffic
            since = f"{_when(counted.since)} to {_when(counted.until)} ({counted.source})"
            requests, errors = traffic.requests, traffic.errors
            p50, p99 = traffic.latency_ms.get("p50"), traffic.latency_ms.get("p99")
            why = ""
        return [
            error_signal(monitor, mine, requests=requests, errors=errors, since=since, why=why),
            latency_signal(monitor, mine, p50=p50, p99=p99, requests=requests or 0, since=since, why=why),
        ]

    # -- drift ----------------------------------------------------------------------------------------

    def _drift(
        self,
        found: Look,
        span: Span,
        mine: Signal,
        rows: pl.DataFrame,
        watched: WatchedVersion,
        before: Mapping[str, Signal],
    ) -> list[Signal]:
        monitor = self.lane.model.monitor
        rule = value_fingerprint(monitor.model_dump(include=_DRIFT_FIELDS))[:8]
        # A window is looked at again for its labels: its rows, and so their drift, are what they were.
        kept = {name: one for name, one in before.items() if one.judged and one.evidence.get("rule") == rule}
        signals = []
        if monitor.score_rule:
            signals.append(kept.get(SCORE_DRIFT) or self._score_drift(span, mine, rows, watched))
        if self._features_watched():
            known = kept.get(FEATURE_DRIFT)
            signals.append(known or self._feature_drift(found, span, mine, rows, watched))
        return [replace(one, evidence={**one.evidence, "rule": rule}) for one in signals]

    def _score_drift(self, span: Span, mine: Signal, rows: pl.DataFrame, watched: WatchedVersion) -> Signal:
        columns = ["score", *(["label"] if self.lane.model.task == "multiclass" else [])]
        try:
            reference = self._reference_rows(span, watched)
            before = watched.holdout_scores if reference is None else reference.select(columns)
        except NoReference as error:
            return unknown(Signal(span.key, mine.version, SCORE_DRIFT, "waiting"), str(error))
        return score_drift(self.lane.model.monitor, mine, before, rows.select(columns))

    def _feature_drift(
        self, found: Look, span: Span, mine: Signal, rows: pl.DataFrame, watched: WatchedVersion
    ) -> Signal:
        try:
            current = self._features(span, rows, watched)
            found.features[mine.version] = current
            reference = self._reference_rows(span, watched)
            before = (
                watched.holdout_features
                if reference is None
                else self._features(self.first_windows[mine.version], reference, watched)
            )
        except NoReference as error:
            return unknown(Signal(span.key, mine.version, FEATURE_DRIFT, "waiting"), str(error))
        return feature_drift(self.lane.model.monitor, mine, before, current, span)

    def _reference_rows(self, span: Span, watched: WatchedVersion) -> pl.DataFrame | None:
        """With `reference: first`, the rows of the version's first window; None: the holdout's."""
        if self.lane.model.monitor.reference == "holdout":
            return None
        first = self.first_windows.get(watched.version)
        if first is None or first == span:
            raise NoReference(
                "it is the reference itself: this version's first window with enough rows"
                if first
                else f"no window of version {watched.version} had enough rows yet"
            )
        rows = self._rows(first)
        return rows.filter((pl.col("version") == watched.version) & (pl.col("role") == "live"))

    def _features(self, span: Span, rows: pl.DataFrame, watched: WatchedVersion) -> pl.DataFrame:
        """The features of the window's rows, thinned, with their time as `_time`."""
        full = self._rows(span, inputs=True)
        if INPUTS not in full.columns:
            raise NoReference("the log has no inputs: see 'columns' and 'omit' of the model's 'log'")
        role = rows["role"][0]
        wanted = (pl.col("version") == watched.version) & (pl.col("role") == role)
        part = thinned(full.filter(wanted & pl.col(INPUTS).is_not_null()), FEATURE_ROWS)
        return watched.features(part[INPUTS]).with_columns(part["time"].alias("_time"))

    # -- labels ---------------------------------------------------------------------------------------

    def _performance(
        self, found: Look, span: Span, mine: Signal, rows: pl.DataFrame, watched: WatchedVersion
    ) -> Labelled:
        monitor = self.lane.model.monitor
        rule = monitor.performance
        nothing = Labelled(rows.clear(), rows.height)
        problem = unjoinable(self.lane.model.log, self.lane.data.dataset)
        labels = self._known_labels() if not problem else None
        if labels is None or rule is None:
            why = problem or self._no_labels
            blank = [Signal(span.key, mine.version, name, "waiting") for name in (LABELS, PERFORMANCE)]
            found.signals += [unknown(one, why) for one in blank]
            return nothing
        labelled = with_labels(rows, labels, self.lane.data.dataset)
        open_ = self.as_of < span.end + parse_duration(monitor.patience)
        came = labels_signal(monitor, mine, labelled, open_=open_)
        try:
            labelled = self._with_probabilities(span, labelled, watched)
            watch = watched.watched(monitor.confidence)
            judged = performance(
                monitor, rule, watch, mine, labelled, came, watched.evaluated.get(watch.metric)
            )
        except NoReference as error:
            judged = unknown(Signal(span.key, mine.version, PERFORMANCE, "waiting"), str(error))
        found.signals += [came, judged]
        return labelled

    def _known_labels(self) -> pl.DataFrame | None:
        """The labels that were known at the moment, of all windows; None where there are none to read."""
        if self._labels is None and not self._no_labels:
            dataset, table = self.lane.data.dataset, self.lane.data.table("validated_data")
            try:
                records = self.lake.scan(table, partitions=self._partitions(table))
                # A record may reach us with a time a little off: a day more is read than needed.
                since = self.since - timedelta(days=1)
                # Where windows go by the request, the record may be of any time before.
                by = by_record(self.schema, dataset, self.lane.model.monitor)
                self._labels = known_labels(records, dataset, self.as_of, since=since if by else None)
            except (ResourceError, LabelError) as error:
                self._no_labels = f"no labels: {error}"
        return self._labels

    def _partitions(self, table: str) -> list[str] | None:
        """Those that may hold records of the windows: from the first window on, or else the newest."""
        dataset = self.lane.data.dataset
        by = by_record(self.schema, dataset, self.lane.model.monitor)
        if dataset.partitions in {"none", "dynamic"} or not by:
            return None
        earliest = (self.since - timedelta(days=1)).replace(tzinfo=None)
        keys = sorted(key for key in self.lake.versions(table) if key is not None)
        # No partition at all has no columns either, and would look like a table that lacks its label.
        return [key for key in keys if end_of(dataset.partitions, key) > earliest] or keys[-1:]

    def _with_probabilities(self, span: Span, labelled: Labelled, watched: WatchedVersion) -> Labelled:
        """Of many classes the log has the likeliest only; the package says the others again."""
        if self.lane.model.task != "multiclass" or labelled.frame.is_empty():
            return labelled
        full = self._rows(span, inputs=True)
        if INPUTS not in full.columns:
            raise NoReference("many classes need the recorded inputs: see 'columns' and 'omit' of 'log'")
        rows = labelled.frame.join(
            full.select("version", "request_id", "row", INPUTS),
            on=["version", "request_id", "row"],
            how="left",
        )
        scores = watched.probabilities(rows[INPUTS])
        return Labelled(
            rows.drop(INPUTS).with_columns(probabilities=pl.Series(scores.tolist())), labelled.rows
        )

    # -- the shadow -----------------------------------------------------------------------------------

    def _shadows(self, span: Span, rows: pl.DataFrame, labelled: Mapping[int, Labelled]) -> list[Signal]:
        """Each shadow against the champion on the records that both answered."""
        monitor = self.lane.model.monitor
        shadows = set(rows.filter(pl.col("role") == "shadow")["version"].to_list())
        live = set(rows.filter(pl.col("role") == "live")["version"].to_list())
        if monitor.performance is None or self.champion not in labelled:
            return []
        keys = [f"_{key}" for key in self.lane.data.dataset.keys]
        found = []
        for version in sorted(shadows - live):
            mine = Signal(span.key, version, SHADOW, "waiting")
            both = labelled[version], labelled[self.champion]
            if any(TRUTH not in one.frame.columns for one in both):
                found.append(unknown(mine, "the labels of one of them are not known"))
                continue
            try:
                watch = self.versions.of(version).watched(monitor.confidence)
                found.append(against_champion(watch, mine, *both, keys, monitor.minimum_labels))
            except NoReference as error:
                found.append(unknown(mine, str(error)))
        return found
