"""The check `secrets`: what looks like a key or a password, by detect-secrets; never the secret itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcicd_assets.codebase.areas import matching
from mlcicd_assets.codebase.findings import CheckResult, Finding, failure, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import require
from mlcicd_assets.ml.fingerprint import value_fingerprint

CHECK = "secrets"
# Not text, and large: what a secret is not written into.
_BINARY = {
    ".parquet",
    ".onnx",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".ico",
    ".pdf",
    ".zip",
    ".gz",
    ".skops",
    ".db",
}
_REMEDY = (
    "take it out and replace it where it is used (it is known now), or, where it is none, "
    "mark the line with 'pragma: allowlist secret' or add it to the baseline"
)


def check_secrets(project: Project) -> CheckResult:
    """Scan every file that counts; findings of the baseline are known. Raises ToolFailed."""
    require("detect_secrets")
    declared = project.declared.secrets
    baseline = project.root / declared.baseline
    try:
        known = json.loads(baseline.read_text()) if baseline.is_file() else {}
    except ValueError as error:
        return failure(CHECK, "baseline", f"{declared.baseline} is not JSON ({error}): make it anew")
    left_out = set(matching([*declared.excluded, declared.baseline], project.files))
    files = [name for name in project.files if name not in left_out and Path(name).suffix not in _BINARY]
    accepted = {
        (file, one.get("hashed_secret")) for file, found in known.get("results", {}).items() for one in found
    }
    settings = _settings(known)
    marks = {name: value_fingerprint([name, project.files[name]])[:12] for name in files}
    before = project.memory.get(CHECK, {})
    clean = set(before["clean"]) if before.get("settings") == settings else set()
    found = list(found_secrets(project.root, [name for name in files if marks[name] not in clean], known))
    findings = [
        Finding(name, line, kind, _REMEDY)
        for name, line, kind, digest in found
        if (name, digest) not in accepted
    ]
    more = f", {plural(len(accepted), 'known finding')} in the baseline" if accepted else ""
    dirty = {name for name, *_ in found}
    memory = {"settings": settings, "clean": sorted(marks[name] for name in files if name not in dirty)}
    return CheckResult(CHECK, tuple(findings), f"{plural(len(files), 'file')}{more}", memory=memory)


def _settings(baseline: Mapping[str, Any]) -> str:
    """What decides what is found in a file, besides the file."""
    from importlib.metadata import version

    chosen = [baseline.get(name) for name in ("plugins_used", "filters_used")]
    return value_fingerprint([version("detect-secrets"), chosen])[:16]


def found_secrets(
    root: Path, files: Sequence[str], baseline: Mapping[str, Any]
) -> Iterator[tuple[str, int, str, str]]:
    """File, line, kind and digest of each finding, once; by the baseline's plugins and filters, or by all."""
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import default_settings, transient_settings

    chosen = {name: baseline[name] for name in ("plugins_used", "filters_used") if name in baseline}
    seen = set()
    with transient_settings(chosen) if chosen else default_settings():
        for name in files:
            path = root / name
            if path.suffix in {".py", ".pyi"} and not _may_hold(path.read_text(errors="replace")):
                continue
            for secret in scan_file(str(path)):
                found = (name, secret.line_number, secret.type, secret.secret_hash)
                if found not in seen:
                    seen.add(found)
                    yield found


def _may_hold(text: str) -> bool:
    """Whether any detector finds anything in a whole file of Python: much quicker than line by line.

    A line that matches, matches within the whole text as well; so nothing is missed.
    """
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
    from detect_secrets.plugins.keyword import KeywordDetector
    from detect_secrets.settings import get_plugins

    for plugin in get_plugins():
        if isinstance(plugin, RegexBasedDetector):
            if any(pattern.search(text) for pattern in plugin.denylist):
                return True
        elif isinstance(plugin, HighEntropyStringsPlugin):
            strings = set(plugin.analyze_string(text))
            if any(plugin.calculate_shannon_entropy(one) > plugin.entropy_limit for one in strings):
                return True
        elif not isinstance(plugin, KeywordDetector) or any(plugin.analyze_string(text)):
            return True
    return False


def baseline_of(root: Path, files: Sequence[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """What a baseline that accepts everything found now says: to be read by a person, then committed."""
    from importlib.metadata import version

    from detect_secrets.settings import default_settings, get_settings

    with default_settings():
        settings = get_settings().json()
    chosen = {name: before.get(name, settings[name]) for name in ("plugins_used", "filters_used")}
    results: dict[str, list[dict[str, Any]]] = {}
    for name, line, kind, digest in found_secrets(root, files, chosen):
        results.setdefault(name, []).append(
            {
                "type": kind,
                "filename": name,
                "hashed_secret": digest,
                "is_verified": False,
                "line_number": line,
            }
        )
    return {"version": version("detect-secrets"), **chosen, "results": dict(sorted(results.items()))}
