"""A small Prometheus: it was given scrapes, and answers `sum by (…) (increase(metric{…}[Ns]))` over HTTP."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

_QUERY = re.compile(
    r"^sum by \((?P<by>[\w, ]+)\) \(increase\((?P<name>\w+)\{(?P<chosen>.*)\}\[(?P<s>\d+)s\]\)\)$"
)
_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MATCHER = re.compile(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"')
Labels = tuple[tuple[str, str], ...]


@dataclass
class FakePrometheus:
    """`token`: what a request must carry; `broken`: the body it answers instead, with its status."""

    token: str = ""
    broken: tuple[int, str] | None = None
    scrapes: list[tuple[float, dict[tuple[str, Labels], float]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    def scrape(self, at: float, text: str, *, factor: float = 1.0) -> None:
        """Take a Prometheus text as it was at a moment; `factor` times its values."""
        # By hand: the client's parser gives counters other names than the text has.
        found = [line for line in map(_LINE.match, text.splitlines()) if line]
        values = {
            (line[1], tuple(sorted(_LABEL.findall(line[2] or "")))): float(line[3]) * factor for line in found
        }
        self.scrapes.append((at, values))

    def answer(self, query: str, at: float) -> dict[str, Any]:
        """What Prometheus says; an error for a query of another form."""
        self.asked.append(query)
        found = _QUERY.match(query)
        if not found:
            return {"status": "error", "error": f"parse error: {query}"}
        by = [name.strip() for name in found["by"].split(",")]
        wanted = [(n, op, v.replace("\\\\", "\\")) for n, op, v in _MATCHER.findall(found["chosen"])]
        sums: dict[Labels, float] = {}
        for labels, value in self._increase(found["name"], at - int(found["s"]), at).items():
            if all(_fits(dict(labels).get(name, ""), op, text) for name, op, text in wanted):
                group = tuple((name, dict(labels)[name]) for name in by)
                sums[group] = sums.get(group, 0.0) + value
        result = [{"metric": dict(group), "value": [at, str(value)]} for group, value in sums.items()]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    def _increase(self, name: str, start: float, end: float) -> dict[Labels, float]:
        inside = [values for at, values in self.scrapes if start <= at <= end]
        grown: dict[Labels, float] = {}
        for earlier, later in pairwise(inside):
            for key, value in later.items():
                if key[0] == name and key in earlier:
                    step = value - earlier[key] if value >= earlier[key] else value
                    grown[key[1]] = grown.get(key[1], 0.0) + step
        return grown


def _fits(value: str, operator: str, text: str) -> bool:
    return value == text if operator == "=" else re.fullmatch(text, value) is not None


@contextmanager
def served(prometheus: FakePrometheus) -> Iterator[str]:
    """Its address, while it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            prometheus.headers.append(self.headers.get("authorization", ""))
            status, body = 200, ""
            if prometheus.token and prometheus.headers[-1] != f"Bearer {prometheus.token}":
                status, body = 401, "no"
            elif prometheus.broken:
                status, body = prometheus.broken
            else:
                body = json.dumps(prometheus.answer(form["query"][0], float(form["time"][0])))
            content = body.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
