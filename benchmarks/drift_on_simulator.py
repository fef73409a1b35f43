"""How often drift checks cry wolf, and when they see what was injected: simulated payments, and the flights.

Run from the project's root: `python -m benchmarks.drift_on_simulator [--days 180] [--scenarios none prior]`.
Every partition is judged by the shipped function on its statistics alone, against its own past.
"""

import argparse
import time
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from mlcicd_assets.defs.flights import features as flight_features
from mlcicd_assets.defs.flights import upstream as airports
from mlcicd_assets.defs.payments import features as payment_features
from mlcicd_assets.defs.payments.simulator import DRIFT_FROM, Scenario
from mlcicd_assets.defs.payments.upstream import START, payments_of
from mlcicd_assets.ml.catalogue import load_datasets
from mlcicd_assets.ml.data.data_checks import judge_drift, judge_numbers
from mlcicd_assets.ml.data.partition_statistics import Statistics, distributions, summarise
from mlcicd_assets.ml.declarations import DatasetDeclaration

DRIFT = {"drift", "label_drift"}
EXTRA = (
    "psi <= 0.1",
    "psi <= 0.2",
    "js <= 0.1",
    "wasserstein <= 0.1",
    "ks <= 0.05",
    "ks <= 0.1 against first 28",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scenarios", nargs="*", default=["none", "covariate", "concept", "prior", "festival", "tactics"]
    )
    args = parser.parse_args()
    declared = load_datasets()["payments"].dataset
    for scenario in args.scenarios:
        began = time.perf_counter()
        records, features = payments(scenario, args.days, args.seed)
        print(
            f"\npayments, scenario {scenario}: {args.days} days, drawn in {time.perf_counter() - began:.0f} s"
        )
        report(declared, records, features, changed_from(scenario))
    flights = load_datasets()["flights"].dataset
    records, features = months()
    print("\nflights: 12 months")
    report(flights, records, features, "9999")


def changed_from(scenario: str) -> str:
    """The first partition that differs from scenario none."""
    first = {"none": 10_000, "prior": 150, "festival": 150}.get(scenario, DRIFT_FROM)
    return str(START + timedelta(days=first))


def payments(scenario: str, days: int, seed: int) -> tuple[Statistics, Statistics]:
    records, features = {}, {}
    for day in range(days):
        key = START + timedelta(days=day)
        keep(str(key), payments_of(key, seed, Scenario.named(scenario)), "is_fraud", records, features)
    return records, features


def keep(key: str, frame: pl.DataFrame, label: str, records: dict, features: dict) -> None:
    made = payment_features.features(frame.lazy()).collect()
    made = made.with_columns(frame[label].cast(pl.Int8).alias("_label"))
    records[key], features[key] = summarise(frame), distributions(made, made.columns)


def months() -> tuple[Statistics, Statistics]:
    records, features = {}, {}
    planes, weather = (pl.read_parquet(airports.DATA / f"{name}.parquet") for name in ("planes", "weather"))
    for month in range(1, 13):
        key = f"2013-{month:02d}"
        frame = airports.with_weather(airports.vendored_month(key), weather)
        made = flight_features.features(frame.lazy(), planes=planes.lazy()).collect()
        made = made.with_columns((frame["arr_delay"] > 15).cast(pl.Int8).alias("_label"))
        records[key], features[key] = summarise(frame), distributions(made, made.columns)
    return records, features


def report(declared: DatasetDeclaration, records: Statistics, features: Statistics, changed: str) -> None:
    rules = {name: (declared, name) for name in dict.fromkeys(line.split(".")[0] for line in declared.checks)}
    own = {line: text for line, text in declared.checks.items() if line.startswith("drift.")}
    for text in EXTRA:
        changes = {"checks": {"drift": text, **own}, "hard_checks": [], "exceptions": []}
        rules[text] = (declared.model_copy(update=changes), "drift")
    print(f"{'check':26} {'judged':>6} {'cold':>5} {'false':>6} {'true':>5}  first found; of what")
    for name, (dataset, check) in rules.items():
        on_features = check in {*DRIFT, "positive_share"}
        print_rule(name, outcomes(dataset, check, features if on_features else records), changed)


def outcomes(
    dataset: DatasetDeclaration, check: str, kept: Statistics
) -> Mapping[str, tuple[str, list[str]]]:
    found = {}
    for key in sorted(kept):
        known = {other: kept[other] for other in kept if other <= key}
        if check in DRIFT:
            one = judge_drift(dataset, check, key, known)
            found[key] = (one.outcome, [f.name for f in one.features if f.outcome == "drifted"])
        else:
            many = judge_numbers(dataset, check, key, known)
            failed = [one.subject for one in many if one.outcome == "failed"]
            cold = all(one.outcome == "cold start" for one in many)
            found[key] = ("failed" if failed else "cold start" if cold else "passed", failed)
    return found


def print_rule(name: str, found: Mapping[str, tuple[str, list[str]]], changed: str) -> None:
    failed = {key: names for key, (outcome, names) in found.items() if outcome == "failed"}
    cold = sum(outcome == "cold start" for outcome, _ in found.values())
    false, true = [k for k in failed if k < changed], [k for k in failed if k >= changed]
    names = Counter(name for key in failed for name in failed[key]).most_common(4)
    said = ", ".join(f"{name} {count}" for name, count in names)
    first = f"{true[0]} (+{days_between(changed, true[0])} d)" if true else "-"
    print(f"{name:26} {len(found) - cold:6} {cold:5} {len(false):6} {len(true):5}  {first}; {said or '-'}")


def days_between(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


if __name__ == "__main__":
    main()
