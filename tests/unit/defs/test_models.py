"""The reference models learn from their data, and what is packaged answers as what was trained."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.defs.flights.upstream import DATA, vendored_month, with_weather
from mlcicd_assets.defs.payments.upstream import START, payments_of
from mlcicd_assets.ml.artifact.keeping import to_skops
from mlcicd_assets.ml.artifact.packaging import package_model
from mlcicd_assets.ml.artifact.parity import TOLERANCE, compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.catalogue import Catalogue, ModelLane, load_all, read_reference
from mlcicd_assets.ml.data.features import compute_features
from mlcicd_assets.ml.data.labels import label_column
from mlcicd_assets.ml.evaluation.metrics import Measured, measure
from mlcicd_assets.ml.training.fitting import new_estimator, scores, train
from mlcicd_assets.ml.user_code import load_function


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_all()


def rehearse(
    lane: ModelLane, records: pl.DataFrame, cut: datetime, lookups: dict[str, pl.DataFrame], folder: Path
) -> Measured:
    """Train before the cut, judge after it, through the package."""
    dataset = lane.data.dataset
    assert dataset.label
    assert dataset.features
    labels = label_column(dataset.label, records)
    known = records.filter(labels.is_not_null()).sort(dataset.time or "")
    function = load_function(*read_reference(lane.data.folder, dataset.features))
    lazy = {name: table.lazy() for name, table in lookups.items()}
    features = compute_features(function, known, lazy, hidden=dataset.hidden)
    truth = label_column(dataset.label, known)
    before = int((known[dataset.time or ""] < cut).sum())
    estimator = new_estimator(load_function(*read_reference(lane.folder, lane.model.estimator)))

    trained = train(estimator, features[:before], truth[:before], seed=lane.model.seed)
    package = package_model(
        folder / "package",
        trained,
        model=lane.model.name,
        threshold=lane.model.threshold,
        features=read_reference(lane.data.folder, dataset.features),
        records=known[:500],
        hidden=dataset.hidden,
        lookups=lookups,
    )

    after = known[before:]
    served = Scorer.load(package).predict(after).probabilities[:, 1]
    parity = compare_scores(served, scores(trained.estimator, features[before:]), lane.model.threshold)
    assert parity.max_difference <= TOLERANCE
    assert not {column.name for column in package.signature.inputs} & set(dataset.hidden)
    assert to_skops(trained.estimator)
    protected = after.select(dataset.protected) if dataset.protected else None
    return measure(truth[before:].to_numpy(), served, lane.model.threshold, protected=protected)


def test_flight_delay_beats_chance_on_flights_it_has_not_seen(catalogue: Catalogue, tmp_path: Path) -> None:
    weather = pl.read_parquet(DATA / "weather.parquet")
    planes = pl.read_parquet(DATA / "planes.parquet")
    flights = pl.concat([with_weather(vendored_month(month), weather) for month in ("2013-01", "2013-02")])

    measured = rehearse(
        catalogue.models["flight_delay"], flights, datetime(2013, 2, 15), {"planes": planes}, tmp_path
    )

    auc = measured.metrics["roc_auc"]
    assert auc is not None
    assert auc > 0.6


def test_fraud_detector_finds_most_fraud_among_the_first_alerts(catalogue: Catalogue, tmp_path: Path) -> None:
    days = [START + timedelta(days=day) for day in range(30)]
    payments = pl.concat([payments_of(day) for day in days])

    measured = rehearse(catalogue.models["fraud_detector"], payments, datetime(2026, 1, 24), {}, tmp_path)

    recall, precision = measured.metrics["recall_at_5pct_alerts"], measured.metrics["average_precision"]
    assert recall is not None
    assert precision is not None
    assert recall > 0.7
    assert precision > 0.5
    assert {group.column for group in measured.groups} == {"age_group", "gender"}


def test_the_one_that_can_hurt_people_waits_for_a_person(catalogue: Catalogue) -> None:
    assert catalogue.models["fraud_detector"].model.risk == "high"
    assert "equal_opportunity_gap" in catalogue.models["fraud_detector"].model.gates
