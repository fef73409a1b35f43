"""Telling the records what an asset was made of, so that staleness can be decided without Dagster."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlcicd_assets.ml.code.asset_code import AssetCode
from resources.protocols import Materialization, Records

PARTS, PARAMETERS = "code", "parameters"


def remember(
    context: dg.AssetExecutionContext,
    records: Records,
    *,
    inputs: Mapping[str, str],
    content: str,
    seconds: float,
    partition: str | None = None,
    failure: str = "",
) -> None:
    """Replace the asset's (partition's) record; the code is the one that Dagster was told of.

    `failure` says why a blocking check refused what was made: nothing downstream is made of it.
    """
    key = context.asset_key
    code = context.assets_def.metadata_by_key[key]
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
            parts=_mapping(code.get(PARTS)),
            parameters=_mapping(code.get(PARAMETERS)),
            failure=failure,
        )
    )


def remember_refusal(
    context: dg.AssetExecutionContext,
    records: Records,
    *,
    inputs: Mapping[str, str],
    reason: str,
    partition: str | None = None,
) -> None:
    """Record that a blocking check refused what these inputs made; the content that stood before stands."""
    place = ("/".join(context.asset_key.path), partition)
    before = {(record.asset, record.partition): record for record in records.all()}.get(place)
    remember(
        context,
        records,
        inputs=inputs,
        content=before.content if before else "",
        seconds=before.seconds if before else 0.0,
        partition=partition,
        failure=reason,
    )


def refuse(records: Records, asset: str, reasons: Mapping[str | None, str]) -> None:
    """Record that a blocking check, a step of its own, refused what stands: partition -> why."""
    for record in records.all():
        if record.asset == asset and record.partition in reasons:
            records.write(replace(record, failure=reasons[record.partition]))


def require_unrefused(records: Records, wanted: Mapping[str, str]) -> None:
    """Raise Failure where a blocking check refused one of these contents, in whatever run that was.

    Dagster's blocking checks hold within one run only; a stage materialized alone must not go past them.
    """
    for record in records.all():
        name = record.asset if record.partition is None else f"{record.asset}@{record.partition}"
        if record.failure and wanted.get(name) == record.content:
            raise dg.Failure(
                f"{name} was refused by a blocking check: {' '.join(record.failure.split())}. "
                f"Mend that and materialize {record.asset} again",
                allow_retries=False,
            )


def code_metadata(code: AssetCode) -> dict[str, Any]:
    """What an asset is made by, for its page in the UI, and for its records."""
    return {
        PARTS: dg.MetadataValue.json(dict(code.parts)),
        PARAMETERS: dg.MetadataValue.json(dict(code.parameters)),
    }


def _mapping(value: Any) -> dict[str, str]:
    found = value.value if isinstance(value, dg.MetadataValue) else value
    return dict(found) if found else {}
