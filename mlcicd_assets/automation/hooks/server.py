"""Running the receiver: few connections, none for long."""

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 64
CONNECTION_S = 20.0  # longer than a slow body may take; headers that trickle in have no limit of their own


class ShortLived(H11Protocol):
    """Ends every connection after a while, and refuses more than twice what is answered at once."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A sender has come."""
        super().connection_made(transport)
        if len(self.connections) > 2 * CONNECTIONS:
            transport.abort()
            return
        self._end = self.loop.call_later(CONNECTION_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def server(app: FastAPI) -> uvicorn.Server:
    """Not started yet: `run(sockets=[…])` serves until SIGTERM or SIGINT."""
    options: dict[str, Any] = {"access_log": False, "log_config": None, "server_header": False}
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=ShortLived,
            ws="none",
            lifespan="off",
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=32 * 1024,
            **options,
        )
    )


def listener(host: str, port: int) -> socket.socket:
    """Bound here, so that the address is known before anything is served; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
