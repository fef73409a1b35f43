"""What the staging tests said of a digest: kept in the ledger, and asked for before production.

Dagster's blocking checks hold within one run only; a deployment launched alone must not go past them.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from mlcicd_assets.release.history import STAGED, STAGING_TESTED
from mlcicd_assets.serving.acceptance import CHECKS, Finding
from resources.protocols import Entry, Ledger, ModelVersion


def record_staging(ledger: Ledger, version: ModelVersion, actor: str, findings: Sequence[Finding]) -> None:
    """Write down the result of every staging test for exactly this digest."""
    failed = [finding for finding in findings if not finding.passed]
    ledger.append(
        STAGING_TESTED,
        version.model,
        actor=actor,
        version=version.version,
        digest=version.digest,
        reason="; ".join(f"{finding.check}: {finding.said}" for finding in failed)[:1_000] or "passed",
        details={finding.check: finding.passed for finding in findings},
    )


def require_staging(ledger: Ledger, version: ModelVersion) -> None:
    """Raise Failure unless this digest passed every staging test since it was last staged."""
    about = [
        entry
        for entry in ledger.entries(version.model)
        if entry.action in (STAGED, STAGING_TESTED) and entry.digest == version.digest
    ]
    if problem := _problem(about[-1] if about else None):
        raise dg.Failure(
            f"{version.model}: version {version.version} ({version.digest[:12]}) {problem}; "
            f"materialize {version.model}/staging_deployment with its checks first",
            allow_retries=False,
        )


def _problem(last: Entry | None) -> str:
    """Why the last word about a digest in staging is none to release on; empty when it is."""
    if last is None:
        return "was never in staging"
    if last.action == STAGED:
        return "was staged, but its staging tests have not run"
    results: Mapping[str, object] = last.details
    missing = [check for check in CHECKS if check not in results]
    if missing:
        return f"was never asked {', '.join(missing)}"
    if not all(results[check] is True for check in CHECKS):
        return f"failed in staging: {last.reason}"
    return ""


def first_answer_of(ledger: Ledger, version: ModelVersion) -> float | None:
    """How long the first request after the last staging took, in milliseconds; None when it failed."""
    staged = [
        entry
        for entry in ledger.entries(version.model)
        if entry.action == STAGED and entry.digest == version.digest
    ]
    found = staged[-1].details.get("first_answer_ms") if staged else None
    return float(found) if isinstance(found, int | float) else None
