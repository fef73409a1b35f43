"""Requests that no client should send, and that none may break a server with."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.serving.application import MAX_BODY
from mlcicd_assets.serving.protocol import datatype

_JSON = {"content-type": "application/json"}
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Malformed:
    """A request at fault."""

    name: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_JSON))
    path: str = "infer"
    method: str = "POST"


@dataclass(frozen=True)
class Reply:
    """What came of it; `fault` says what is wrong with the answer, empty when it is as it should be."""

    name: str
    status: int | None
    said: str
    fault: str


def malformed_requests(valid: Mapping[str, Any], inputs: Sequence[Column]) -> Iterator[Malformed]:
    """Every kind of fault, made of a valid request for at least two records."""
    yield Malformed("no JSON", b"{not json")
    yield Malformed("no body", b"")
    yield Malformed("a list", b"[1, 2]")
    yield Malformed("a thousand lists in each other", b"[" * 1_000 + b"]" * 1_000)
    yield Malformed("not UTF-8", b'{"inputs": "\xff\xfe"}')
    yield Malformed("wrong content type", orjson.dumps(valid), {"content-type": "text/xml"})
    yield Malformed("binary tensors", orjson.dumps(valid), {**_JSON, "inference-header-content-length": "10"})
    yield Malformed("larger than is taken", b" " * (MAX_BODY + 1))
    yield Malformed("another version", orjson.dumps(valid), path="versions/999999/infer")
    yield Malformed("another method", b"", path="infer", method="DELETE")
    for name, body in _changed(valid, inputs):
        yield Malformed(name, orjson.dumps(body))


def _changed(valid: Mapping[str, Any], inputs: Sequence[Column]) -> Iterator[tuple[str, dict[str, Any]]]:
    first = valid["inputs"][0]
    rows = first["shape"][0]
    yield "no inputs", {}
    yield "empty inputs", {"inputs": []}
    yield "inputs of another kind", {"inputs": "all"}
    yield "an unknown column", _with(valid, [*valid["inputs"], {**first, "name": "no_such_column"}])
    yield "a column twice", _with(valid, [*valid["inputs"], first])
    yield "an empty batch", _with(valid, [{**t, "shape": [0], "data": []} for t in valid["inputs"]])
    yield "a negative shape", _first(valid, shape=[-1])
    yield "fewer values than the shape says", _first(valid, data=first["data"][:-1])
    yield "columns of different lengths", _first(valid, shape=[rows - 1], data=first["data"][:-1])
    yield "objects as values", _first(valid, data=[{} for _ in first["data"]])
    yield "an unknown datatype", _first(valid, datatype="COMPLEX")
    yield "an unknown output", {**valid, "outputs": [{"name": "no_such_output"}]}
    for column in inputs:
        if not column.nullable:
            kept = [tensor for tensor in valid["inputs"] if tensor["name"] != column.name]
            yield f"without {column.name}", _with(valid, kept)
    for tensor in valid["inputs"]:
        wrong: Any = 1.5 if datatype_of(tensor, inputs) == "BYTES" else "text"
        changed = {**tensor, "data": [wrong, *tensor["data"][1:]]}
        others = [other for other in valid["inputs"] if other is not tensor]
        yield f"{tensor['name']} of another type", _with(valid, [changed, *others])


def datatype_of(tensor: Mapping[str, Any], inputs: Sequence[Column]) -> str:
    """What the model takes for a tensor's column."""
    return next(datatype(column) for column in inputs if column.name == tensor["name"])


def _with(valid: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**valid, "inputs": list(tensors)}


def _first(valid: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    tensors = copy.copy(valid["inputs"])
    return _with(valid, [{**tensors[0], **changes}, *tensors[1:]])


def replies(address: str, model: str, requests: Iterator[Malformed]) -> list[Reply]:
    """Send each; a connection that breaks is a fault of the server."""
    with httpx.Client(base_url=f"{address}/v2/models/{model}/", timeout=_TIMEOUT_S) as client:
        return [_reply(client, request) for request in requests]


def _reply(client: httpx.Client, request: Malformed) -> Reply:
    try:
        answer = client.request(
            request.method, request.path, content=request.content, headers=dict(request.headers)
        )
    except httpx.HTTPError as error:
        return Reply(request.name, None, "", f"no answer ({type(error).__name__}: {error})")
    said = answer.text[:200]
    return Reply(request.name, answer.status_code, said, _fault(answer))


def _fault(answer: httpx.Response) -> str:
    if not 400 <= answer.status_code < 500:
        return f"answered {answer.status_code} instead of a status from 400 to 499"
    if not answer.text.strip() or "Traceback" in answer.text:
        return "does not say in plain words what is wrong"
    return ""
