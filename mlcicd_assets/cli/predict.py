"""`mlcicd predict`: asks the served model over HTTP, as a client would."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    import polars as pl

    from mlcicd_assets.ml.artifact.package import Column
    from mlcicd_assets.ml.catalogue import ModelLane
    from mlcicd_assets.serving.client import Answer

# The protocol's types as polars names; text and times are BYTES.
_DTYPES = {"BOOL": "Boolean", "FP32": "Float32", "FP64": "Float64", "BYTES": "String"}
_FORMATS = (".json", ".jsonl", ".ndjson", ".csv", ".parquet")
_SHOWN = 20


def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A declared model.")],
    file: Annotated[
        Path | None, typer.Option("--file", help="Raw records: .json, .jsonl, .csv or .parquet.")
    ] = None,
    row: Annotated[str | None, typer.Option("--row", help="One raw record as a JSON object.")] = None,
    example: Annotated[
        bool, typer.Option("--example", help="The last record of the validated data.")
    ] = False,
    environment: Annotated[str, typer.Option("--environment", help="staging or production.")] = "production",
    as_json: Json = False,
) -> None:
    """Score raw records over HTTP."""
    session = session_of(context)
    lane = session.model(model)
    if sum([file is not None, row is not None, example]) != 1:
        raise typer.BadParameter("give one of --file, --row and --example")
    records = example_record(session, lane) if example else _records(file, row)
    answer = ask(session, model, records, environment)
    print_json(_plain(answer)) if as_json else _show(model, answer)


def ask(session: Session, model: str, records: "pl.DataFrame", environment: str) -> "Answer":
    """Score raw records at the environment's address; raises ServingError, RequestError, ResourceError."""
    from mlcicd_assets.serving.client import predict as request

    address = address_of(session, environment)
    inputs = served_inputs(address, model)
    _check_known(records, inputs, model)
    return request(address, model, _as_sent(records, inputs), inputs)


def _check_known(records: "pl.DataFrame", inputs: list["Column"], model: str) -> None:
    """Refuse records that have nothing the model takes: a misspelt column would only be left out."""
    taken = [column.name for column in inputs]
    if not set(taken) & set(records.columns):
        raise typer.BadParameter(
            f"the records have {', '.join(records.columns) or 'no columns'}; {model} takes {', '.join(taken)}"
        )


def address_of(session: Session, environment: str) -> str:
    """The environment's address through the proxy; raises ResourceError while nothing serves."""
    from resources.protocols import ResourceError

    serving = session.serving.status()
    if environment not in ("staging", "production"):
        raise typer.BadParameter(f"--environment is staging or production, not {environment!r}")
    if not serving.running or environment not in serving.addresses:
        raise ResourceError(f"{environment} is not serving; start it with 'mlcicd serve start'")
    return serving.addresses[environment]


def served_inputs(address: str, model: str) -> list["Column"]:
    """The raw columns that the served version takes, as it describes itself."""
    from mlcicd_assets.ml.artifact.package import Column
    from mlcicd_assets.serving.client import describe

    described = describe(address, model)["inputs"]
    return [Column(name=tensor["name"], dtype=_dtype(tensor["datatype"])) for tensor in described]


def _dtype(datatype: str) -> str:
    return _DTYPES.get(datatype) or datatype.replace("UINT", "UInt").replace("INT", "Int")


def _as_sent(records: "pl.DataFrame", inputs: list["Column"]) -> "pl.DataFrame":
    """Times as ISO 8601 text, which is how the protocol carries them."""
    import polars as pl

    texts = {column.name for column in inputs if column.dtype == "String"}
    changed = [
        pl.Series(name, [None if value is None else value.isoformat() for value in records[name]], pl.String)
        for name in records.columns
        if name in texts and records.schema[name].is_temporal()
    ]
    return records.with_columns(changed)


def example_record(session: Session, lane: "ModelLane") -> "pl.DataFrame":
    """The last record of the model's validated data; raises ResourceError before there is any."""
    return session.lake.scan(lane.data.table("validated_data")).tail(1).collect()


def _records(file: Path | None, row: str | None) -> "pl.DataFrame":
    import polars as pl
    from polars.exceptions import PolarsError

    if file is None:
        return _frame(_json(row or "", "--row"), "--row")
    if file.suffix not in _FORMATS:
        raise typer.BadParameter(f"--file ends in {', '.join(_FORMATS)}, not {file.name!r}")
    try:
        if file.suffix == ".json":
            return _frame(_json(file.read_text(), str(file)), str(file))
        if file.suffix == ".csv":
            return pl.read_csv(file, try_parse_dates=True)
        return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_ndjson(file)
    except (OSError, PolarsError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{where}: not JSON: {error}") from error


def _frame(value: Any, where: str) -> "pl.DataFrame":
    import polars as pl
    from polars.exceptions import PolarsError

    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise typer.BadParameter(
            f"{where}: a record is a JSON object of raw columns; many are a list of them"
        )
    try:
        return pl.from_dicts(rows, infer_schema_length=None)
    except (PolarsError, TypeError) as error:
        raise typer.BadParameter(f"{where}: {str(error).splitlines()[0]}") from error


def _plain(answer: "Answer") -> dict[str, Any]:
    if answer.classes is None:
        return {"version": answer.version, "values": answer.values.astype(float).tolist()}
    return {
        "version": answer.version,
        "probabilities": answer.probabilities.astype(float).tolist(),
        "labels": answer.labels.tolist(),
    }


def _show(model: str, answer: "Answer") -> None:
    out = console()
    columns, rows = _rows(answer)
    out.print(table("", ["row", *columns], rows[:_SHOWN]))
    if len(rows) > _SHOWN:
        out.print(f"… and {len(rows) - _SHOWN} more rows (--json prints all)")
    out.print(f"answered by {model} version {answer.version}")


def _rows(answer: "Answer") -> tuple[list[str], list[tuple[Any, ...]]]:
    """Score of the positive class and label, the likeliest class and its probability, or the value."""
    if answer.classes is None:
        return ["value"], [(row, f"{value:.6g}") for row, value in enumerate(answer.values, start=1)]
    binary = answer.probabilities.shape[1] == 2 and set(answer.labels.tolist()) <= {0, 1}
    scores = answer.probabilities[:, -1] if binary else answer.probabilities.max(axis=1)
    numbered = enumerate(zip(scores, answer.labels, strict=True), start=1)
    return ["score" if binary else "probability", "label"], [
        (row, f"{score:.4f}", label) for row, (score, label) in numbered
    ]
