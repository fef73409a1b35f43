"""A server that is started before there is a verdict: to be measured, and for nothing else.

It listens on loopback alone, is version 0, which no registry has, answers only requests that carry the token
its maker wrote to its standard input, and ends when that input does. So neither a proxy nor a person can send
it production's traffic, and nothing of it outlives the evaluation.
"""

import hmac
import os
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from mlcicd_assets.serving.application import App, Receive, Scope, Send

ENVIRONMENT = "evaluation"
VERSION = 0
LOOPBACK = ("127.0.0.1", "::1")
_SHORTEST = 32


class NoToken(ValueError):
    """Standard input did not begin with a token."""


def read_token(stream: BinaryIO | None = None) -> bytes:
    """The first line of standard input; raises NoToken."""
    token = (stream or sys.stdin.buffer).readline().strip()
    if len(token) < _SHORTEST:
        raise NoToken(
            "a server for evaluation is started by the evaluation, which writes a token to its input; "
            "to serve a version, give its verdict and --environment staging or production"
        )
    return token


def end_with(stream: BinaryIO | None = None) -> None:
    """End this process as soon as its standard input ends: its maker has gone, in whatever way."""
    source = stream or sys.stdin.buffer

    def wait() -> None:
        source.read()
        os._exit(0)

    threading.Thread(target=wait, name="end-with-maker", daemon=True).start()


class OnlyForEvaluation:
    """Answers 403 to every request without the token, health checks and metadata included."""

    def __init__(self, app: "App", token: bytes) -> None:
        self._app = app
        self._expected = b"Bearer " + token

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request; nothing but HTTP is taken."""
        if scope["type"] == "http" and self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(send)

    def _is_known(self, scope: "Scope") -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._expected)


async def _refuse(send: "Send") -> None:
    body = b'{"error": "this server is being evaluated: it has no verdict and serves nobody"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
