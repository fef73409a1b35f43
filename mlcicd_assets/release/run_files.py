"""Where a training run keeps what the stages hand on, and the ledger's pointers to it."""

import json
from dataclasses import dataclass

PACKAGE = "package"
VERDICT = "verdict.json"
EVALUATION = "evaluation.json"
TRAINING = "training.json"
ESTIMATOR = "estimator.skops"
HOLDOUT = "holdout.parquet"
REPORT = "evaluation.html"
MODEL_CARD = "model_card.md"
APPROVAL = "approval.json"
OVERRIDE = "override.json"


def candidate_pointer(model: str) -> str:
    """The ledger's pointer to the last trained package."""
    return f"candidate/{model}"


def champion_pointer(model: str) -> str:
    """The ledger's pointer to the version that serves."""
    return f"champion/{model}"


def decision_pointer(model: str, digest: str) -> str:
    """The ledger's pointer to the person's decision that stands for an artifact, by its envelope's hash."""
    return f"decision/{model}/{digest}"


def override_pointer(model: str, digest: str) -> str:
    """The ledger's pointer to the override that stands for an artifact, by its envelope's hash."""
    return f"override/{model}/{digest}"


def retention_pointer(model: str, run_id: str) -> str:
    """The ledger's pointer that retention sets before it deletes a run and its version; never taken back."""
    return f"retention/{model}/{run_id}"


def pin_pointer(model: str, version: int) -> str:
    """The ledger's pointer that keeps retention away from a version while it is set."""
    return f"pin/{model}/{version}"


@dataclass(frozen=True)
class Candidate:
    """A trained package and the run that made it."""

    run_id: str
    digest: str

    def text(self) -> str:
        """As the ledger's pointer keeps it."""
        return json.dumps({"run": self.run_id, "digest": self.digest}, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> "Candidate":
        """Read what the pointer keeps."""
        value = json.loads(text)
        return cls(value["run"], value["digest"])
