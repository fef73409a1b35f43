"""What a line of `gates:` may name, and how its bound is read."""

from collections.abc import Mapping

from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.examination import examined_gates
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.slice_conditions import SliceError, SliceGate
from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.ml.training import cost
from mlcicd_assets.ml.training.cost import COST, Rates, cost_bound


def gate_names(task: Task) -> Mapping[str, bool]:
    """Every name a gate may have: name -> whether more is better. Skew is no choice: it is always a gate."""
    served = {name: better for name, better in serving_truths.GATES.items() if name != serving_truths.SKEW}
    return {**metrics_of(task), **examined_gates(task), **served, **cost.GATES}


def gate_problem(name: str, task: Task) -> str:
    """Why a gate cannot have this name; empty when it can. On a slice it reads `recall[carrier=AA]`."""
    names = gate_names(task)
    if "[" not in name:
        said = f"there is no metric {name!r}; of a {task} model it is one of: {', '.join(sorted(names))}"
        return "" if name in names else said
    try:
        gate = SliceGate.parse(name)
    except SliceError as error:
        return f"{name}: {error}"
    if gate is None or gate.metric not in metrics_of(task):
        known = ", ".join(sorted(metrics_of(task)))
        return f"{name}: a gate on a slice reads like 'recall[carrier=AA]', with one of the metrics {known}"
    return ""


def gate_bound(name: str, text: str, rates: Rates | None) -> Bound:
    """The bound of a gate; only the cost of a training has a unit. Raises ValueError in plain words."""
    return cost_bound(text, rates) if name == COST else Bound.parse(text)
