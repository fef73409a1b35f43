"""Replaying gates over what the lake keeps: reads the lake alone, and writes to a scratch folder only."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mlcicd_assets.assets.evaluation_report import score
from mlcicd_assets.assets.trained_model import Material, gather, make
from mlcicd_assets.ml.backtest.bounds import parse_what_if, rejudged, suggestions, with_check
from mlcicd_assets.ml.backtest.data_replay import DataReplay, Part, judge, replay
from mlcicd_assets.ml.backtest.model_replay import Step, findings_of, what_if
from mlcicd_assets.ml.backtest.replay import Backtest, BacktestError, RuleHistory, Span, histories, rule_named
from mlcicd_assets.ml.catalogue import Catalogue, DataLane, ModelLane, read_reference
from mlcicd_assets.ml.data.feature_table import TIME
from mlcicd_assets.ml.data.partition_statistics import WHOLE
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation.evaluate import Champion
from mlcicd_assets.ml.evaluation.gates import decide, replayable
from mlcicd_assets.ml.periods import FORMATS, end_of
from mlcicd_assets.ml.training.splits import NotEnoughData
from mlcicd_assets.ml.user_code import load_function, load_object
from resources.protocols import Lake, Revision

_MISSING = 0.1  # of the training window; more without records is a cold start
Told = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is asked: of which partitions, which rule alone, and which other bound."""

    span: Span = field(default_factory=Span)
    rule: str = ""  # all of them when empty
    what_if: str = ""  # "roc_auc: >= 0.70"


def backtest(catalogue: Catalogue, lake: Lake, name: str, asked: Question, told: Told) -> Backtest:
    """Replay the gates of a dataset or a model; `told` is given a line for each partition.

    Raises BacktestError for a name, span, rule or bound that cannot be, ResourceError for what is missing.
    """
    if asked.what_if:
        parse_what_if(asked.what_if)  # before the work
    if name in catalogue.datasets:
        return _of_dataset(catalogue.datasets[name], lake, asked, told)
    if name in catalogue.models:
        return _of_model(catalogue.models[name], lake, asked, told)
    declared = ", ".join(sorted([*catalogue.datasets, *catalogue.models])) or "none"
    raise BacktestError(f"there is no dataset or model {name!r}; declared are: {declared}")


def _of_dataset(lane: DataLane, lake: Lake, asked: Question, told: Told) -> Backtest:
    table = lane.table("raw_data")
    keys = sorted(key or WHOLE for key in lake.versions(table))
    wanted = asked.span.choose(_stored(keys, table))
    name, bound = parse_what_if(asked.what_if) if asked.what_if else ("", "")
    changed = with_check(lane.dataset, name, bound) if _is_check(lane, name) else None
    replayed = replay_dataset(lane, lake, [key for key in keys if key <= max(wanted)], told)
    rules = histories(judge(lane.dataset, replayed, wanted))
    other = None
    if changed:
        other = rule_named(histories(judge(changed, replayed, wanted)), name)
    elif name:
        other = rejudged(rule_named(rules, name), bound)
    return _answer(lane.dataset.name, wanted, rules, asked, other)


def _is_check(lane: DataLane, rule: str) -> bool:
    """A line of `checks:`, or one that could be; a contract's rule is held to a share of records instead."""
    declared = {check.partition(".")[0] for check in lane.dataset.checks}
    possible = {"row_count", "null_rate", "mean", "positive_share", "drift", "label_drift", *declared}
    return rule.partition(".")[0] in possible


def _stored(keys: Sequence[str], table: str) -> Sequence[str]:
    if not keys:
        raise BacktestError(f"{table} is empty: materialize it first")
    return keys


def _answer(
    name: str,
    wanted: Sequence[str],
    rules: Sequence[RuleHistory],
    asked: Question,
    other: RuleHistory | None,
) -> Backtest:
    chosen = [rule_named(rules, asked.rule)] if asked.rule else list(rules)
    proposed = [one for rule in chosen for one in suggestions(rule)]
    return Backtest(name, tuple(wanted), tuple(chosen), other, tuple(proposed))


def replay_dataset(lane: DataLane, lake: Lake, keys: Sequence[str], told: Told) -> DataReplay:
    """Contract and features over the stored partitions named, one at a time."""
    dataset = lane.dataset
    function = load_function(*read_reference(lane.folder, dataset.features)) if dataset.features else None
    return replay(
        dataset,
        load_object(*read_reference(lane.folder, dataset.contract)),
        function,
        _parts(lane, lake, keys, told),
        references={
            target: lake.scan(f"{target.split('.')[0]}/validated_data")
            for target in dataset.references.values()
        },
        lookups={name: lake.scan(f"{name}/validated_data") for name in dataset.lookups},
    )


def _parts(lane: DataLane, lake: Lake, keys: Sequence[str], told: Told) -> Iterator[Part]:
    table = lane.table("raw_data")
    for number, key in enumerate(keys, start=1):
        told(f"{number}/{len(keys)} {table} {key}".rstrip())
        rows = lake.scan(table, partitions=None if key == WHOLE else [key])
        yield Part(key, rows, _until(lane, key))


def _until(lane: DataLane, key: str) -> datetime | None:
    if key == WHOLE:
        return datetime.now(UTC)
    return end_of(lane.dataset.partitions, key) if lane.dataset.partitions in FORMATS else None


def _of_model(lane: ModelLane, lake: Lake, asked: Question, told: Told) -> Backtest:
    table = lane.data.table("features")
    if lane.data.dataset.partitions == "dynamic":
        raise BacktestError(
            f"{lane.data.dataset.name} has dynamic partitions: they have no time to walk along"
        )
    keys = sorted(key or WHOLE for key in lake.versions(table))
    wanted = asked.span.choose(_stored(keys, table))
    _ask(lane.model, asked)
    steps = walk_model(lane, lake, wanted, told)
    rules = histories(findings_of(lane.model, steps))
    other = what_if(rules, steps, *parse_what_if(asked.what_if)) if asked.what_if else None
    return _answer(lane.model.name, wanted, rules, asked, other)


def _ask(model: ModelDeclaration, asked: Question) -> None:
    """Refuse what cannot be answered before the walk, which takes minutes."""
    nothing = histories(findings_of(model, [Step("")]))
    if asked.rule:
        rule_named(nothing, asked.rule)
    if asked.what_if:
        what_if(nothing, [], *parse_what_if(asked.what_if))


def walk_model(lane: ModelLane, lake: Lake, keys: Sequence[str], told: Told) -> list[Step]:
    """Train and judge at the end of each partition; who passes every gate is champion from then on."""
    steps: list[Step] = []
    champion: Champion | None = None
    with tempfile.TemporaryDirectory(prefix="mlcicd-backtest-") as scratch:
        for number, key in enumerate(keys, start=1):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            step, made = _step(lane, lake, key, champion, number, folder)
            told(f"{number}/{len(keys)} {lane.model.name} at the end of {key or 'all'}: {step.said()}")
            steps.append(step)
            retired = champion if step.released else made
            champion = made if step.released else champion
            if retired and retired.package:
                shutil.rmtree(retired.package.folder)
    return steps


def _step(
    lane: ModelLane, lake: Lake, key: str, champion: Champion | None, number: int, folder: Path
) -> tuple[Step, Champion | None]:
    """One training and its gates, and what it would be as champion."""
    as_of = end_of(lane.data.dataset.partitions, key).isoformat() if key != WHOLE else None
    try:
        material = gather(lane, lake, as_of)
    except NotEnoughData as error:
        return Step(key, problem=str(error)), None
    made = make(lane, lake, material, folder, Revision("none", dirty=False, author=""))
    evaluation = score(lane, lake, made.package, made.record, made.holdout, champion)
    # What only a running server can say is not asked of history.
    asked = replayable(lane.model)
    gates = tuple(gate for gate in decide(lane.model, evaluation) if gate.name in asked)
    step = Step(key, evaluation, gates, cold=_uncovered(lane.model, material))
    return step, Champion(number, made.package.digest, made.package)


def _uncovered(model: ModelDeclaration, material: Material) -> str:
    """Where records begin long after the training window does, so that its gates say little of today's."""
    first = material.train[TIME].min()
    assert isinstance(first, datetime)  # noqa: S101  the window has rows, and choosing it looked at the type
    missing = first - material.split.train.start
    if missing <= _MISSING * model.train_window:
        return ""
    return f"cold start: the training window of {model.train} begins {missing.days} days before the records"
