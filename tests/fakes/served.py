"""A model answering on a real port by the Open Inference Protocol, without a server process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.application import InferenceService, refusal


@contextmanager
def answering(scorer: Scorer, model: str, version: int, *, token: str = "") -> Iterator[str]:
    """Serve health, metadata and inference of one version; yields the address.

    With a `token`, only to who carries it, as a server under trial does.
    """
    service = InferenceService(scorer, model, version)
    bodies: dict[str, Any] = {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        f"/v2/models/{model}/ready": {"name": model, "ready": True},
        f"/v2/models/{model}": {
            "name": model,
            "versions": [str(version)],
            "inputs": protocol.describe(service.inputs),
            "outputs": protocol.describe_outputs(scorer.signature),
        },
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # head and body in one packet

        def do_GET(self) -> None:
            self._send(200 if self.path in bodies else 404, json.dumps(bodies.get(self.path, {})).encode())

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower().encode(): value.encode() for name, value in self.headers.items()}
            refused = refusal(headers, len(raw))
            if self.path != f"/v2/models/{model}/infer":
                self._send(404, b'{"error": "there is nothing here"}')
            elif refused:
                self._send(refused[0], json.dumps({"error": refused[1]}).encode())
            else:
                self._send(*service.answer(raw, "request"))

        def do_DELETE(self) -> None:
            self._send(405, b'{"error": "there is no such method here"}')

        def _send(self, status: int, body: bytes) -> None:
            allowed = not token or self.headers.get("authorization") == f"Bearer {token}"
            self.send_response(status if allowed else 403)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-model-version", str(version))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
