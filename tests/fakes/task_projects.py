"""The small project of `projects`, learning one of many classes or a number instead."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from tests.fakes.projects import MONTHS, Project, sales

CARRIERS = ("bike", "train", "van")
_ESTIMATORS = {
    "carrier": """
def estimator():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=7)
""",
    "hours": """
def estimator():
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge(alpha=1.0))
""",
}
_MODELS = {
    "carrier": """  task: multiclass
  imbalance: balanced
  costs: {matrix: {van: {bike: 5}}, otherwise: 1, currency: EUR}
  gates: {balanced_accuracy: ">= 0.60", log_loss: "<= 1.0", expected_cost: "<= 1.5"}
  champion: {metric: log_loss, non_inferiority: 0.05}
""",
    "hours": """  task: regression
  gates: {rmse: "<= 2.0", r2: ">= 0.50"}
  champion: {metric: mae, non_inferiority: 0.05}
""",
}
_KINDS = {"carrier": "classes", "hours": "number"}
_FIELDS = {"carrier": "str = pa.Field(nullable=True)", "hours": "float = pa.Field(nullable=True)"}
Learned = Literal["carrier", "hours"]


def learn(project: Project, column: Learned) -> None:
    """Let the model `returns` learn `carrier` (three classes of text) or `hours` (a number)."""
    label = f"label: {{column: {column}, kind: {_KINDS[column]}}}"
    project.edit("sales/defs.yaml", "label: {column: returned}", label)
    project.edit("sales/defs.yaml", "after_event: [refund]", "after_event: [refund, returned]")
    project.edit(
        "sales/dataset.py", "    refund: float", f"    {column}: {_FIELDS[column]}\n    refund: float"
    )
    gates = '  gates: {roc_auc: ">= 0.70", brier: "<= 0.25"}\n'
    gates += "  champion: {metric: roc_auc, non_inferiority: 0.01}\n"
    project.edit("returns/defs.yaml", gates, _MODELS[column])
    (project.defs / "returns" / "model.py").write_text(_ESTIMATORS[column])


def land(project: Project, column: Learned, months: Sequence[str] = MONTHS) -> None:
    """Let the months land with the column that is learned."""
    project.land(months)
    for month in months:
        shipped(month).write_parquet(project.home / "landing" / "sales" / f"{month}.parquet")


def shipped(month: str) -> pl.DataFrame:
    """Sales with `hours` of shipping and the `carrier`: dear and online ones go by van, and take longer."""
    frame = sales(month)
    rng = np.random.default_rng(int(month.replace("-", "")))
    size = np.log1p(frame["amount"].to_numpy()) - 3
    online = frame["online"].to_numpy()
    hours = 20 + 2.5 * size + 3 * online + rng.normal(0, 1, frame.height)
    carrier = np.digitize(size + 1.5 * online + rng.normal(0, 0.4, frame.height), [0.3, 1.9])
    return frame.with_columns(hours=pl.Series(hours), carrier=pl.Series(np.array(CARRIERS)[carrier]))
