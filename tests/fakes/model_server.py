"""A stand-in for the model server process: same flags, same words, starts in a tenth of the time.

It proves nothing and answers a constant. Models named `refused` and `crashing` do what they say. A file
`behaviour` in the package changes the answers to predictions: `fail` (500), `slow SECONDS`, `crash`. What was
asked of it is appended to `asked.jsonl` in the serving folder's `servers/…/VERSION`.
"""

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    version = ""
    home = Path()

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-model-version", self.version)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer({"ready": True})

    def do_POST(self) -> None:
        length = len(self.rfile.read(int(self.headers["content-length"])))
        asked = {"id": self.headers["x-request-id"], "host": self.headers["host"], "length": length}
        with (self.home / "asked.jsonl").open("a") as file:
            file.write(json.dumps(asked) + "\n")
        if self.headers.get("x-slow"):
            time.sleep(float(self.headers["x-slow"]))
        self._behave(*behaviour(self.home))

    def _behave(self, name: str, value: str = "0") -> None:
        if name == "crash":
            os._exit(1)
        if name == "slow":
            time.sleep(float(value))
        self._answer({"model_version": self.version}, 500 if name == "fail" else 200)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


def behaviour(home: Path) -> list[str]:
    file = home / "package" / "behaviour"
    return file.read_text().split() if file.exists() else ["well"]


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("package", "model", "model-version", "port", "hold-refusal"):
        parser.add_argument(f"--{name}", required=True)
    args, _ = parser.parse_known_args()
    if args.model == "refused":
        print("refused: because it is its name", flush=True)
        time.sleep(float(args.hold_refusal))
        return 78
    if args.model == "crashing":
        print("Traceback: it crashed", flush=True)
        return 1
    Handler.version, Handler.home = args.model_version, Path(args.package).parent
    server = ThreadingHTTPServer(("127.0.0.1", int(args.port)), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"ready: {args.model} version {args.model_version}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
