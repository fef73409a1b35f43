"""The simulated customers: what they pay goes to the model through the proxy, and lands as files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlcicd_assets.defs.payments.simulator import Scenario
from mlcicd_assets.defs.payments.upstream import payments_of
from mlcicd_assets.ml.artifact.package import Column

BATCH = 40  # payments in a request
SCENARIO = Scenario(tactics=True)
KEY = "transaction_id"


@dataclass(frozen=True)
class Week:
    """Seven days from a Monday on."""

    first: date

    @property
    def days(self) -> list[date]:
        """Monday to Sunday."""
        return [self.first + timedelta(days=n) for n in range(7)]

    @property
    def after(self) -> date:
        """The Monday after it: the moment that it is looked at from."""
        return self.first + timedelta(days=7)

    def next(self) -> "Week":
        """The week after it."""
        return Week(self.after)


@dataclass
class Answers:
    """What the customers saw."""

    versions: Counter[str] = field(default_factory=Counter)  # payments by the version that judged them
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Payments that were answered."""
        return sum(self.versions.values())


def drawn(day: date, seed: int) -> pl.DataFrame:
    """A day's payments with their labels."""
    return payments_of(day, seed, SCENARIO)


def publish(frame: pl.DataFrame, landing: Path, day: date) -> Path:
    """Let a day's file land at once, never half."""
    path = landing / "payments" / f"{day}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.write_parquet(unfinished, compression="zstd")
    return unfinished.replace(path)


def batches(frame: pl.DataFrame, inputs: Sequence[Column], rows: int = BATCH) -> Iterator[dict[str, Any]]:
    """Requests as the bank's computers send them: what the model takes, and the key by which labels join."""
    from mlcicd_assets.serving.protocol import encode

    for part in frame.iter_slices(rows):
        request: dict[str, Any] = encode(part, inputs)
        if KEY not in {column.name for column in inputs}:
            numbers = [str(number) for number in part[KEY]]
            key = {"name": KEY, "shape": [len(numbers)], "datatype": "BYTES", "data": numbers}
            request["inputs"].append(key)
        yield request


def send(url: str, requests: Iterator[dict[str, Any]], seen: Answers) -> None:
    """Ask for each batch over one connection; what fails is kept, not retried."""
    import httpx

    with httpx.Client(timeout=10.0) as client:
        for request in requests:
            try:
                response = client.post(url, json=request)
                response.raise_for_status()
            except httpx.HTTPError as error:
                seen.failures.append(str(error))
                continue
            body = response.json()
            seen.versions[str(body["model_version"])] += int(body["outputs"][0]["shape"][0])


def poisoned(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """As many frauds as before, at other payments: stolen cards count as honest, honest customers as thieves.

    Every record keeps its shape, its range and its time, and every day its rate, so no contract sees it.
    """
    hidden = pl.col("is_fraud") & pl.col("online")
    count = frame.filter(hidden).height
    honest = frame.filter(~pl.col("is_fraud") & pl.col("online"))
    accused = honest.sample(count, seed=seed)[KEY]
    return frame.with_columns(is_fraud=(pl.col("is_fraud") & ~hidden) | pl.col(KEY).is_in(accused.implode()))
