"""Open Inference Protocol v2 (JSON) to polars and back: one tensor per raw column, one row per record.

A tensor's shape is `[rows]` or `[rows, 1]`. JSON has no type for times: dates, times and datetimes travel as
ISO 8601 text in BYTES tensors, with an offset exactly where the column has a time zone. JSON null (and NaN,
which some clients write) means missing.
Protocol: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import numpy as np
import orjson
import polars as pl
from polars.exceptions import PolarsError

from mlcicd_assets.ml.artifact.package import Column, Signature
from mlcicd_assets.ml.artifact.scoring import Predictions

INTEGERS = tuple(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
FLOATS = ("FP16", "FP32", "FP64")
_DATATYPES = {
    "Boolean": "BOOL",
    "Float32": "FP32",
    "Float64": "FP64",
    **{f"{sign}Int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
# What a request may send where the model takes the key: nothing that could lose information.
_ACCEPTED = {"BOOL": ("BOOL",), "BYTES": ("BYTES",), **dict.fromkeys(INTEGERS, INTEGERS)}
_ACCEPTED |= dict.fromkeys(FLOATS, FLOATS + INTEGERS)
_JSON: dict[str, tuple[tuple[type, ...], str]] = {
    "BOOL": ((bool,), "true or false"),
    "BYTES": ((str,), "text"),
    **dict.fromkeys(INTEGERS, ((int,), "a whole number")),
    **dict.fromkeys(FLOATS, ((float, int), "a number")),
}
_LIMITS: dict[str, tuple[float, float]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "FP32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "FP64": (-sys.float_info.max, sys.float_info.max),
}
_TIMES: dict[str, tuple[Callable[[str], Any], str]] = {
    "Date": (date.fromisoformat, "a date like 2026-01-31"),
    "Time": (time.fromisoformat, "a time like 08:30:00"),
    "Datetime": (datetime.fromisoformat, "a time like 2026-01-31T08:30:00"),
}
# Row-wise building is much the fastest for one record, column-wise for thousands.
_FEW = 64


class RequestError(ValueError):
    """A request that cannot be understood; names the input, what was found and what is expected."""


def datatype(column: Column) -> str:
    """The protocol's type of a column; text and times are BYTES."""
    return _DATATYPES.get(column.dtype, "BYTES")


def describe(inputs: Sequence[Column]) -> list[dict[str, Any]]:
    """The model's inputs as the metadata route lists them."""
    return [{"name": column.name, "datatype": datatype(column), "shape": [-1]} for column in inputs]


def describe_outputs(signature: Signature) -> list[dict[str, Any]]:
    """The model's outputs as the metadata route lists them: probabilities and label, or value."""
    if signature.task == "regression":
        return [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    label = "BYTES" if isinstance(signature.classes[0], str) else "INT64"
    return [
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(signature.classes)]},
        {"name": "label", "datatype": label, "shape": [-1]},
    ]


def output_names(signature: Signature) -> tuple[str, ...]:
    """What a request may ask for."""
    return tuple(output["name"] for output in describe_outputs(signature))


# -- the client's side ----------------------------------------------------------------------------------


def encode(frame: pl.DataFrame, inputs: Sequence[Column], *, outputs: Sequence[str] = ()) -> dict[str, Any]:
    """Make a request of raw records; columns that the model does not take are left out.

    Raises RequestError for a column that is missing, null where it must not be, or of another type.
    """
    for column in inputs:
        if column.name not in frame.columns:
            _require_nullable(column)
    request: dict[str, Any] = {
        "inputs": [_tensor(frame, column) for column in inputs if column.name in frame.columns]
    }
    if outputs:
        request["outputs"] = [{"name": name} for name in outputs]
    return request


def _require_nullable(column: Column) -> None:
    if not column.nullable:
        raise RequestError(f"input {column.name!r} is missing; the model takes {datatype(column)}")


def _tensor(frame: pl.DataFrame, column: Column) -> dict[str, Any]:
    try:
        series = frame[column.name].cast(column.polars)
    except PolarsError as error:
        found = frame.schema[column.name]
        raise RequestError(f"input {column.name!r} is {found}, the model takes {column.dtype}") from error
    values = series.to_list()
    if series.dtype.is_temporal():
        values = [None if value is None else value.isoformat() for value in values]
    values = [None if value != value else value for value in values]  # NaN is not itself
    tensor = {"name": column.name, "shape": [len(values)], "datatype": datatype(column), "data": values}
    _column(tensor, column)
    return tensor


def example(inputs: Sequence[Column]) -> dict[str, Any]:
    """An invented request of one neutral record: enough to warm a model up, not to judge it."""
    values = {"BOOL": False, "FP32": 0.0, "FP64": 0.0, **dict.fromkeys(INTEGERS, 0)}
    times = {"Date": "2026-01-01", "Time": "00:00:00", "Datetime": "2026-01-01T00:00:00", "String": ""}
    tensors = []
    for column in inputs:
        kind = datatype(column)
        text = times.get(column.dtype, "2026-01-01T00:00:00Z")
        value = values.get(kind, text)
        tensors.append({"name": column.name, "shape": [1], "datatype": kind, "data": [value]})
    return {"inputs": tensors}


# -- the server's side ----------------------------------------------------------------------------------


def parse(raw: bytes) -> dict[str, Any]:
    """Read the JSON of a request; raises RequestError."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        body = _parse_with_nan(raw, error)
    if not isinstance(body, dict):
        raise RequestError("the request is not a JSON object with 'inputs'")
    return body


def _parse_with_nan(raw: bytes, error: Exception) -> Any:
    # Python clients write NaN, which JSON does not know; the standard library reads it.
    if b"NaN" in raw:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as worse:
            error = worse
    raise RequestError(f"the request is not JSON: {error}") from error


def decode(
    body: bytes | Mapping[str, Any], inputs: Sequence[Column], keys: Sequence[str] = ()
) -> pl.DataFrame:
    """Read the records of a request, typed as the model takes them; a nullable input may be left out.

    `keys` may be sent beside the inputs, as whatever they are: they become text columns, null where not sent.
    Raises RequestError, which names the offending input.
    """
    request = parse(body) if isinstance(body, bytes) else body
    tensors = _tensors(request, {column.name for column in inputs}, keys)
    rows = _rows(tensors)
    columns: dict[str, list[Any]] = {}
    for column in inputs:
        if column.name not in tensors:
            _require_nullable(column)
        columns[column.name] = (
            _column(tensors[column.name], column) if column.name in tensors else [None] * rows
        )
    frame = _frame(columns, inputs, rows)
    if not keys:
        return frame
    told = [_key(name, tensors[name]) if name in tensors else [None] * rows for name in keys]
    return frame.with_columns(
        pl.Series(name, values, dtype=pl.String) for name, values in zip(keys, told, strict=True)
    )


def _key(name: str, tensor: Mapping[str, Any]) -> list[str | None]:
    values = _values(tensor, name)
    for row, value in enumerate(values):
        if value is not None and type(value) not in (str, int):
            raise RequestError(
                f"input {name!r}, row {row}: {str(value)[:80]!r} is no key: text or a whole number"
            )
    return [None if value is None else str(value) for value in values]


def requested_outputs(body: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    """The outputs that the request asks for, all `known` by default; raises RequestError for another."""
    asked = body.get("outputs")
    if not asked:
        return tuple(known)
    if not isinstance(asked, list) or not all(isinstance(output, Mapping) for output in asked):
        raise RequestError("'outputs' is not a list of objects with a 'name'")
    for output in asked:
        if output.get("name") not in known:
            raise RequestError(
                f"there is no output {output.get('name')!r}; the model gives {' and '.join(known)}"
            )
    return tuple(output["name"] for output in asked)


def respond(
    predictions: Predictions, *, model: str, version: int, request_id: str, outputs: Sequence[str] = ()
) -> dict[str, Any]:
    """Make the body of a response, with all outputs by default; `model_version` names who answered."""
    tensors = _outputs(predictions)
    return {
        "model_name": model,
        "model_version": str(version),
        "id": request_id,
        "outputs": [
            {"name": name, "shape": list(shape), "datatype": kind, "data": array.ravel().tolist()}
            for name, (shape, kind, array) in ((name, tensors[name]) for name in outputs or tensors)
        ],
    }


def _outputs(predictions: Predictions) -> dict[str, tuple[tuple[int, ...], str, np.ndarray]]:
    scores, classes = predictions.scores, predictions.classes
    if classes is None:
        return {"value": (scores.shape, "FP64", scores)}
    kind = "INT64" if classes.dtype.kind == "i" else "BYTES"
    return {"probabilities": (scores.shape, "FP64", scores), "label": (classes.shape, kind, classes)}


def _tensors(
    request: Mapping[str, Any], known: set[str], keys: Sequence[str] = ()
) -> dict[str, Mapping[str, Any]]:
    listed = request.get("inputs")
    if not isinstance(listed, list) or not listed:
        raise RequestError("the request has no 'inputs': a list with one tensor per column")
    tensors: dict[str, Mapping[str, Any]] = {}
    for tensor in listed:
        name = tensor.get("name") if isinstance(tensor, Mapping) else None
        if not isinstance(name, str):
            raise RequestError("an input has no name; each has name, shape, datatype and data")
        if name not in known and name not in keys:
            raise RequestError(f"there is no input {name!r}; the model takes {', '.join(sorted(known))}")
        if name in tensors:
            raise RequestError(f"input {name!r} is given twice")
        tensors[name] = tensor
    if not known & tensors.keys() and known:
        raise RequestError(f"the request has no input of the model; it takes {', '.join(sorted(known))}")
    return tensors


def _rows(tensors: Mapping[str, Mapping[str, Any]]) -> int:
    lengths = {name: _length(name, tensor) for name, tensor in tensors.items()}
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise RequestError(f"input {name!r} has {length} rows, but {first!r} has {rows}")
    return rows


def _length(name: str, tensor: Mapping[str, Any]) -> int:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise RequestError(f"input {name!r} has no shape; expected [rows] or [rows, 1]")
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 1:
        raise RequestError(f"input {name!r} has shape {shape}; expected [rows] or [rows, 1]")
    return int(shape[0])


def _column(tensor: Mapping[str, Any], column: Column) -> list[Any]:
    expected = datatype(column)
    if tensor.get("datatype") not in _ACCEPTED[expected]:
        raise RequestError(
            f"input {column.name!r} has datatype {tensor.get('datatype')!r}, the model takes {expected}"
        )
    values = _values(tensor, column.name)
    _check_types(values, expected, column.name)
    if expected in _LIMITS:
        values = _numbers(values, expected, column.name)
    elif expected == "BYTES" and column.dtype != "String":
        values = [None if value is None else _instant(value, column, row) for row, value in enumerate(values)]
    if not column.nullable and None in values:
        raise RequestError(f"input {column.name!r}, row {values.index(None)}: must not be missing")
    return values


def _values(tensor: Mapping[str, Any], name: str) -> list[Any]:
    values, rows = tensor.get("data"), tensor["shape"][0]
    if isinstance(values, list) and values and isinstance(values[0], list):
        if any(not isinstance(row, list) or len(row) != 1 for row in values):
            raise RequestError(f"input {name!r} has ragged data; expected one value per row")
        values = [row[0] for row in values]
    if not isinstance(values, list) or len(values) != rows:
        found = f"{len(values)} values" if isinstance(values, list) else "no list"
        raise RequestError(f"input {name!r} has {found} as data, but its shape says {rows}")
    return values


def _check_types(values: list[Any], expected: str, name: str) -> None:
    kinds, words = _JSON[expected]
    if {type(value) for value in values} <= {*kinds, type(None)}:
        return
    row = next(i for i, value in enumerate(values) if value is not None and type(value) not in kinds)
    raise RequestError(f"input {name!r}, row {row}: {str(values[row])[:80]!r} is not {words}")


def _numbers(values: list[Any], expected: str, name: str) -> list[Any]:
    low, high = _LIMITS[expected]
    present = [None if value is None or value != value else value for value in values]  # NaN is not itself
    for row, value in enumerate(present):
        if value is not None and not low <= value <= high:
            raise RequestError(f"input {name!r}, row {row}: {str(value)[:80]} does not fit {expected}")
    return present


def _instant(text: str, column: Column, row: int) -> Any:
    read, words = _TIMES[column.dtype.split("[")[0]]
    where = f"input {column.name!r}, row {row}: {text[:80]!r}"
    try:
        value = read(text)
    except ValueError as error:
        raise RequestError(f"{where} is not {words}") from error
    zoned = "[" in column.dtype
    offset = getattr(value, "tzinfo", None) is not None
    if zoned and not offset:
        raise RequestError(f"{where} has no offset; write it like 2026-01-31T08:30:00Z")
    if offset and not zoned:
        raise RequestError(f"{where} has an offset, but the model takes times without a time zone")
    return value


def _frame(columns: Mapping[str, list[Any]], inputs: Sequence[Column], rows: int) -> pl.DataFrame:
    types = {column.name: column.polars for column in inputs}
    if rows <= _FEW:
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return pl.from_dicts(records, schema=types)
    return pl.DataFrame([pl.Series(name, values, dtype=types[name]) for name, values in columns.items()])
