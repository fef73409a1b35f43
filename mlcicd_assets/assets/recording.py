"""Telling the records what an asset was made of, so that staleness can be decided without Dagster."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from resources.protocols import Materialization, Records


def remember(
    context: dg.AssetExecutionContext,
    records: Records,
    *,
    inputs: Mapping[str, str],
    content: str,
    seconds: float,
    partition: str | None = None,
) -> None:
    """Replace the asset's (partition's) record; the code version is the one that Dagster knows."""
    key = context.asset_key
    records.write(
        Materialization(
            asset="/".join(key.path),
            partition=partition,
            code=context.assets_def.code_versions_by_key[key] or "",
            inputs=inputs,
            content=content,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            run=context.run_id,
            seconds=round(seconds, 3),
        )
    )
