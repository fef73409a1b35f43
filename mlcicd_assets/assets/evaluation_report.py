"""`<model>/evaluation_report`: candidate and champion on the same holdout, and the signed verdict."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.assets.candidates import candidate, champion
from mlcicd_assets.assets.examined_shown import examined_shown
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.holdouts import RecentHoldout, holdout_records, holdout_sample, recent_holdout
from mlcicd_assets.assets.model_options import asset_options
from mlcicd_assets.assets.proofs import declared_policy
from mlcicd_assets.assets.recording import remember, require_unrefused
from mlcicd_assets.assets.reproduction import repeated
from mlcicd_assets.assets.serving_shown import serving_shown
from mlcicd_assets.assets.significance_shown import significance_shown
from mlcicd_assets.ml.artifact.package import Package, PackageError, read_package
from mlcicd_assets.ml.artifact.parity import align
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.feature_table import LABEL
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.evaluate import Champion, Evaluation, evaluate
from mlcicd_assets.ml.evaluation.examination import Plans
from mlcicd_assets.ml.evaluation.gates import GateResult, decide
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.history import OVERRIDDEN
from mlcicd_assets.release.run_files import (
    EVALUATION,
    HOLDOUT,
    MODEL_CARD,
    PACKAGE,
    REPORT,
    TRAINING,
    VERDICT,
    Candidate,
)
from mlcicd_assets.release.verdict import (
    NOTHING_ASKED,
    ChampionVersion,
    DataVersion,
    Gate,
    Holdout,
    Verdict,
    seal,
)
from mlcicd_assets.reports.evaluation import render_evaluation
from mlcicd_assets.reports.model_card import model_card
from mlcicd_assets.reports.wording import number
from mlcicd_assets.serving.examination import examine
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    ModelVersion,
    Records,
    Registry,
    Reports,
    ResourceError,
    ServingTarget,
    Tracking,
)

# In the UI; the page has them all.
IN_THE_UI = ("roc", "precision_recall", "confusion", "classes", "predicted", "errors")


def evaluation_report(lane: ModelLane) -> dg.AssetsDefinition:
    """Measure the candidate, decide every gate once, and sign what was decided, passed or not."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "evaluation_report", {"scikitlearn"}),
        description=f"{model} on its most recent labelled {lane.model.holdout}, beside the champion.",
    )
    @expected_failures()
    def _evaluation_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        records: dg.ResourceParam[Records],
        reports: dg.ResourceParam[Reports],
        serving: dg.ResourceParam[ServingTarget],
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        trained = candidate(ledger, model)
        require_unrefused(records, {f"{model}/trained_model": trained.digest})
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            folder = Path(scratch)
            current = champion(ledger, registry, model)
            opponent = _opponent(registry, tracking, current, folder / "champion")
            evaluation, read = measure(lane, lake, tracking, serving, trained, opponent, folder)
            gates = decide(lane.model, evaluation, lane.code_checks)
            verdict = verdict_of(lane, evaluation, gates, trained.run_id, datetime.now(UTC))
            page = render_evaluation(evaluation, gates, lane.model, overrides(ledger, model, trained.digest))
            card = model_card(evaluation, gates, lane.model)
            signed = seal(verdict, keys.private_key())
            keep(tracking, trained.run_id, folder, evaluation, signed, {REPORT: page, MODEL_CARD: card})
            link = reports.save(f"{model}/{trained.digest[:12]}.html", page)
        ledger.append(
            "verdict",
            model,
            actor=f"run {context.run_id}",
            digest=trained.digest,
            reason="passed" if verdict.passed else "; ".join(g.message for g in gates if not g.passed),
            details={"run": trained.run_id, "passed": verdict.passed},
        )
        remember(
            context,
            records,
            inputs={
                f"{model}/trained_model": trained.digest,
                "champion": current.digest if current else "none",
                **read,
            },
            content=_content(evaluation, gates),
            seconds=time.perf_counter() - started,
            failure="; ".join(gate.message for gate in gates if not gate.passed),
        )
        return dg.MaterializeResult(
            metadata={
                **_shown(evaluation, gates, verdict, link),
                "model card": dg.MetadataValue.md(card),
            },
            data_version=dg.DataVersion(_content(evaluation, gates)),
        )

    return _evaluation_report


def overrides(ledger: Ledger, model: str, digest: str) -> list[str]:
    """The overrides on record for exactly this artifact, in words, oldest first."""
    return [
        f"{entry.actor} on {entry.at[:16].replace('T', ' ')}: {entry.reason} "
        f"({', '.join(entry.details.get('gates') or ['the approval'])}; until {entry.details.get('expires')})"
        for entry in ledger.entries(model)
        if entry.action == OVERRIDDEN and entry.digest == digest
    ]


def _opponent(
    registry: Registry, tracking: Tracking, current: ModelVersion | None, folder: Path
) -> Champion | None:
    """The champion's package; one that cannot be had is told to the gate, which then fails closed."""
    if current is None:
        return None
    try:
        place = registry.fetch(current.model, current.version, folder) / PACKAGE
        record = TrainingRecord.model_validate_json(
            tracking.fetch(current.run_id, TRAINING, folder).read_bytes()
        )
        package = read_package(place, expected=current.digest)
        return Champion(current.version, current.digest, package, training=record)
    except (ResourceError, PackageError) as error:
        return Champion(current.version, current.digest, None, str(error))


def measure(
    lane: ModelLane,
    lake: Lake,
    tracking: Tracking,
    serving: ServingTarget,
    trained: Candidate,
    opponent: Champion | None,
    folder: Path,
) -> tuple[Evaluation, dict[str, str]]:
    """Fetch what a run trained, measure it on the newest labels, and then on the server that would serve it.

    Also the features that were read, by the names that records use.
    """
    run_id = trained.run_id
    package = read_package(tracking.fetch(run_id, PACKAGE, folder), expected=trained.digest)
    record = TrainingRecord.model_validate_json(tracking.fetch(run_id, TRAINING, folder).read_bytes())
    holdout = pl.read_parquet(tracking.fetch(run_id, HOLDOUT, folder))
    recent = recent_holdout(lane, lake, learned_until(record, opponent))
    evaluation = score(lane, lake, package, record, holdout, opponent, recent)
    sample = holdout_sample(lane, lake, package, record, holdout)
    truths = examine(serving, package, lane.model.serving, sample)
    again = repeated(lane, lake, package, record, holdout, folder) if lane.model.reproducible.gate else None
    return evaluation.model_copy(update={"serving": truths, "reproducibility": again}), recent.inputs


def learned_until(record: TrainingRecord, opponent: Champion | None) -> dict[str, datetime | None]:
    """Until when each model's training window lasts; a champion that is the candidate itself counts once."""
    rival = opponent if opponent and opponent.digest != record.digest else None
    return {"challenger": record.train[1], "champion": rival.learned_until if rival else None}


def score(
    lane: ModelLane,
    lake: Lake,
    package: Package,
    record: TrainingRecord,
    holdout: pl.DataFrame,
    opponent: Champion | None,
    recent: RecentHoldout | None = None,
) -> Evaluation:
    """Score raw records through both packages: of the `recent` holdout, or of the training's own.

    The training's `holdout` (keys, label, `_score`) is what the package is compared with scikit-learn on.
    """
    dataset = lane.data.dataset
    trained = holdout_records(lane, lake, record, holdout)
    own = align(trained, holdout, dataset.keys)
    another = recent if recent and not recent.same_as(holdout) else None
    rows = another.records(lane, lake) if another else trained
    aligned = align(rows, another.rows, dataset.keys) if another else own
    protected = aligned.select(pl.col(f"_{name}").alias(name) for name in dataset.protected)
    return evaluate(
        package,
        rows,
        aligned[LABEL],
        training=record,
        trained_scores=own["_score"].to_numpy(),
        trained_records=trained if another else None,
        champion=opponent,
        protected=protected if dataset.protected else None,
        costs=lane.model.costs,
        plans=plans_of(lane.model),
        holdout=recent.judged if recent else None,
    )


def plans_of(model: ModelDeclaration) -> Plans:
    """How the declaration wants its model examined."""
    return Plans(
        rule=model.champion,
        gates=tuple(model.gates),
        fairness=model.fairness,
        slices=model.slices,
        robustness=model.robustness,
        seed=model.seed,
    )


def verdict_of(
    lane: ModelLane, evaluation: Evaluation, gates: Sequence[GateResult], run_id: str, now: datetime
) -> Verdict:
    """Write down what the gates said about exactly this digest, and what it was made of."""
    record, opponent = evaluation.training, evaluation.champion
    return Verdict(
        model=lane.model.name,
        digest=evaluation.digest,
        gates=tuple(
            Gate(name=gate.name, value=gate.value, bound=gate.bound, passed=gate.passed, message=gate.message)
            for gate in gates
        ),
        risk=lane.model.risk,
        data=tuple(DataVersion.model_validate(used.model_dump()) for used in record.data),
        commit=record.commit,
        dirty=record.dirty,
        holdout=_holdout(evaluation),
        champion=ChampionVersion(version=opponent.version, digest=opponent.digest) if opponent else None,
        run_id=run_id,
        issued_at=now.isoformat(timespec="seconds"),
        author=" ".join(record.author.split()),
        approval=declared_policy(lane),
        code=f"{record.code.tree}: {', '.join(record.code.checks)}" if record.code else NOTHING_ASKED,
    )


def _holdout(evaluation: Evaluation) -> Holdout:
    """What both were judged on: the window, its data versions, and until when labels were known."""
    judged, record = evaluation.holdout, evaluation.training
    if judged is None:
        start, end = record.holdout
        return Holdout(start=start.isoformat(), end=end.isoformat(), rows=record.holdout_rows)
    return Holdout(
        start=judged.start.isoformat(),
        end=judged.end.isoformat(),
        rows=judged.rows,
        data=tuple(DataVersion.model_validate(used.model_dump()) for used in judged.data),
        known_at=judged.known_at.isoformat(),
    )


def keep(
    tracking: Tracking,
    run_id: str,
    folder: Path,
    evaluation: Evaluation,
    verdict: bytes,
    papers: Mapping[str, str],
) -> None:
    """Put evaluation, verdict and what people read (by file name) into the run, and its metrics beside."""
    contents = {
        EVALUATION: evaluation.model_dump_json(indent=1).encode(),
        VERDICT: verdict,
        **{name: text.encode() for name, text in papers.items()},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        tracking.store(run_id, folder / name, "")
    told = {**evaluation.metrics, **serving_truths.values(evaluation.serving), **_named(evaluation)}
    measured = {name: value for name, value in told.items() if value is not None}
    tracking.log(run_id, metrics=measured)


def _named(evaluation: Evaluation) -> dict[str, float | None]:
    """Of the examined, what MLflow has a name for: `recall[carrier=AA]` is none."""
    return {name: value for name, value in evaluation.examined.values().items() if "[" not in name}


def _content(evaluation: Evaluation, gates: Sequence[GateResult]) -> str:
    from mlcicd_assets.ml.fingerprint import value_fingerprint

    said = [(gate.name, gate.value, gate.bound, gate.passed) for gate in gates]
    return value_fingerprint({"digest": evaluation.digest, "gates": said})


def _shown(
    evaluation: Evaluation, gates: Sequence[GateResult], verdict: Verdict, link: str
) -> dict[str, Any]:
    from mlcicd_assets.reports.figures import data_uri, pictures_of, png

    opponent = evaluation.champion
    theirs = opponent.metrics if opponent else {}
    metrics = [
        dg.TableRecord({"metric": name, "challenger": number(value), "champion": number(theirs.get(name))})
        for name, value in evaluation.metrics.items()
    ]
    decided = [
        dg.TableRecord(
            {"gate": gate.name, "value": number(gate.value), "threshold": gate.bound, "passed": gate.passed}
        )
        for gate in gates
    ]
    drawn = [name for name in pictures_of(evaluation.task) if name in IN_THE_UI]
    pictures = "\n".join(f"![{name}]({data_uri(png(name, evaluation))})" for name in drawn)
    return {
        "verdict": "passed" if verdict.passed else "failed",
        "gates": dg.MetadataValue.table(decided),
        "metrics": dg.MetadataValue.table(metrics),
        **significance_shown(evaluation.significance),
        "compared with": f"champion version {opponent.version}" if opponent else "nothing: first release",
        "holdout": f"{verdict.holdout.start} to {verdict.holdout.end}, {held(evaluation)}",
        **({"labels known until": verdict.holdout.known_at} if verdict.holdout.known_at else {}),
        **({"left out": evaluation.holdout.note} if evaluation.holdout and evaluation.holdout.note else {}),
        **({"about the holdout": "; ".join(evaluation.notes)} if evaluation.notes else {}),
        "pictures": dg.MetadataValue.md(pictures),
        "report": dg.MetadataValue.path(link),
        **serving_shown(evaluation.serving),
        **examined_shown(evaluation),
        **({"trained again": evaluation.reproducibility.conclusion} if evaluation.reproducibility else {}),
        # As numbers, so that the UI plots them over time.
        **{f"metric/{name}": value for name, value in evaluation.metrics.items() if value is not None},
    }


def held(evaluation: Evaluation) -> str:
    """What the holdout holds: rows, and positives or classes."""
    if evaluation.positives is not None:
        return f"{evaluation.rows} rows, {evaluation.positives} positive"
    several = f" of {len(evaluation.classes)} classes" if evaluation.classes else ""
    return f"{evaluation.rows} rows{several}"
