"""Validation against one hand-written lazy polars pass: 10 million rows, 20 columns, 41 rules, 6 faults.

    python -m benchmarks.validation [--rows 10000000] [--repeat 3]

Budget: at most 1.5 times the hand-written pass by the clock, and 600 MB above idle; exits with 1 when missed.

Each way runs in processes of its own, alternating, over one Parquet file; the fastest of each is compared,
by the clock and by processor seconds, which other work on the machine disturbs less. The hand-written pass
only counts. Ours counts, proves uniqueness and reads examples. Peak memory is that of the whole process;
`idle` is what the interpreter and the libraries take before the file is opened.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

BUDGET, BUDGET_MB = 1.5, 600
CATEGORIES = ["grocery", "fuel", "fashion", "travel", "gaming", "transfer"]
CODE = r"^[A-Z]{2}[0-9]{4}$"
MEASURES = [f"x{number}" for number in range(1, 11)]
_CHUNK = 500_000


def write(path: Path, rows: int) -> None:
    """Records in the contract's types, six of whose rules are broken by a few of them."""
    rng = np.random.default_rng(0)
    pieces = []
    for start in range(0, rows, _CHUNK):
        pieces.append(path.with_name(f"piece{start}.parquet"))
        _piece(rng, start, min(_CHUNK, rows - start)).write_parquet(pieces[-1])
    pl.scan_parquet(pieces).sink_parquet(path)
    for piece in pieces:
        piece.unlink()


def _piece(rng: np.random.Generator, start: int, n: int) -> pl.DataFrame:
    ids = np.arange(start, start + n)
    rng.shuffle(ids)
    columns = {
        "id": ids,
        "at": np.datetime64("2026-01-01T00:00:00", "us") + ids.astype("timedelta64[s]"),
        "customer": rng.integers(0, 1_000_000, n),
        "merchant": rng.integers(0, 50_000, n),
        "amount": rng.lognormal(3, 1, n),
        "category": np.array(CATEGORIES)[rng.integers(0, len(CATEGORIES), n)],
        "online": rng.random(n) < 0.4,
        "hour": rng.integers(0, 24, n).astype(np.int16),
        "last_day": rng.integers(5, 50, n).astype(np.int32),
        **{name: rng.normal(0, 1, n) for name in MEASURES},
    }
    frame = pl.DataFrame(columns).with_columns(
        code=pl.concat_str(pl.lit("AB"), (pl.col("merchant") % 9000 + 1000).cast(pl.String))
    )
    row = pl.int_range(pl.len())
    return frame.with_columns(
        id=pl.when(row == 7).then(pl.col("id").shift(1)).otherwise(pl.col("id")),
        amount=pl.when(row == 11).then(-1.0).otherwise(pl.col("amount")),
        category=pl.when(row == 13).then(pl.lit("unknown")).otherwise(pl.col("category")),
        code=pl.when(row == 17).then(pl.lit("ab12")).otherwise(pl.col("code")),
        x1=pl.when(row == 19).then(None).otherwise(pl.col("x1")),
        x2=pl.when(row == 23).then(99.0).otherwise(pl.col("x2")),
    )


def by_hand(path: Path) -> dict[str, int]:
    """The same rules as a person would write them for this file."""
    c = pl.col
    names = ["id", "at", "customer", "merchant", "amount", "category", "online", "hour", "last_day", "code"]
    asked = {f"{name} null": c(name).null_count() for name in [*names, "x1", "x2", "x3", "x4"]}  # 14
    asked |= {f"{name} range": (c(name).abs() > 8).sum() for name in MEASURES}  # 10
    asked |= {f"{name} spread": c(name).std() <= 0 for name in MEASURES[:5]}  # 5
    asked |= {
        "id": (c("id") < 0).sum(),
        "unique": pl.len() - c("id").n_unique(),
        "customer": (c("customer") < 0).sum(),
        "merchant": (c("merchant") < 0).sum(),
        "amount low": (c("amount") <= 0).sum(),
        "amount high": (c("amount") > 1e6).sum(),
        "category": (~c("category").is_in(CATEGORIES)).sum(),
        "code": (~c("code").str.contains(CODE)).sum(),
        "hour low": (c("hour") < 0).sum(),
        "hour high": (c("hour") > 23).sum(),
        "last_day": (c("last_day") < 0).sum(),
        "cross": (c("online") & (c("amount") > 1e5)).sum(),
    }  # 12
    assert len(asked) == 41
    made = pl.scan_parquet(path).select([one.alias(name) for name, one in asked.items()])
    return {name: int(count) for name, count in made.collect(engine="streaming").row(0, named=True).items()}


def by_contract(path: Path) -> dict[str, int]:
    """The contract, through the product's own way."""
    from mlcicd_assets.ml.data.contracts import validate
    from mlcicd_assets.ml.declarations import DatasetDeclaration

    fields = {"name": "bench", "owner": "team:bench", "contract": "bench.py:Records", "keys": ["id"]}
    dataset = DatasetDeclaration.model_validate(fields | {"source": {"files": "landing/bench.parquet"}})
    report = validate(pl.scan_parquet(path), _contract(), dataset)
    assert report.rules == 41 + len(MEASURES[4:]), report.rules  # and "null in every record" of six columns
    return {f"{failure.column} {failure.rule}": failure.count for failure in report.failures}


def _contract() -> object:
    import pandera.polars as pa

    check, field = pa.Check, pa.Column
    spread = [pa.Check(_spread, name="spread")]
    measures = {
        name: field(
            pl.Float64, [check.in_range(-8, 8), *(spread if number < 5 else [])], nullable=number >= 4
        )
        for number, name in enumerate(MEASURES)
    }

    class Records(pa.DataFrameModel):
        @classmethod
        def to_schema(cls) -> pa.DataFrameSchema:
            return pa.DataFrameSchema(
                {
                    "id": field(pl.Int64, check.ge(0)),
                    "at": field(pl.Datetime("us")),
                    "customer": field(pl.Int64, check.ge(0)),
                    "merchant": field(pl.Int64, check.ge(0)),
                    "amount": field(pl.Float64, [check.gt(0), check.le(1e6)]),
                    "category": field(pl.String, check.isin(CATEGORIES)),
                    "online": field(pl.Boolean),
                    "hour": field(pl.Int16, [check.ge(0), check.le(23)]),
                    "last_day": field(pl.Int32, check.ge(0)),
                    "code": field(pl.String, check.str_matches(CODE)),
                    **measures,
                },
                checks=[pa.Check(_cross, name="cross")],
            )

    return Records


def _spread(data: object) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key).std() > 0)  # type: ignore[attr-defined]


def _cross(data: object) -> pl.LazyFrame:
    dear = pl.col("online") & (pl.col("amount") > 1e5)
    return data.lazyframe.select(~dear)  # type: ignore[attr-defined]


WAYS = {"by hand": by_hand, "by contract": by_contract, "idle": lambda _: {}}


def measure(way: str, path: Path) -> dict[str, Any]:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--file", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(way: str, path: Path) -> None:
    """Print what one way took; libraries are loaded before the clock starts."""
    import pandera.backends.polars.builtin_checks
    import pandera.polars  # noqa: F401

    import mlcicd_assets.ml.data.contracts  # noqa: F401

    clock, processor = time.perf_counter(), time.process_time()
    found = WAYS[way](path)
    taken = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - processor}
    print(json.dumps({"way": way, **taken, "peak": _peak(), "found": found}))


def _peak() -> float:
    """Megabytes; of this program alone, where getrusage would count what its parent took before it began."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> int:
    """Write the file, take turns, and print the comparison."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--way", choices=WAYS)
    options.add_argument("--file", type=Path)
    given = options.parse_args()
    if given.way:
        alone(given.way, given.file)
        return 0
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as scratch:
        path = Path(scratch) / "records.parquet"
        write(path, given.rows)
        taken = [measure(way, path) for _ in range(given.repeat) for way in ("by hand", "by contract")]
        idle = measure("idle", path)
    ours, theirs = _best(taken, "by contract"), _best(taken, "by hand")
    for one in (theirs, ours):
        print(
            f"{one['way']:12} {one['seconds']:6.2f} s  {one['cpu']:6.2f} s CPU  "
            f"peak {one['peak']:5.0f} MB (idle {idle['peak']:.0f})"
        )
    ratio, above = ours["seconds"] / theirs["seconds"], ours["peak"] - idle["peak"]
    print(f"ratio        {ratio:6.2f}    {ours['cpu'] / theirs['cpu']:6.2f} CPU   budget {BUDGET}")
    print(f"found        {ours['found']}")
    return int(ratio > BUDGET or above > BUDGET_MB)


def _best(taken: list[dict[str, Any]], way: str) -> dict[str, Any]:
    return min((one for one in taken if one["way"] == way), key=lambda one: float(one["seconds"]))


if __name__ == "__main__":
    sys.exit(main())
