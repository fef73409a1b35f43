"""What `dg scaffold defs mlcicd_assets.MlModel NAME` writes: files that load and say what to fill in."""

import re
from pathlib import Path

import dagster as dg
from jinja2 import Environment, PackageLoader

_TEMPLATES = Environment(  # noqa: S701  YAML and Python, not HTML
    loader=PackageLoader("mlcicd_assets.components", "templates"), keep_trailing_newline=True
)


def _snake(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower()


def render(template: str, **values: str) -> str:
    """One of the templates, filled in."""
    return _TEMPLATES.get_template(template).render(**values)


def _write(folder: Path, template: str, file: str, **values: str) -> None:
    target = folder / file
    if not target.exists():
        target.write_text(render(template, **values))


class MlModelScaffolder(dg.Scaffolder):
    """Writes defs.yaml and model.py."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write a declaration on the first dataset of the project, to be adapted."""
        _refuse_python(request)
        name = _snake(request.target_path.name)
        dataset = _first_dataset(request.target_path.parent)
        request.target_path.mkdir(parents=True, exist_ok=True)
        _write(request.target_path, "model.yaml.j2", "defs.yaml", name=name, dataset=dataset)
        _write(request.target_path, "model.py.j2", "model.py", name=name)


class CodeBaseScaffolder(dg.Scaffolder):
    """Writes defs.yaml."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write a declaration with every check, to be adapted."""
        _refuse_python(request)
        request.target_path.mkdir(parents=True, exist_ok=True)
        _write(request.target_path, "codebase.yaml.j2", "defs.yaml")


class DatasetScaffolder(dg.Scaffolder):
    """Writes defs.yaml, dataset.py and features.py."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write a daily dataset, to be adapted."""
        _refuse_python(request)
        name = _snake(request.target_path.name)
        request.target_path.mkdir(parents=True, exist_ok=True)
        _write(request.target_path, "dataset.yaml.j2", "defs.yaml", name=name)
        _write(request.target_path, "dataset.py.j2", "dataset.py", name=name)
        _write(request.target_path, "features.py.j2", "features.py", name=name)


def _refuse_python(request: dg.ScaffoldRequest) -> None:
    if request.scaffold_format != "yaml":
        raise ValueError("declarations are YAML: leave out --format python")


def _first_dataset(defs: Path) -> str:
    from mlcicd_assets.ml.catalogue import load_datasets

    labelled = [name for name, lane in load_datasets(defs).items() if lane.dataset.label]
    return labelled[0] if labelled else "CHANGE_ME"
