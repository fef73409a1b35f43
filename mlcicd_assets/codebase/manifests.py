"""The check `manifests`: what is deployed to Kubernetes, as far as it can be checked without a cluster.

Custom kinds by the schemas of their definitions where `MLCICD_CRDS` names a folder of them, built-in kinds
where kubernetes-validate is installed; of all others that they are YAML and say what they are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project

CHECK = "manifests"
CRDS = "MLCICD_CRDS"
_REQUIRED = ("apiVersion", "kind")
# Text that becomes YAML only when Helm renders it, and files that configure other tools.
_TEMPLATES = "templates"
_NO_MANIFEST = {"Chart.yaml", "values.yaml", "kustomization.yaml"}


@dataclass
class _Looked:
    strict: int = 0
    basic: int = 0
    templates: int = 0
    others: int = 0  # YAML of other tools: neither an apiVersion nor a kind


def check_manifests(project: Project) -> CheckResult:
    """Every YAML file below deploy/."""
    files = [name for name in project.of("manifests") if name.endswith((".yaml", ".yml"))]
    if not files:
        return CheckResult(CHECK, (), "nothing to check: there is no manifest below deploy/")
    schemas = _schemas(project.environment.get(CRDS, ""))
    looked = _Looked()
    findings = [finding for name in files for finding in _of_file(project, name, schemas, looked)]
    return CheckResult(CHECK, tuple(findings), _told(looked, schemas))


def _told(looked: _Looked, schemas: Mapping[str, Any]) -> str:
    parts = [f"{plural(looked.strict, 'object')} by schema"] * bool(looked.strict)
    if looked.basic:
        why = "" if schemas else f" (no schemas: {CRDS} names none)"
        parts.append(f"{plural(looked.basic, 'object')} for apiVersion, kind and name only{why}")
    if looked.others:
        parts.append(f"{plural(looked.others, 'document')} of other tools, well-formed")
    if looked.templates:
        parts.append(f"{plural(looked.templates, 'template')} left out: only Helm can render them")
    return ", ".join(parts) or "no objects"


def _of_file(project: Project, name: str, schemas: Mapping[str, Any], looked: _Looked) -> Iterator[Finding]:
    import yaml

    path = project.root / name
    if _TEMPLATES in Path(name).parts:
        looked.templates += 1
        return
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        yield Finding(
            name, mark.line + 1 if mark else None, "yaml", f"not YAML: {' '.join(str(error).split())}"
        )
        return
    if path.name in _NO_MANIFEST:
        return
    for document in documents:
        if document is not None:
            yield from _of_object(name, document, schemas, looked)


def _of_object(name: str, document: Any, schemas: Mapping[str, Any], looked: _Looked) -> Iterator[Finding]:
    if not isinstance(document, dict) or not {*_REQUIRED} & {*document}:
        looked.others += 1
        return
    missing = [one for one in _REQUIRED if not document.get(one)]
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        missing.append("metadata.name")
    if missing and document.get("kind") != "List":
        yield Finding(name, None, "required", f"{_called(document)} has no {', '.join(missing)}")
        return
    key = f"{document['apiVersion']} {document['kind']}"
    if key in schemas:
        looked.strict += 1
        yield from _by_schema(name, document, schemas[key])
    elif (problems := _built_in(document)) is not None:
        looked.strict += 1
        yield from (Finding(name, None, "schema", f"{_called(document)}: {one}") for one in problems)
    else:
        looked.basic += 1


def _by_schema(name: str, document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Finding]:
    import jsonschema

    for error in jsonschema.Draft7Validator(schema).iter_errors(document):
        where = ".".join(str(part) for part in error.absolute_path) or "object"
        yield Finding(name, None, where, f"{_called(document)}: {error.message}"[:500])


def _built_in(document: Mapping[str, Any]) -> list[str] | None:
    """What kubernetes-validate says of a built-in kind; None where it cannot say."""
    from importlib.util import find_spec

    if find_spec("kubernetes_validate") is None:
        return None
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return None
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(part) for part in error.path)}: {error.message}"]
    return []


def _schemas(folder: str) -> dict[str, Any]:
    """`apiVersion kind` -> schema, of every custom resource definition in the folder."""
    import yaml

    found: dict[str, Any] = {}
    for path in sorted(Path(folder).glob("*.yaml")) if folder else []:
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    schema = version.get("schema", {}).get("openAPIV3Schema", {})
                    named = f"{spec['group']}/{version['name']} {spec['names']['kind']}"
                    found[named] = _closed(schema, top=True)
    return found


def _closed(schema: Any, *, top: bool = False) -> Any:
    """OpenAPI as JSON schema that refuses unknown fields, as the server does with strict validation."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: {field: _closed(one) for field, one in value.items()}
        if name == "properties"
        else _closed(value)
        for name, value in schema.items()
    }
    if made.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if top:
        made.setdefault("properties", {})["metadata"] = {"type": "object"}
    open_ended = made.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in made
    if "properties" in made and not open_ended:
        made["additionalProperties"] = False
    return made


def _called(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{document.get('kind') or 'an object'} {name or 'without a name'}"
