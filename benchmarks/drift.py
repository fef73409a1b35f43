"""Drift of 500,000 against 500,000 rows, 30 numbers and 5 texts: our verdict, and the floor of binned KS.

Run from the project's root: `python -m benchmarks.drift`. Budget: both sides profiled and judged in at most
3 s, and at most 1.2 times the floor. Exits with 1 when the 3 s are missed.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from mlcicd_assets.ml.data.drift import compare
from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule
from mlcicd_assets.ml.data.profiles import profile_frame

ROWS, REPEATS = 500_000, 5
RULE = DriftRule.parse("ks <= 0.05")
DRIFTED, NEGLIGIBLE = 5, 5


def frame(seed: int, *, moved: bool) -> pl.DataFrame:
    """Of the numbers the first five move by 0.3 sigma, the next five by 0.01 sigma."""
    rng = np.random.default_rng(seed)
    shifts = [0.3] * DRIFTED + [0.01] * NEGLIGIBLE + [0.0] * 20
    numbers = {f"n{i}": rng.normal(shift if moved else 0.0, 1, ROWS) for i, shift in enumerate(shifts)}
    return pl.DataFrame({**numbers, **{f"c{i}": rng.choice(list("abcdefgh"), ROWS) for i in range(5)}})


def floor(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, float]:
    """KS on 200 quantile bins of the reference, total variation for text: as plain as it gets."""
    found = {}
    for name, dtype in reference.schema.items():
        if dtype == pl.String:
            a, b = (side[name].value_counts(normalize=True) for side in (reference, current))
            both = a.join(b, on=name, how="full", coalesce=True).fill_null(0)
            found[name] = float((both["proportion"] - both["proportion_right"]).abs().sum()) / 2
        else:
            before, after = reference[name].to_numpy(), current[name].to_numpy()
            edges = np.quantile(before, np.linspace(0, 1, 201)[1:-1])
            shares = [np.bincount(np.searchsorted(edges, x), minlength=200) / ROWS for x in (before, after)]
            found[name] = float(np.abs(np.cumsum(shares[0]) - np.cumsum(shares[1])).max())
    return found


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = [], []
    for _ in range(REPEATS):
        began, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    return statistics.median(wall), statistics.median(cpu)


def main() -> int:
    reference, current = frame(0, moved=False), frame(1, moved=True)
    rules = dict.fromkeys(reference.columns, RULE)
    stored = profile_frame(reference)
    drifted = {f.name for f in compare(stored, profile_frame(current), rules) if f.outcome == "drifted"}
    names = [f"n{i}" for i in range(30)]
    both = seconds(lambda: compare(profile_frame(reference), profile_frame(current), rules))
    check = seconds(lambda: compare(stored, profile_frame(current), rules))
    least = seconds(lambda: floor(reference, current))
    size = sum(len(profile.to_json()) for profile in stored.values())
    print(f"load {os.getloadavg()[0]:.2f}; wall s / CPU s, medians of {REPEATS}")
    for what, (wall, cpu) in [
        ("binned KS, the floor", least),
        ("both sides profiled, judged", both),
        ("reference profile at hand", check),
    ]:
        print(f"{what:28} {wall:.2f} / {cpu:.2f}   {wall / least[0]:.2f} x the floor")
    print(f"reference profile {size / 1e3:.0f} kB of JSON")
    print(
        f"found {len(drifted & set(names[:5]))} of {DRIFTED} drifted, "
        f"{len(drifted & set(names[5:10]))} of {NEGLIGIBLE} negligible, "
        f"{len(drifted - set(names[:10]))} of 25 unmoved"
    )
    kept = both[0] <= 3.0
    print(f"budget 3 s: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
