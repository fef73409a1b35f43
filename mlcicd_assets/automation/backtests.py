"""The job `backtest`: the same replay as `mlcicd backtest`, with its table and a picture in the run."""

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.backtests import Question, backtest
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.ml.backtest.replay import Backtest, Span
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.reports.backtest import COLUMNS, percent, picture, row
from resources.protocols import Lake


class BacktestConfig(dg.Config):
    """What is replayed; as the options of `mlcicd backtest`."""

    name: str = Field(description="A declared dataset or model.")
    first: str = Field(default="", alias="from", description="The first partition to judge.")
    until: str = Field(default="", description="The last partition to judge.")
    every: int = Field(default=1, description="Judge each Nth partition only.")
    rule: str = Field(default="", description="One rule only.")
    what_if: str = Field(default="", description="Another bound: 'roc_auc: >= 0.70'.")

    @property
    def question(self) -> Question:
        """As the replay takes it."""
        return Question(Span(self.first or None, self.until or None, self.every), self.rule, self.what_if)


def backtest_job(catalogue: Callable[[], Catalogue] = load_all) -> dg.JobDefinition:
    """One op that reads the lake and writes nothing but what it tells of."""

    @dg.op(name="replay", out=dg.Out(dg.Nothing), description="Which gates would have failed when.")
    def _replay(
        context: dg.OpExecutionContext, config: BacktestConfig, lake: dg.ResourceParam[Lake]
    ) -> dg.Output[None]:
        with expected_failures():
            found = backtest(catalogue(), lake, config.name, config.question, context.log.info)
        return dg.Output(None, metadata=_shown(found))

    @dg.job(name="backtest", description="Replays the gates of a dataset or a model over what is stored.")
    def _backtest() -> None:
        _replay()

    return _backtest


def _shown(found: Backtest) -> dict[str, dg.MetadataValue[Any]]:
    records = [dg.TableRecord(dict(zip(COLUMNS, row(one), strict=True))) for one in found.rules]
    shown: dict[str, dg.MetadataValue[Any]] = {
        "partitions": dg.MetadataValue.int(len(found.partitions)),
        "rules": dg.MetadataValue.table(records),
        "picture": dg.MetadataValue.md(picture(found)),
    }
    if found.what_if:
        cells = dict(zip(COLUMNS, row(found.what_if), strict=True))
        shown["what if"] = dg.MetadataValue.table([dg.TableRecord(cells)])
    if found.suggested:
        lines = [
            dg.TableRecord({"rule": one.rule, "bound": one.bound, "alarm rate": percent(one.alarm_rate)})
            for one in found.suggested
        ]
        shown["what history suggests"] = dg.MetadataValue.table(lines)
    return shown
