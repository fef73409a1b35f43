"""Serving truths for the page of an asset in the UI."""

from typing import Any

import dagster as dg

from mlcicd_assets.ml.evaluation.serving_truths import SKEW, ServingTruths, values


def serving_shown(truths: ServingTruths | None) -> dict[str, Any]:
    """Tables of what was measured and of what differs, and the numbers, so that the UI plots them."""
    if truths is None:
        return {}
    numbers = {name: value for name, value in values(truths).items() if value is not None}
    return {
        "serving": dg.MetadataValue.table(_measured(truths, numbers)),
        **_skew(truths),
        **{f"serving/{name}": value for name, value in numbers.items()},
        **({"serving problem": truths.problem} if truths.problem else {}),
    }


def _measured(truths: ServingTruths, numbers: dict[str, float]) -> list[dg.TableRecord]:
    load = truths.load
    about = {
        **{name: f"{value:.4g}" for name, value in numbers.items() if name != SKEW},
        "memory limit (MB)": "none" if truths.memory_limit_mb is None else f"{truths.memory_limit_mb:g}",
        "cores": "all" if truths.cpus is None else str(truths.cpus),
        "threads": str(truths.threads),
        **({"requests": f"{load.requests} ({load.failed} failed)"} if load else {}),
        **({"concurrency": str(load.concurrency)} if load else {}),
    }
    return [dg.TableRecord({"measured": name, "value": value}) for name, value in about.items()]


def _skew(truths: ServingTruths) -> dict[str, Any]:
    skew = truths.skew
    if skew is None:
        return {}
    columns = [
        dg.TableRecord({"feature": c.column, "rows": c.rows, "trained": c.trained, "served": c.served})
        for c in skew.columns
    ]
    probes = [
        dg.TableRecord(
            {
                "records": probe.name,
                "largest difference": "none"
                if probe.max_difference is None
                else f"{probe.max_difference:.3g}",
                "problem": probe.problem,
            }
        )
        for probe in skew.probes
    ]
    return {
        **({"features that differ when served": dg.MetadataValue.table(columns)} if columns else {}),
        **({"difficult records over HTTP": dg.MetadataValue.table(probes)} if probes else {}),
    }
