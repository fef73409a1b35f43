"""What a training cost: measured seconds and memory, money at declared rates, and the gates on them."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlcicd_assets.ml.declared import Declaration
from mlcicd_assets.ml.thresholds import Bound

COST = "train_cost"
# name -> whether more is better
GATES: dict[str, bool] = {
    COST: False,
    "train_seconds": False,
    "train_cpu_seconds": False,
    "train_gpu_seconds": False,
    "train_memory_mb": False,
}
_CURRENCY = re.compile(r"^[A-Z]{3}$")
CPU_HOURS, GPU_HOURS = "cpu-hours", "gpu-hours"


def _currency(value: str) -> str:
    if not _CURRENCY.match(value):
        raise ValueError(f"a currency is its ISO 4217 code, like 'EUR', not {value!r}")
    return value


class Rates(Declaration):
    """The price of an hour, for the cost of each training in money."""

    cpu_hour: float = Field(ge=0, description="Price of one core for an hour.")
    gpu_hour: float = Field(default=0.0, ge=0, description="Price of one GPU for an hour.")
    currency: Annotated[str, AfterValidator(_currency)] = Field(description="'EUR'.")


class TrainingCost(BaseModel):
    """What one training used, its child processes included."""

    model_config = ConfigDict(frozen=True)

    wall_seconds: float
    cpu_seconds: float  # user and system time, over all cores
    gpu_seconds: float  # that GPUs were held for; 0 without one
    peak_memory_mb: float  # resident, 10^6 bytes; sampled


def money(cost: TrainingCost, rates: Rates) -> float:
    """The price of a training, in the currency of the rates."""
    return (cost.cpu_seconds * rates.cpu_hour + cost.gpu_seconds * rates.gpu_hour) / 3600


def cost_bound(text: str, rates: Rates | None) -> Bound:
    """Read '<= 5 cpu-hours' or '<= 2.50 EUR'; raises ValueError for a unit that nothing is measured in."""
    units = [CPU_HOURS, GPU_HOURS, *([rates.currency] if rates else [])]
    try:
        bound = Bound.parse(text, units=units)
    except ValueError as error:
        more = "" if rates else "; money needs 'rates'"
        raise ValueError(f"{error}, in {', '.join(units)}{more}") from None
    if not bound.unit:
        raise ValueError(
            f"{COST} has a unit ({', '.join(units)}), for example '<= 5 cpu-hours', not {text!r}"
        )
    return bound


def values(cost: TrainingCost | None, bound: Bound | None, rates: Rates | None) -> Mapping[str, float | None]:
    """What each gate compares; `train_cost` in the unit of its bound. None where nothing was measured."""
    if cost is None:
        return dict.fromkeys(GATES)
    return {
        COST: _in_unit(cost, bound.unit if bound else "", rates),
        "train_seconds": cost.wall_seconds,
        "train_cpu_seconds": cost.cpu_seconds,
        "train_gpu_seconds": cost.gpu_seconds,
        "train_memory_mb": cost.peak_memory_mb,
    }


def _in_unit(cost: TrainingCost, unit: str, rates: Rates | None) -> float | None:
    if unit == CPU_HOURS:
        return cost.cpu_seconds / 3600
    if unit == GPU_HOURS:
        return cost.gpu_seconds / 3600
    return money(cost, rates) if rates and unit == rates.currency else None


def metrics_of(cost: TrainingCost, rates: Rates | None) -> dict[str, float]:
    """As a tracked run keeps them."""
    found = {name: value for name, value in values(cost, None, rates).items() if value is not None}
    return {**found, **({COST: money(cost, rates)} if rates else {})}


def described(cost: TrainingCost, rates: Rates | None) -> dict[str, str | float]:
    """For people."""
    price = {"training cost": f"{money(cost, rates):.4f} {rates.currency}"} if rates else {}
    return {
        "training CPU seconds": cost.cpu_seconds,
        "training GPU seconds": cost.gpu_seconds,
        "training memory (MB)": cost.peak_memory_mb,
        **price,
    }
