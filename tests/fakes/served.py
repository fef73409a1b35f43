"""A model answering on a real port by the Open Inference Protocol, without a server process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.application import InferenceService


@contextmanager
def answering(scorer: Scorer, model: str, version: int) -> Iterator[str]:
    """Serve metadata and inference of one version; yields the address."""
    service = InferenceService(scorer, model, version)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"versions": [str(version)], "inputs": protocol.describe(service.inputs)}
            self._send(200, json.dumps(body).encode())

        def do_POST(self) -> None:
            self._send(*service.answer(self.rfile.read(int(self.headers["Content-Length"])), "request"))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status if model in self.path else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
