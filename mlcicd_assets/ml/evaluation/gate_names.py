"""What a line of `gates:` may name, and how its bound is read."""

from collections.abc import Mapping

from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.ml.training import cost
from mlcicd_assets.ml.training.cost import COST, Rates, cost_bound


def gate_names(task: Task) -> Mapping[str, bool]:
    """Every name a gate may have: name -> whether more is better. Skew is no choice: it is always a gate."""
    served = {name: better for name, better in serving_truths.GATES.items() if name != serving_truths.SKEW}
    return {**metrics_of(task), **served, **cost.GATES}


def gate_bound(name: str, text: str, rates: Rates | None) -> Bound:
    """The bound of a gate; only the cost of a training has a unit. Raises ValueError in plain words."""
    return cost_bound(text, rates) if name == COST else Bound.parse(text)
