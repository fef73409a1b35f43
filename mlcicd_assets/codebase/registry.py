"""Running one check of the code by its name; whatever it cannot look at, it does not pass."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from mlcicd_assets.codebase.findings import CheckResult, failure
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import ToolFailed
from mlcicd_assets.ml.catalogue import DeclarationError

# Loaded when they are asked: definitions name the checks at every start of a process.
_CHECKS = {
    "declarations": "declared:check_declarations",
    "feature_contract": "feature_contract:check_feature_contract",
    "licences": "licences:check_licences",
    "lock": "lock:check_lock",
    "manifests": "manifests:check_manifests",
    "ruff": "style:check_style",
    "secrets": "secret_scan:check_secrets",
    "types": "type_check:check_types",
    "unit_tests": "unit_tests:check_unit_tests",
}
PROMISES: Mapping[str, str] = {
    "declarations": "Every defs.yaml is valid, and what it names is there.",
    "feature_contract": "A row has the same features alone, in a small batch and in any order.",
    "licences": "Every installed package has an allowed licence.",
    "lock": "Every declared dependency is pinned, to a version within its range.",
    "manifests": "What is deployed to Kubernetes is what the API servers take.",
    "ruff": "Python keeps the project's own rules.",
    "secrets": "No file holds a key or a password.",
    "types": "Types agree.",
    "unit_tests": "Each model's own tests pass.",
}


def run_check(check: str, project: Project) -> CheckResult:
    """Look now, whatever is known from before."""
    module, _, name = _CHECKS[check].partition(":")
    function: Callable[[Project], Any] = getattr(import_module(f"mlcicd_assets.codebase.{module}"), name)
    try:
        result: CheckResult = function(project)
    except (ToolFailed, DeclarationError) as error:
        return failure(check, "not checked", " ".join(str(error).split()))
    return result
