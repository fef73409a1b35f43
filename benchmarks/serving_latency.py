"""Latency of single-row requests: in process, to the server, and through Envoy; one connection, closed loop.

Run from the project's root: `python -m benchmarks.serving_latency [--package DIR --records FILE]`.
Budget: p99 through Envoy <= 5 ms on an idle machine. Exits with 1 when it is missed.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving.protocol import decode, encode, example
from resources.protocols import Release
from resources.serving_local import LocalServing
from tests.fakes.packages import records
from tests.fakes.releases import PUBLIC, make_release, sign_release

BUDGET_MS = 5.0
WARM_UP = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4_000, help="per place, at most 20000")
    parser.add_argument("--package", type=Path, help="a package folder; a tiny boosted model by default")
    parser.add_argument("--records", type=Path, help="Parquet; its first row is sent to the package")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as folder:
        serving = LocalServing(Path(folder) / "serving")
        try:
            release, body = chosen(args, Path(folder))
            return measure(serving, release, body, min(args.requests, 20_000))
        finally:
            serving.stop()


def chosen(args: argparse.Namespace, folder: Path) -> tuple[Release, bytes]:
    """What is served, and the request."""
    if args.package is None:
        release, rows = make_release(folder, kind="boosting"), records(1)
    else:
        release = sign_release(folder, read_package(args.package))
        rows = pl.read_parquet(args.records).head(1) if args.records else None
    inputs = read_package(release.package).signature.inputs
    body = example(inputs) if rows is None else encode(rows, inputs)
    return release, json.dumps(body).encode()


def measure(serving: LocalServing, release: Release, body: bytes, requests: int) -> int:
    serving.start()
    began = time.perf_counter()
    server = serving.launch(release, [PUBLIC])
    cold = time.perf_counter() - began
    serving.route("production", release.model, {1: 100})
    address = serving.status().addresses["production"]
    scorer = Scorer.load(release.package)
    places = {
        "in process": quantiles(lambda: scorer.predict(decode(body, scorer.inputs)), requests),
        "server": over_http(server.address, release.model, body, requests),
        "through Envoy": over_http(address, release.model, body, requests),
    }
    print(f"cold start {cold:.2f} s · resident {resident_mb(server.pid)} MB · load {os.getloadavg()[0]:.2f}")
    print(f"{'':15} {'p50':>7} {'p99':>7} {'p99.9':>7} ms, {requests} requests each")
    for place, (p50, p99, p999) in places.items():
        print(f"{place:15} {p50:7.2f} {p99:7.2f} {p999:7.2f}")
    kept = places["through Envoy"][1] <= BUDGET_MS
    print(f"budget p99 <= {BUDGET_MS:g} ms through Envoy: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


def over_http(address: str, model: str, body: bytes, requests: int) -> tuple[float, float, float]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)

    def ask() -> None:
        connection.request("POST", f"/v2/models/{model}/infer", body, {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise SystemExit(f"{address} answered {response.status}: {text.decode()}")

    try:
        return quantiles(ask, requests)
    finally:
        connection.close()


def quantiles(ask: Callable[[], object], requests: int) -> tuple[float, float, float]:
    """p50, p99 and p99.9 in milliseconds."""
    taken = []
    for _ in range(WARM_UP + requests):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1e3)
    times = pl.Series(taken[WARM_UP:])
    return tuple(float(times.quantile(q) or 0) for q in (0.5, 0.99, 0.999))  # type: ignore[return-value]


def resident_mb(pid: int | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmRSS"))) // 1024


if __name__ == "__main__":
    sys.exit(main())
