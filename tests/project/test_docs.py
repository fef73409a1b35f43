"""What the documents show is true: declarations validate, commands and links exist, nothing is left out."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mlcicd_assets.cli.app import app
from mlcicd_assets.ml.catalogue import load_file
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from mlcicd_assets.ml.declarations import DatasetDeclaration, ModelDeclaration
from mlcicd_assets.ml.evaluation.metrics import all_metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
# By these, processes know each other; nobody sets them by hand.
_INTERNAL = {"MLCICD_SERVING_FOLDER"}
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _commands(document: Path, program: str) -> Iterator[list[str]]:
    """Every command line of a program: in blocks, and in code within the text."""
    text = document.read_text()
    blocks = [line.split("  #")[0].strip() for _, body in _BLOCK.findall(text) for line in body.splitlines()]
    inline = _CODE.findall(_BLOCK.sub("", text))
    for line in [*blocks, *inline]:
        if line == program or line.startswith(f"{program} "):
            yield shlex.split(line)[1:]


def _examples() -> list[Any]:
    found = []
    for document in DOCUMENTS:
        for language, body in _BLOCK.findall(document.read_text()):
            if language == "yaml" and "type: mlcicd_assets." in body:
                declared = yaml.safe_load(body)
                name = declared["attributes"].get("name", declared["type"])
                found.append(pytest.param(body, id=f"{document.name}:{name}"))
    return found


def test_there_are_examples() -> None:
    assert len(_examples()) >= 3


@pytest.mark.parametrize("example", _examples())
def test_every_declaration_shown_is_valid(example: str, tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(example)

    assert len(load_file(tmp_path / "defs.yaml")) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_shown_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {word for words in _commands(document, "make") for word in words if re.fullmatch(r"[a-z]+", word)}

    assert shown <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_mlcicd_command_and_option_shown_exists(document: Path) -> None:
    for words in _commands(document, "mlcicd"):
        command: Any = typer.main.get_command(app)
        # A group may be a command itself: 'mlcicd requests --all'.
        while words and hasattr(command, "commands") and not words[0].startswith("--"):
            name = words.pop(0).strip("[]")
            assert name in command.commands, f"{document.name}: mlcicd has no command {name!r}"
            command = command.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        shown = {word.split("=")[0] for word in words if word.startswith("--")}
        assert shown <= options, f"{document.name}: {command.name} has no {shown - options}"


def test_every_command_is_described_in_the_readme() -> None:
    command: Any = typer.main.get_command(app)
    described = {words[0] for words in _commands(ROOT / "README.md", "mlcicd") if words}

    assert {name for name, one in command.commands.items() if not one.hidden} <= described


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in {_slug(heading) for heading in _HEADING.findall(target.read_text())}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("declaration", [CodeBaseDeclaration, DatasetDeclaration, ModelDeclaration])
def test_every_field_of_a_declaration_is_described(declaration: Any) -> None:
    text = (ROOT / "docs" / "declarations.md").read_text()
    fields = _written(declaration)
    for field in declaration.model_fields.values():
        nested = [kind for kind in (field.annotation, *getattr(field.annotation, "__args__", ())) if kind]
        for kind in nested:
            fields |= _written(kind)

    assert {field for field in fields if f"`{field}`" not in text} == set()


def _written(model: Any) -> set[str]:
    """The names as YAML has them."""
    return {field.alias or name for name, field in getattr(model, "model_fields", {}).items()}


def test_every_metric_is_described() -> None:
    text = (ROOT / "docs" / "declarations.md").read_text()

    assert {metric for metric in all_metrics() if f"`{metric}`" not in text} == set()


def test_every_environment_variable_that_is_read_is_described() -> None:
    files = [path for folder in ("mlcicd_assets", "resources") for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text() for path in files)
    read = set(re.findall(r"[\"'](MLCICD_[A-Z_]+)[\"']", code)) - _INTERNAL

    assert {name for name in read if f"`{name}`" not in (ROOT / "README.md").read_text()} == set()
