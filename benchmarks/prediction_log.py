"""What recording every prediction costs: a server with and without its log, asked in turns.

Run from the project's root: `python -m benchmarks.prediction_log`. Both servers stand side by side and are
asked in short alternating rounds, so that whatever else the machine does hits both. Budgets: p99 at a paced
rate <= 1.05 x, throughput of a closed loop >= 0.90 x. Exits with 1 when one is missed.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.prediction_logging import PredictionLog
from mlcicd_assets.serving.protocol import encode
from resources.predictions import PredictionFolder
from resources.protocols import ServerSettings
from resources.serving_local import LocalServing
from tests.fakes.packages import records
from tests.fakes.releases import MODEL, PUBLIC, make_release

P99_RATIO, THROUGHPUT_RATIO = 1.05, 0.90
RATE = 200  # requests a second over one connection, when latency is measured
CLIENTS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as folder:
        serving = LocalServing(Path(folder) / "serving")
        try:
            return measure(serving, Path(folder), args.rounds, args.seconds)
        finally:
            serving.stop()


def measure(serving: LocalServing, folder: Path, rounds: int, seconds: float) -> int:
    log = PredictionLog(buffer=100_000).settings({})
    addresses: dict[str, str] = {}
    for version, (name, settings) in enumerate({"without": None, "with": log}.items(), start=1):
        release = make_release(folder / name, version=version, kind="boosting")
        release = replace(release, settings=ServerSettings(log=settings))
        addresses[name] = serving.launch(release, [PUBLIC]).address
    body = json.dumps(encode(records(1), read_package(release.package).signature.inputs)).encode()
    times: dict[str, list[float]] = {name: [] for name in addresses}
    answered: dict[str, list[float]] = {name: [] for name in addresses}
    for address in addresses.values():
        paced(address, body, 1.0)
    for number in range(rounds):
        for name in sorted(addresses, reverse=bool(number % 2)):
            times[name] += paced(addresses[name], body, seconds)
            answered[name].append(closed_loop(addresses[name], body, seconds))
    rows = PredictionFolder(serving.folder).scan(MODEL).collect().height
    return report(times, answered, rows)


def report(times: Mapping[str, list[float]], answered: Mapping[str, list[float]], rows: int) -> int:
    p50, p99 = ({name: float(np.quantile(of, q)) for name, of in times.items()} for q in (0.5, 0.99))
    rates = {name: float(np.median(of)) for name, of in answered.items()}
    for name in times:
        print(f"{name:8} log: p50 {p50[name]:.2f} p99 {p99[name]:.2f} ms, {rates[name]:.0f} requests/s")
    # Of pairs of neighbouring rounds: what else the machine does changes more slowly than that.
    pairs = [a / b for a, b in zip(answered["with"], answered["without"], strict=True)]
    slower, fewer = p99["with"] / p99["without"], float(np.median(pairs))
    kept = slower <= P99_RATIO and fewer >= THROUGHPUT_RATIO
    print(
        f"p99 {slower:.3f} x (budget {P99_RATIO}), throughput {fewer:.3f} x (budget {THROUGHPUT_RATIO}), "
        f"{rows} rows recorded: {'kept' if kept else 'MISSED'}"
    )
    return 0 if kept else 1


def paced(address: str, body: bytes, seconds: float) -> list[float]:
    """Milliseconds of each request at a constant rate."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    taken, begun = [], time.perf_counter()
    for number in range(int(seconds * RATE)):
        time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        asked = time.perf_counter()
        ask(connection, body)
        taken.append((time.perf_counter() - asked) * 1e3)
    connection.close()
    return taken


def closed_loop(address: str, body: bytes, seconds: float) -> float:
    """Requests per second of clients that ask again at once."""
    counts, end = [0] * CLIENTS, time.perf_counter() + seconds

    def client(place: int) -> None:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        while time.perf_counter() < end:
            ask(connection, body)
            counts[place] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def ask(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", f"/v2/models/{MODEL}/infer", body, {"content-type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise SystemExit(f"answered {response.status}: {text.decode()[:200]}")


if __name__ == "__main__":
    sys.exit(main())
