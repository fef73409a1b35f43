"""Real, tiny packages in a fraction of a second, for whoever needs something to sign, register or serve."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.onnx_export import to_onnx
from mlcicd_assets.ml.artifact.package import Column, Feature, Package, Signature, write_package
from mlcicd_assets.ml.data.features import compute_features, model_arrays

FEATURES = '''
import polars as pl


def features(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    """Amount, hour and the shop's size."""
    return records.join(shops, on="shop", how="left", maintain_order="left").select(
        amount_log=pl.col("amount").log1p(),
        hour=pl.col("at").dt.hour(),
        size=pl.col("size").fill_null(0),
        shop="shop",
    )
'''
SHOPS = pl.DataFrame({"shop": ["a", "b", "c"], "size": [10, 200, 3_000]})


def records(rows: int = 400, *, seed: int = 0) -> pl.DataFrame:
    """Raw records: at, amount, shop, label (0/1), ignored."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3, 1, rows).round(2)
    shop = rng.choice(["a", "b", "c"], rows)
    risk = 1 / (1 + np.exp(3.5 - np.log1p(amount) - (shop == "c")))
    return pl.DataFrame(
        {
            "at": np.datetime64("2026-01-01", "us") + (rng.integers(0, 48, rows) * 3_600_000_000),
            "amount": amount,
            "shop": shop,
            "label": (rng.random(rows) < risk).astype(np.int64),
            "ignored": rng.random(rows),
        },
    )


def build_package(
    folder: Path,
    *,
    model: str = "shop_risk",
    kind: Literal["logistic", "boosting"] = "logistic",
    seed: int = 0,
    threshold: float = 0.5,
) -> Package:
    """Train on `records(seed=seed)` and write a package into `folder`; another seed gives another digest."""
    from mlcicd_assets.ml.user_code import load_function_from

    frame = records(seed=seed)
    function = load_function_from(FEATURES.encode(), "features.py", "features")
    features = compute_features(function, frame, {"shops": SHOPS.lazy()}, hidden=["label"])
    names = [
        Feature(name=n, dtype="String" if t == pl.String else "Float32") for n, t in features.schema.items()
    ]
    fitted = _estimator(kind).fit(_pandas(features), frame["label"].to_numpy())
    signature = Signature(
        model=model,
        inputs=[
            Column(name="at", dtype="Datetime", nullable=False),
            Column(name="amount", dtype="Float64", nullable=False),
            Column(name="shop", dtype="String"),
        ],
        features=names,
        threshold=threshold,
        lookups=["shops"],
    )
    return write_package(
        folder, signature, model=to_onnx(fitted, names), features=FEATURES.encode(), lookups={"shops": SHOPS}
    )


def _estimator(kind: str) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["shop"]), remainder="passthrough"
    )
    if kind == "logistic":
        return make_pipeline(encode, LogisticRegression(C=0.1, max_iter=5_000))
    return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=7))


def _pandas(features: pl.DataFrame) -> Any:
    import pandas as pd

    return pd.DataFrame({name: values[:, 0] for name, values in model_arrays(features).items()})
