"""The gates of a model: one blocking check per declared line, and the two that always stand."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.candidates import candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import GateResult, decide, required
from mlcicd_assets.ml.fingerprint import value_fingerprint
from mlcicd_assets.release.run_files import EVALUATION
from resources.protocols import Ledger, Tracking

# In a check's name; the longer signs first.
_SIGNS = {"!=": "not", ">=": "from", "<=": "to", ">": "above", "<": "below", "=": "is", "&": "and"}
_FIXED = {
    "beats_champion": "As good as the champion on the same holdout.",
    "onnx_parity": "What will be served answers as what was trained.",
    "source_code": "The code that it was trained from had passed every check.",
}


def model_gates(lane: ModelLane) -> dg.AssetChecksDefinition:
    """All gates in one step, by the same function that wrote the verdict."""
    model = lane.model.name
    key = dg.AssetKey([model, "evaluation_report"])
    bounds = required(lane.model, lane.code_checks)
    names = check_names(bounds)
    specs = [
        dg.AssetCheckSpec(
            names[gate],
            asset=key,
            blocking=True,
            description=_FIXED.get(gate, f"{gate} {bound} on the holdout."),
        )
        for gate, bound in bounds.items()
    ]

    @dg.multi_asset_check(name=f"{model}__gates", specs=specs)
    def _gates(
        tracking: dg.ResourceParam[Tracking], ledger: dg.ResourceParam[Ledger]
    ) -> Iterator[dg.AssetCheckResult]:
        trained = candidate(ledger, model)
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            path = tracking.fetch(trained.run_id, EVALUATION, Path(scratch))
            evaluation = Evaluation.model_validate_json(path.read_bytes())
        for gate in decide(lane.model, evaluation, lane.code_checks):
            yield _shown(key, names[gate.name], gate)

    return _gates


def check_names(gates: Iterable[str]) -> dict[str, str]:
    """What Dagster can call each gate: `recall[carrier=AA]` is the check `recall_carrier_is_AA`."""
    names: dict[str, str] = {}
    for gate in gates:
        name = gate
        for sign, word in _SIGNS.items():
            name = name.replace(sign, f"_{word}_")
        name = re.sub(r"\W+", "_", name, flags=re.ASCII)
        name = re.sub(r"__+", "_", name).strip("_") if name != gate else gate
        # Two gates that read alike: the digest of the whole name tells them apart.
        names[gate] = f"{name}_{value_fingerprint(gate)[:6]}" if name in names.values() else name
    return names


def _shown(key: dg.AssetKey, name: str, gate: GateResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=gate.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=gate.message,
        metadata={
            "value": "missing" if gate.value is None else gate.value,
            "threshold": gate.bound,
            **({} if name == gate.name else {"gate": gate.name}),
        },
    )
