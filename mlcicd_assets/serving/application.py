"""The server's HTTP side: KServe's v2 routes around our scorer, with a short cut for the request that counts.

KServe's own inference route validates the body twice and logs on the way, which costs more than the model.
`Application` answers `infer` itself and leaves every other route to KServe. Both ways end in
`InferenceService.infer`, and a test holds their answers against each other.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import polars as pl
from prometheus_client import Counter

from mlcicd_assets.ml.artifact.scoring import NonFiniteScore, Predictions, Scorer, ScoringError
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.prediction_log import Entry, PredictionLog, Role
from mlcicd_assets.serving.protocol import RequestError
from mlcicd_assets.serving.score_bins import binned

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 32 * 1024 * 1024
# A larger body is scored beside the event loop, so that health checks and single rows need not wait for it.
INLINE_BODY = 32 * 1024
JSON = b"application/json"
BINARY_HEADER = b"inference-header-content-length"
REQUESTS = Counter("inference_requests", "By HTTP status.", ["model_name", "model_version", "code"])
SCORES = Counter("prediction_scores", "Predicted rows by bin of the score.", ["bin", "role"])
NON_FINITE = Counter("prediction_non_finite", "Requests whose score was no number.", ["role"])


class InferenceService:
    """One loaded model and its version: from the JSON of a request to the JSON of the response.

    What it answers is counted by score, and recorded in the `log` where there is one.
    """

    def __init__(self, scorer: Scorer, model: str, version: int, log: PredictionLog | None = None) -> None:
        self.scorer = scorer
        self.model = model
        self.version = version
        self.log = log
        self.inputs = list(scorer.inputs)
        self.outputs = protocol.output_names(scorer.signature)

    def infer(self, body: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """Score a request; raises RequestError when it cannot be read, ScoringError when not scored."""
        return self._scored(body, request_id)[0]

    def _scored(
        self, body: Mapping[str, Any], request_id: str
    ) -> tuple[dict[str, Any], pl.DataFrame, Predictions]:
        outputs = protocol.requested_outputs(body, self.outputs)
        records = protocol.decode(body, self.inputs, self.log.keys if self.log else ())
        predictions = self.scorer.predict(records)
        request_id = str(body.get("id") or request_id)
        response = protocol.respond(
            predictions, model=self.model, version=self.version, request_id=request_id, outputs=outputs
        )
        return response, records, predictions

    def answer(self, raw: bytes, request_id: str, role: Role = "live") -> tuple[int, bytes]:
        """The status and body for a raw request, counted and recorded; no fault of a request escapes."""
        at, began = time.time(), time.perf_counter()
        try:
            body = protocol.parse(raw)
            response, records, predictions = self._scored(body, request_id)
        except RequestError as error:
            return 400, orjson.dumps({"error": str(error)})
        except ScoringError as error:
            if isinstance(error, NonFiniteScore):
                NON_FINITE.labels(role).inc()
            return 500, orjson.dumps({"error": str(error)})
        for bin_, rows in binned(predictions, self.scorer.signature.task).items():
            SCORES.labels(bin_, role).inc(rows)
        if self.log is not None:
            own, seconds = body.get("id"), time.perf_counter() - began
            client_id = None if own is None else str(own)
            self.log.record(Entry(request_id, client_id, role, at, seconds, records, predictions))
        return 200, orjson.dumps(response)


class Application:
    """The ASGI application: `infer` answered here, other v2 routes and the metrics by KServe, no more."""

    def __init__(self, service: InferenceService, kserve_app: App) -> None:
        from kserve.metrics import PREDICT_HIST_TIME, get_labels

        self._service = service
        self._kserve = kserve_app
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="batch")
        self._model = f"/v2/models/{service.model}"
        self._version = f"{self._model}/versions/{service.version}"
        self._infer = {f"{self._model}/infer", f"{self._version}/infer"}
        self._header = (b"x-model-version", str(service.version).encode())
        self._seconds = PREDICT_HIST_TIME.labels(**get_labels(service.model))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        if scope["type"] != "http":
            await self._kserve(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"] in self._infer:
            await self._predict(scope, receive, send)
        else:
            await self._forward(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._without_version(scope["path"])
        if path is None:
            version = self._service.version
            await self._send(send, 404, _error(f"{self._service.model} is here as version {version} only"))
        elif _is_served(path):
            await self._kserve({**scope, "path": path}, receive, self._with_header(send))
        else:
            await self._send(send, 404, _error(f"there is nothing at {path[:200]!r}; see /v2/models"))

    def _without_version(self, path: str) -> str | None:
        # KServe refuses paths with a version; there is just one here. None: it is another one.
        if not path.startswith(f"{self._model}/versions/"):
            return path
        if path == self._version or path.startswith(f"{self._version}/"):
            return self._model + path.removeprefix(self._version)
        return None

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        raw = await _read(receive)
        if raw is None:
            return  # the client went away; nobody reads an answer
        with self._seconds.time():
            status, body = await self._answer(raw, headers)
        REQUESTS.labels(self._service.model, self._service.version, status).inc()
        await self._send(send, status, body)

    async def _answer(self, raw: bytes, headers: Mapping[bytes, bytes]) -> tuple[int, bytes]:
        if refused := refusal(headers, len(raw)):
            return refused[0], _error(refused[1])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1") or uuid.uuid4().hex
        # The proxy names the host of a copy so: nobody sees the answer to it.
        host = headers.get(b"host", b"").split(b":")[0]
        role: Role = "shadow" if host.endswith(b"-shadow") else "live"
        if len(raw) <= INLINE_BODY:
            return self._service.answer(raw, request_id, role)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._service.answer, raw, request_id, role)

    async def _send(self, send: Send, status: int, body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", b"application/json"), length, self._header]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _with_header(self, send: Send) -> Send:
        async def wrapped(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._header]}
            await send(message)

        return wrapped


def refusal(headers: Mapping[bytes, bytes], size: int) -> tuple[int, str] | None:
    """The status and reason for which a request's body is not even read; None when it is."""
    if BINARY_HEADER in headers:
        return 400, "binary tensors are not supported; send JSON data"
    kind = headers.get(b"content-type", JSON).split(b";")[0].strip().lower()
    if kind != JSON:
        return (
            415,
            f"the request is {kind.decode('latin-1')[:80]!r}; send JSON as content-type application/json",
        )
    if size > MAX_BODY:
        return 413, f"the request is larger than {MAX_BODY // 1024**2} MiB; send fewer rows"
    return None


def _error(message: str) -> bytes:
    return orjson.dumps({"error": message})


def _is_served(path: str) -> bool:
    # KServe's v1 routes and its repository routes (unload!) stay shut.
    return path in ("/", "/metrics", "/v2") or (
        path.startswith("/v2/") and not path.startswith("/v2/repository")
    )


async def _read(receive: Receive) -> bytes | None:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY + 1:
            chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks) if size <= MAX_BODY else b" " * (MAX_BODY + 1)
