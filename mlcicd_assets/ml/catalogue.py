"""Reads declarations from the `defs.yaml` files, without Dagster, and finds what belongs together."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from mlcicd_assets.ml.declarations import DatasetDeclaration, ModelDeclaration
from mlcicd_assets.ml.prediction_logging import unjoinable
from mlcicd_assets.ml.tasks import LABEL_KINDS

Declared = DatasetDeclaration | ModelDeclaration | CodeBaseDeclaration

DEFS = Path(__file__).parents[1] / "defs"
KINDS: dict[str, type[DatasetDeclaration] | type[ModelDeclaration] | type[CodeBaseDeclaration]] = {
    "mlcicd_assets.Dataset": DatasetDeclaration,
    "mlcicd_assets.MlModel": ModelDeclaration,
    "mlcicd_assets.CodeBase": CodeBaseDeclaration,
}


class DeclarationError(ValueError):
    """A declaration that cannot be used; names the file, the field, what was found and what is expected."""


@dataclass(frozen=True)
class DataLane:
    """A dataset's declaration and the folder its references start from."""

    dataset: DatasetDeclaration
    folder: Path

    def table(self, stage: str) -> str:
        """The lake table, and the asset key's path, of a stage: `flights/raw_data`."""
        return f"{self.dataset.name}/{stage}"


@dataclass(frozen=True)
class ModelLane:
    """A model's declaration, its folder, and the dataset it learns from."""

    model: ModelDeclaration
    folder: Path
    data: DataLane
    code: CodeBaseDeclaration | None = None  # what the project's code must pass; None: nothing is declared

    @property
    def code_checks(self) -> tuple[str, ...]:
        """The checks that the code must have passed that the model is made from."""
        return tuple(self.code.checks) if self.code else ()


@dataclass(frozen=True)
class Catalogue:
    """Every declaration below one folder."""

    datasets: dict[str, DataLane]
    models: dict[str, ModelLane]
    code: CodeBaseDeclaration | None = None


def load_file(path: Path) -> list[Declared]:
    """Read one defs.yaml (one or many documents); raises DeclarationError."""
    import yaml
    from pydantic import ValidationError

    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path}: not YAML: {error}") from error
    declarations: list[Declared] = []
    for document in documents:
        kind = KINDS.get(document.get("type", "")) if isinstance(document, dict) else None
        if kind is None:
            continue
        try:
            declarations.append(kind.model_validate(document.get("attributes") or {}))
        except ValidationError as error:
            raise DeclarationError(f"{path}: {_plain(error)}") from error
    return declarations


def load_datasets(root: Path = DEFS) -> dict[str, DataLane]:
    """The datasets declared below a folder, by name; raises DeclarationError."""
    return _datasets(_read(root))


def load_all(root: Path = DEFS) -> Catalogue:
    """Every declaration below a folder; raises DeclarationError for the first that cannot be used."""
    found = _read(root)
    datasets = _datasets(found)
    code = _code(found)
    models: dict[str, ModelLane] = {}
    for declaration, folder in found:
        if not isinstance(declaration, ModelDeclaration):
            continue
        if declaration.name in models or declaration.name in datasets:
            raise DeclarationError(f"{folder / 'defs.yaml'}: the name {declaration.name!r} is declared twice")
        models[declaration.name] = ModelLane(
            declaration, folder, dataset_of(declaration, datasets, folder), code
        )
    return Catalogue(datasets, models, code)


def load_code(root: Path = DEFS) -> CodeBaseDeclaration | None:
    """The project's declared code base, if it has one; raises DeclarationError where it has two."""
    return _code(_read(root))


def readable_code(root: Path = DEFS) -> CodeBaseDeclaration | None:
    """The declared code base where it can be read by itself, whatever is wrong with other files."""
    for path in sorted(root.rglob("defs.yaml")):
        try:
            found = load_file(path)
        except DeclarationError:
            continue
        for declaration in found:
            if isinstance(declaration, CodeBaseDeclaration):
                return declaration
    return None


def _read(root: Path) -> list[tuple[Declared, Path]]:
    paths = sorted(root.rglob("defs.yaml"))
    return [(declaration, path.parent) for path in paths for declaration in load_file(path)]


def _datasets(found: list[tuple[Declared, Path]]) -> dict[str, DataLane]:
    datasets: dict[str, DataLane] = {}
    for declaration, folder in found:
        if not isinstance(declaration, DatasetDeclaration):
            continue
        if declaration.name in datasets:
            raise DeclarationError(f"{folder / 'defs.yaml'}: dataset {declaration.name!r} is declared twice")
        datasets[declaration.name] = DataLane(declaration, folder)
    return datasets


def _code(found: list[tuple[Declared, Path]]) -> CodeBaseDeclaration | None:
    declared = [(one, folder) for one, folder in found if isinstance(one, CodeBaseDeclaration)]
    if len(declared) > 1:
        raise DeclarationError(
            f"{declared[1][1] / 'defs.yaml'}: a second CodeBase; the first is in "
            f"{declared[0][1] / 'defs.yaml'}: a project has one, with all of its paths"
        )
    return declared[0][0] if declared else None


def dataset_of(model: ModelDeclaration, datasets: dict[str, DataLane], folder: Path) -> DataLane:
    """Find a model's dataset; raises DeclarationError where it is missing or has no label to learn."""
    where = f"{folder / 'defs.yaml'}: dataset: "
    found = datasets.get(model.dataset)
    if found is None:
        raise DeclarationError(
            f"{where}{model.dataset!r} is not declared; declared are: {', '.join(sorted(datasets)) or 'none'}"
        )
    if found.dataset.label is None:
        raise DeclarationError(f"{where}{model.dataset!r} declares no label, so no model can learn from it")
    kind, needed = found.dataset.label.kind, LABEL_KINDS[model.task]
    if kind != needed:
        raise DeclarationError(
            f"{folder / 'defs.yaml'}: task: {model.task} needs a label of kind {needed}, but that of "
            f"{model.dataset!r} is of kind {kind}; declare 'label: {{…, kind: {needed}}}' there, or the task "
            "that fits"
        )
    _check_protected(model, found.dataset, folder)
    _check_evidence(model, found.dataset, folder)
    return found


def _check_evidence(model: ModelDeclaration, dataset: DatasetDeclaration, folder: Path) -> None:
    """What a rollout waits for must be able to come."""
    slo, where = model.rollout.slo, f"{folder / 'defs.yaml'}: rollout.slo."
    if slo.agreement and model.log is None:
        raise DeclarationError(f"{where}agreement needs the prediction log, and 'log' is null")
    if slo.agreement and model.task == "regression":
        raise DeclarationError(f"{where}agreement is of labels: a regression model gives none; leave it out")
    if slo.labelled == "required" and (problem := unjoinable(model.log, dataset)):
        raise DeclarationError(f"{where}labelled: required: {problem}")


def _check_protected(model: ModelDeclaration, dataset: DatasetDeclaration, folder: Path) -> None:
    from mlcicd_assets.ml.evaluation.fairness import fairness_gates

    known = ", ".join(dataset.protected) or "none"
    gates = [gate for gate in model.gates if gate in fairness_gates(model.task)]
    crossed = [name for columns in model.fairness.intersections for name in columns]
    unknown = sorted(set(crossed) - set(dataset.protected))
    if unknown or (gates and not dataset.protected):
        asks = f"fairness.intersections: {', '.join(unknown)}" if unknown else f"gates: {', '.join(gates)}"
        raise DeclarationError(
            f"{folder / 'defs.yaml'}: {asks} needs protected columns, and those of {dataset.name!r} are "
            f"{known}; declare them there"
        )


def read_reference(folder: Path, reference: str) -> tuple[Path, str]:
    """Split `model.py:estimator` into the file beside the declaration and the name in it."""
    file, name = reference.split(":")
    return folder / file, name


def check_references(folder: Path, references: Iterable[str | None]) -> None:
    """See, without running anything, that each named function or class exists; raises DeclarationError."""
    for reference in references:
        if reference is None:
            continue
        path, name = read_reference(folder, reference)
        if not path.is_file():
            raise DeclarationError(f"{folder / 'defs.yaml'}: {reference!r}: there is no file {path}")
        try:
            tree = ast.parse(path.read_text(), filename=str(path))
        except SyntaxError as error:
            raise DeclarationError(f"{path}, line {error.lineno}: not Python: {error.msg}") from error
        if name not in _names(tree):
            raise DeclarationError(
                f"{folder / 'defs.yaml'}: {reference!r}: {path.name} defines no {name!r}; "
                f"it defines: {', '.join(sorted(_names(tree))) or 'nothing'}"
            )


def _names(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _plain(error: Any) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "attributes"
        told = problem["msg"].removeprefix("Value error, ")
        # What is wrong between fields names them; the whole declaration would only bury it.
        between = problem["type"] == "value_error" and isinstance(problem["input"], dict)
        if not between and problem["type"] not in {"missing", "extra_forbidden"}:
            told += f" (found {problem['input']!r})"
        problems.append(f"{where}: {told}"[:500])
    return "; ".join(problems)
