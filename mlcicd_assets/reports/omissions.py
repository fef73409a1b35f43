"""What an evaluation does not say, in words: nobody should take silence for a pass."""

from mlcicd_assets.ml.evaluation.evaluate import Evaluation

_AGAIN = "materialize evaluation_report again"


def omissions(evaluation: Evaluation) -> list[str]:
    """One line for each thing that was not measured, with the reason."""
    return [*_sections(evaluation), *_metrics(evaluation), *_within(evaluation)]


def served_by(evaluation: Evaluation) -> str:
    """What answers in production; says openly where that is not ONNX."""
    if evaluation.training.engine != "skops":
        return "ONNX Runtime"
    why = evaluation.training.not_onnx
    return f"scikit-learn through skops, not ONNX{f': {why}' if why else ''}"


def _sections(evaluation: Evaluation) -> list[str]:
    said = {
        "Fairness": (evaluation.fairness, "the dataset declares no protected column, or it was left out"),
        "Slices": (evaluation.slices, _AGAIN),
        "Robustness": (evaluation.robustness, _AGAIN),
        "Serving": (evaluation.serving, _AGAIN),
        "Reproducibility": (
            evaluation.reproducibility,
            "the training was not repeated (reproducible.gate is false, or the evaluation is an old one)",
        ),
        "Intervals": (evaluation.significance, _AGAIN),
        "Cost": (evaluation.training.cost, "the training was not metered; materialize trained_model again"),
        "Environment": (evaluation.training.environment, "the training did not record it"),
    }
    return [f"{name} was not measured: {why}" for name, (section, why) in said.items() if section is None]


def _metrics(evaluation: Evaluation) -> list[str]:
    # Answered by the section on fairness where there are protected columns.
    elsewhere = {"equal_opportunity_gap", "expected_cost"}
    missing = [name for name, value in evaluation.metrics.items() if value is None and name not in elsewhere]
    return [f"Not defined on this holdout: {', '.join(missing)}"] if missing else []


def _within(evaluation: Evaluation) -> list[str]:
    found = []
    if evaluation.serving and evaluation.serving.problem:
        found.append(f"Serving could not be measured: {evaluation.serving.problem}")
    if evaluation.fairness and evaluation.fairness.undefined:
        found.append(f"Fairness: {evaluation.fairness.undefined}")
    if evaluation.slices:
        found += [f"A slice could not be taken: {problem}" for problem in evaluation.slices.problems]
    if evaluation.champion and evaluation.champion.training is None:
        found.append("What the champion was trained with is not known, so nothing is compared with it")
    return found
