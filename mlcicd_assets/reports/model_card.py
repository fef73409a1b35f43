"""The model card: what a model is for, how it was made and what was measured, as Markdown.

Sections after Mitchell et al., "Model Cards for Model Reporting" (2019), in the layout of Hugging Face's
annotated template. Everything comes from the declaration and the evaluation; what is not known says so.
"""

from collections.abc import Iterable, Iterator, Sequence

from mlcicd_assets.ml.card import Card
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import GateResult
from mlcicd_assets.ml.training.training_record import DataUsed
from mlcicd_assets.reports.differences import parameters
from mlcicd_assets.reports.forest import forest
from mlcicd_assets.reports.markdown import bullets, literal, prose, table
from mlcicd_assets.reports.omissions import omissions, served_by
from mlcicd_assets.reports.sections import Measured, judged, priced, served
from mlcicd_assets.reports.wording import count, interval, number, plain, signed, signs, span

_NOT_DECLARED = "Not declared: `card.{}` of the model's declaration is empty."


def model_card(evaluation: Evaluation, gates: Sequence[GateResult], about: ModelDeclaration) -> str:
    """The card of one candidate, whole; tables are escaped, no line ends with spaces."""
    parts = [
        _front(evaluation, about),
        *_summary(evaluation, gates, about),
        *_details(evaluation, about),
        *_uses(about.card),
        *_training(evaluation, about),
        *_evaluation(evaluation),
        *_fairness(evaluation),
        *_slices(evaluation),
        *_robustness(evaluation),
        *_serving(evaluation, gates),
        *_gates(gates),
        *_caveats(evaluation, about.card),
        *_reproduce(evaluation),
    ]
    text = "\n\n".join(part for part in parts if part)
    return "\n".join(row.rstrip() for row in text.splitlines()) + "\n"


def first_lines(card: str) -> str:
    """What a card says first, for where a whole one has no room."""
    return card.removeprefix("---\n").partition("---\n")[2].partition("## ")[0].strip()


def _front(evaluation: Evaluation, about: ModelDeclaration) -> str:
    """The metadata that hubs and tools read (YAML front matter)."""
    tags = ["tabular", evaluation.task, evaluation.training.engine]
    licensed = [f"license: {_quoted(about.card.license)}"] if about.card.license else []
    return "\n".join(["---", f"model_name: {about.name}", *licensed, f"tags: [{', '.join(tags)}]", "---"])


def _quoted(text: str) -> str:
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _summary(evaluation: Evaluation, gates: Sequence[GateResult], about: ModelDeclaration) -> list[str]:
    failed = [gate for gate in gates if not gate.passed]
    decided = "passed" if gates and not failed else "blocked"
    counted = f"all {len(gates)} gates hold" if not failed else f"{len(failed)} of {len(gates)} gates failed"
    metric = evaluation.significance.of(about.champion.metric) if evaluation.significance else None
    value = number(evaluation.metrics.get(about.champion.metric))
    sure = f" (interval {interval(metric.low, metric.high)})" if metric and metric.low is not None else ""
    return [
        f"# {prose(about.name)}",
        prose(about.description) or "No description is declared.",
        f"Verdict: **{decided}**, {counted if gates else 'there are no gates'}. "
        f"{about.champion.metric} is {value}{sure} on {count(evaluation.rows)} rows of the holdout "
        f"{span(judged(evaluation))}.",
    ]


def _details(evaluation: Evaluation, about: ModelDeclaration) -> Iterator[str]:
    record = evaluation.training
    changes = " with uncommitted changes" if record.dirty else ""
    yield "## Model details"
    yield bullets(
        [
            f"Owner: {prose(about.owner)}",
            f"Task: {evaluation.task}, of the dataset `{prose(about.dataset)}`",
            f"Package: `sha256:{evaluation.digest}`",
            f"Trained as of {record.as_of:%Y-%m-%d %H:%M} from commit `{record.commit[:12]}`{changes}",
            f"Served by {literal(served_by(evaluation))}",
            *([f"A score from {evaluation.threshold:g} counts as positive"] if evaluation.threshold else []),
            f"Risk: {about.risk}; "
            + ("a person approves before production" if about.approval_needed else "no approval is needed"),
            f"License: {prose(about.card.license) or 'not declared'}",
            *(prose(reference) for reference in about.card.references),
        ]
    )


def _uses(card: Card) -> Iterator[str]:
    yield "## Uses"
    yield "### Intended use"
    yield _said(card.intended_use, "intended_use")
    yield "### Out of scope"
    yield _said(card.out_of_scope, "out_of_scope")


def _said(text: str, field: str) -> str:
    return prose(text) or _NOT_DECLARED.format(field)


def _training(evaluation: Evaluation, about: ModelDeclaration) -> Iterator[str]:
    record = evaluation.training
    balance = ", ".join(f"{count(rows)} of class {literal(name)}" for name, rows in record.class_rows.items())
    yield "## Training"
    yield bullets(
        [
            f"Window: {span(record.train)}, {count(record.train_rows)} rows"
            + (f" ({balance})" if balance else ""),
            f"Class weights: {record.imbalance}",
            f"Features ({len(record.features)}): {', '.join(map(literal, record.features))}",
            _tuned(evaluation),
            _cost(evaluation, about),
            _machine(evaluation),
        ]
    )
    yield "### Data"
    yield _data(record.data)
    yield "### Parameters"
    yield table(["parameter", "value"], parameters(record).items())


def _tuned(evaluation: Evaluation) -> str:
    tuning = evaluation.training.tuning
    if tuning is None:
        return "Parameters were not searched"
    value = number(tuning.best_trial.value)
    return f"Parameters by search: {len(tuning.trials)} trials, {tuning.metric} {value} in validation"


def _cost(evaluation: Evaluation, about: ModelDeclaration) -> str:
    cost = evaluation.training.cost
    if cost is None:
        return f"Cost: not metered; it took {evaluation.training.seconds:.1f} s"
    price = priced(evaluation, about)
    return (
        f"Cost: {cost.wall_seconds:.1f} s, {cost.cpu_seconds:.1f} s of processors, "
        f"{cost.gpu_seconds:.1f} s of GPUs, {cost.peak_memory_mb:.0f} MB at most"
        + (f", {price}" if price else "")
    )


def _machine(evaluation: Evaluation) -> str:
    found = evaluation.training.environment
    if found is None:
        return "Environment: not recorded"
    return (
        f"Environment: Python {found.python}, {literal(found.platform)}, {literal(found.cpu)} "
        f"({found.cores} cores), GPU {literal(found.gpu) or 'none'}, lock file `{found.lock[:12] or 'none'}`"
    )


def _data(data: Sequence[DataUsed]) -> str:
    """Each table with its versions and partitions; contents by their hashes stand in the evaluation."""
    rows = []
    for name in dict.fromkeys(used.table for used in data):
        of = [used for used in data if used.table == name]
        partitions = [used.partition for used in of if used.partition is not None]
        versions = sorted({used.version for used in of})
        reach = f"{partitions[0]} to {partitions[-1]} ({len(partitions)})" if partitions else "all"
        rows.append([name, reach, ", ".join(map(str, versions))])
    return table(["table", "partitions", "table version"], rows)


def _evaluation(evaluation: Evaluation) -> Iterator[str]:
    significance, champion = evaluation.significance, evaluation.champion
    held = "" if evaluation.positives is None else f", {count(evaluation.positives)} positive"
    yield "## Evaluation"
    yield bullets(
        [
            f"Holdout: {span(judged(evaluation))}, {count(evaluation.rows)} rows{held}",
            *(
                [f"Labels known until {evaluation.holdout.known_at:%Y-%m-%d %H:%M}"]
                if evaluation.holdout
                else []
            ),
            f"Intervals: {significance.confidence:.0%}, stratified by class"
            if significance
            else "No intervals",
            _against(evaluation),
        ]
    )
    compared = champion is not None and not champion.problem
    columns = [
        "metric",
        "value",
        "interval",
        *(["champion", "gain", "its interval", "verdict"] if compared else []),
    ]
    rows = []
    for found in forest(evaluation, []):
        one = found.evidence
        theirs = [number(one.champion), signed(one.gain), interval(one.gain_low, one.gain_high)]
        row = [one.metric, number(one.value), interval(one.low, one.high)]
        rows.append([*row, *([*theirs, plain(one.verdict or "")] if compared else [])])
    yield table(columns, rows)
    if evaluation.classes:
        yield "### Classes"
        yield table(
            ["class", "rows", "recall", "precision"],
            [[c.name, count(c.rows), number(c.recall), number(c.precision)] for c in evaluation.classes],
        )


def _against(evaluation: Evaluation) -> str:
    champion = evaluation.champion
    if champion is None:
        return "First release: there is no champion to compare with"
    if champion.problem:
        return f"Champion version {champion.version} could not be scored: {literal(champion.problem)}"
    verdict = evaluation.significance.verdict if evaluation.significance else None
    return f"Against champion version {champion.version}: {plain(verdict or 'not compared')}"


def _fairness(evaluation: Evaluation) -> Iterator[str]:
    section = evaluation.fairness
    yield "## Fairness"
    if section is None:
        yield "Not measured: no protected column was at hand."
        return
    yield f"A group counts from {section.minimum} rows or positives; intervals of {section.confidence:.0%}."
    rows = [
        [
            f"{group.column}={group.value}",
            count(group.rows),
            plain(name),
            number(rate.value),
            interval(rate.low, rate.high),
            "yes" if rate.counted else "too few",
        ]
        for group in section.groups
        for name, rate in group.rates.items()
    ]
    yield table(["group", "rows", "rate", "value", "interval", "counted"], rows)
    yield table(
        ["between groups", "column", "value", "interval", "note"],
        [
            [one.gate, one.column, number(one.value), interval(one.low, one.high), one.missing]
            for one in section.disparities
        ],
    )


def _slices(evaluation: Evaluation) -> Iterator[str]:
    section = evaluation.slices
    yield "## Slices"
    if section is None:
        yield "Not measured."
        return
    yield f"Worst of {count(section.tested)} slices of {section.minimum} rows or more; then the declared."
    rows = [
        [
            one.name if one.counted else f"{one.name} (small)",
            count(one.rows),
            number(one.metric.value),
            interval(one.metric.low, one.metric.high),
            number(one.champion.value if one.champion else None),
            signed(one.difference),
        ]
        for one in [*section.found, *section.declared]
    ]
    yield table(["slice", "rows", section.metric, "interval", "champion", "loss above the rest"], rows)


def _robustness(evaluation: Evaluation) -> Iterator[str]:
    section = evaluation.robustness
    yield "## Robustness"
    if section is None:
        yield "Not measured."
        return
    yield f"{section.metric} is {number(section.value)} on {count(section.rows)} records as they are."
    rows = [
        [
            one.what,
            number(one.value),
            signed(one.drop),
            interval(one.low, one.high),
            one.failure or one.note or "held",
        ]
        for one in section.disturbances
    ]
    yield table(["disturbed", section.metric, "drop", "interval", "outcome"], rows)


def _serving(evaluation: Evaluation, gates: Sequence[GateResult]) -> Iterator[str]:
    found = evaluation.serving
    yield "## Serving requirements"
    if found is None:
        yield "Not measured."
        return
    if found.problem:
        yield f"Could not be measured: {literal(found.problem)}"
    memory = "no limit of memory" if found.memory_limit_mb is None else f"{found.memory_limit_mb:g} MB"
    cores = "all cores" if found.cpus is None else f"{found.cpus} cores"
    load = f"; {found.load.concurrency} requests at once" if found.load else ""
    yield f"Measured on its own server with {memory}, {cores}, {found.threads} thread(s){load}."
    rows = [[one.what, _amount(one), signs(one.bound)] for one in served(evaluation, gates)]
    yield table(["measured", "value", "threshold"], rows)


def _amount(one: Measured) -> str:
    return number(one.value) if one.value is None or not one.unit else f"{one.value:.4g} {one.unit}"


def _gates(gates: Sequence[GateResult]) -> Iterator[str]:
    yield "## Gates"
    yield table(
        ["gate", "value", "threshold", "result", "in words"],
        [
            [g.name, number(g.value), signs(g.bound), "passed" if g.passed else "FAILED", signs(g.message)]
            for g in gates
        ],
    )


def _caveats(evaluation: Evaluation, card: Card) -> Iterator[str]:
    yield "## Caveats"
    yield "### Limitations"
    yield _said(card.limitations, "limitations")
    yield "### Ethical considerations"
    yield _said(card.ethical_considerations, "ethical_considerations")
    yield "### What was not measured, and what is odd"
    note = [evaluation.holdout.note] if evaluation.holdout and evaluation.holdout.note else []
    yield bullets(literal(text) for text in [*omissions(evaluation), *evaluation.notes, *note]) or "Nothing."


def _reproduce(evaluation: Evaluation) -> Iterable[str]:
    again = evaluation.reproducibility
    found = f"Trained again on {count(again.trained_on)} rows: {literal(again.conclusion)}." if again else ""
    command = f"mlcicd reproduce {evaluation.model}@VERSION"
    return [
        "## How to reproduce",
        found or "The training was not repeated.",
        f"```sh\n{command}\n```",
        "trains a version again, from its recorded commit and table versions, and says what differs.",
    ]
