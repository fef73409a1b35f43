"""From a trained estimator to the package: which raw columns it takes, and what travels with it."""

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from mlcicd_assets.ml.artifact.package import Column, Package, Signature, write_package
from mlcicd_assets.ml.data.features import required_inputs
from mlcicd_assets.ml.training.fitting import Trained
from mlcicd_assets.ml.user_code import load_function

# Enough rows that a column whose absence changes the features shows it; each column costs one run on them.
_SAMPLE = 200


def package_model(
    folder: Path,
    trained: Trained,
    *,
    model: str,
    threshold: float,
    features: tuple[Path, str],
    records: pl.DataFrame,
    hidden: Collection[str] = (),
    lookups: Mapping[str, pl.DataFrame] | None = None,
    nullable: Collection[str] | None = None,
) -> Package:
    """Write the package of a trained model.

    `features` is the file and name of the features function, `records` some raw records (their columns and
    values decide which are inputs), `nullable` the columns that may be null in a request (default: all). Only
    a binary model keeps the `threshold`. Raises PackageError, FeaturesError or UserCodeError.
    """
    path, name = features
    function = load_function(path, name)
    tables = dict(lookups or {})
    visible = records.drop([column for column in hidden if column in records.columns])
    lazy = {table: frame.lazy() for table, frame in tables.items()}
    needed = required_inputs(function, visible.schema, lazy, sample=visible.head(_SAMPLE))
    signature = Signature(
        model=model,
        task=trained.task,
        engine=trained.served.engine,
        trusted_types=list(trained.served.trusted_types),
        classes=list(trained.classes),
        inputs=[
            Column.of(column, visible.schema[column], nullable=nullable is None or column in nullable)
            for column in needed
        ],
        features=trained.features,
        threshold=threshold if trained.task == "binary" else None,
        function=name,
        lookups=sorted(tables),
    )
    return write_package(
        folder, signature, model=trained.served.content, features=path.read_bytes(), lookups=tables
    )
