"""What trainings cost, written to the ledger, also where they fail: budgets are measured from it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from mlcicd_assets.assets.metering import Meter, metered
from mlcicd_assets.ml.training.cost import TrainingCost
from mlcicd_assets.release.history import TRAINED, TRAINING_FAILED
from resources.protocols import Entry, Ledger

COST = "cost"


@contextmanager
def metered_training(ledger: Ledger, model: str, actor: str) -> Iterator[Meter]:
    """Measure a training; one that fails or is ended leaves its cost in the ledger. A killed one cannot."""
    with metered() as meter:
        try:
            yield meter
        except BaseException as error:
            meter.stop()
            ledger.append(
                TRAINING_FAILED,
                model,
                actor=actor,
                reason=type(error).__name__,  # the message is in the run; it may hold what no ledger should
                details=cost_details(meter.cost),
            )
            raise


def cost_details(cost: TrainingCost) -> dict[str, Any]:
    """As a line of the ledger keeps it."""
    return {COST: cost.model_dump(mode="json")}


def training_costs(lines: Iterable[Entry]) -> Iterator[tuple[datetime, TrainingCost]]:
    """When each training ended, and what it cost; those from before costs were kept are left out."""
    for line in lines:
        found = line.details.get(COST)
        if line.action in {TRAINED, TRAINING_FAILED} and isinstance(found, Mapping):
            yield datetime.fromisoformat(line.at).astimezone(UTC), TrainingCost.model_validate(found)
