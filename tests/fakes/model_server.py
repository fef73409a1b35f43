"""A stand-in for the model server process: same flags, same words, starts in a tenth of the time.

It proves nothing and answers a constant. Models named `refused` and `crashing` do what they say.
"""

import argparse
import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    version = ""

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-model-version", self.version)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer({"ready": True})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("x-slow"):
            time.sleep(float(self.headers["x-slow"]))
        self._answer({"model_version": self.version})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("model", "model-version", "port", "hold-refusal"):
        parser.add_argument(f"--{name}", required=True)
    args, _ = parser.parse_known_args()
    if args.model == "refused":
        print("refused: because it is its name", flush=True)
        time.sleep(float(args.hold_refusal))
        return 78
    if args.model == "crashing":
        print("Traceback: it crashed", flush=True)
        return 1
    Handler.version = args.model_version
    server = ThreadingHTTPServer(("127.0.0.1", int(args.port)), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"ready: {args.model} version {args.model_version}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
