"""The receiver's HTTP interface: bounded in bytes and seconds, and silent about what it is sent."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from mlcicd_assets.automation.hooks.messages import Malformed, landed, pushed, read_json
from mlcicd_assets.automation.hooks.signatures import Proof, Unproven, prove
from resources.protocols import Inbox, ResourceError

BODY_BYTES = 2 * 2**20  # a push of two thousand commits
BODY_S = 10.0
_RETRY_S = "60"
_log = logging.getLogger("mlcicd.hooks")


class Refusal(Exception):
    """An answer other than 2xx, with a reason that holds nothing of what was sent."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Receiver:
    """What the routes share; `secrets` is asked for each delivery, so that a file can be replaced."""

    inbox: Inbox
    secrets: Callable[[], Sequence[str]]
    clock: Callable[[], float] = time.time
    body_bytes: int = BODY_BYTES
    body_s: float = BODY_S

    async def git(self, request: Request) -> tuple[int, str]:
        """A push: look at the repository now."""
        proof, payload = await self._proven(request)
        message = pushed(_headers(request), payload)
        if message is None:
            return 200, "ignored: only pushes matter"
        return await self._keep("git", proof, message)

    async def data(self, request: Request) -> tuple[int, str]:
        """Data landed: look at the dataset now. Signed as Standard Webhooks are, with its id and time."""
        if "webhook-signature" not in request.headers:
            raise Refusal(401, "data is told by a Standard Webhooks signature (webhook-signature)")
        proof, payload = await self._proven(request)
        return await self._keep("data", proof, landed(payload))

    async def _keep(self, lane: Any, proof: Proof, message: Mapping[str, str]) -> tuple[int, str]:
        new = await run_in_threadpool(self.inbox.put, lane, proof.sender, proof.keys, message)
        return (202, "accepted") if new else (200, "received before")

    async def _proven(self, request: Request) -> tuple[Proof, dict[str, Any]]:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "send application/json (GitHub: content type application/json)")
        body = await self._body(request)
        secrets = await run_in_threadpool(self.secrets)
        proof = prove(_headers(request), body, secrets, self.clock())
        return proof, read_json(body)

    async def _body(self, request: Request) -> bytes:
        told = request.headers.get("content-length", "")
        if told.isdigit() and int(told) > self.body_bytes:
            raise Refusal(413, f"a delivery has at most {self.body_bytes} bytes")
        try:
            return await asyncio.wait_for(self._read(request), self.body_s)
        except TimeoutError:
            raise Refusal(408, f"a delivery takes at most {self.body_s:g} s") from None

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self.body_bytes:
                raise Refusal(413, f"a delivery has at most {self.body_bytes} bytes")
        return bytes(body)


def application(receiver: Receiver) -> FastAPI:
    """`POST /hooks/git`, `POST /hooks/data`, `GET /healthz`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/hooks/git")
    async def _git(request: Request) -> Response:
        return await _answered(request, receiver.git)

    @app.post("/hooks/data")
    async def _data(request: Request) -> Response:
        return await _answered(request, receiver.data)

    @app.get("/healthz")
    async def _health() -> Response:
        try:
            waiting = await run_in_threadpool(receiver.inbox.waiting, "git")
        except ResourceError as error:
            _log.error("%s", error)
            return _answer(503, "the inbox cannot be read")
        return JSONResponse({"status": "ok", "waiting": len(waiting)})

    return app


async def _answered(request: Request, act: Callable[[Request], Awaitable[tuple[int, str]]]) -> Response:
    try:
        status, said = await act(request)
    except Unproven as error:
        status, said = 401, str(error)
    except Malformed as error:
        status, said = 400, str(error)
    except Refusal as error:
        status, said = error.status, str(error)
    except ClientDisconnect:
        status, said = 400, "the sender went away"
    except ResourceError as error:
        _log.error("%s", error)  # names a place and a remedy on this machine: not for the sender
        status, said = 503, "it could not be kept; send it again later"
    who = request.client.host if request.client else "somebody"
    _log.info("%s %s from %s: %s", status, request.url.path, who, said)
    return _answer(status, said)


def _answer(status: int, said: str) -> Response:
    headers = {"connection": "close"} | ({"retry-after": _RETRY_S} if status == 503 else {})
    return JSONResponse({"status": said}, status_code=status, headers=headers)


def _headers(request: Request) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
