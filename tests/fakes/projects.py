"""A small project as a user would write it: a monthly dataset, a reference table, a model, and data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")

_SALES = """
type: mlcicd_assets.Dataset
attributes:
  name: sales
  owner: team:shop
  partitions: monthly
  start: "2026-01-01"
  source: {files: "landing/sales/{partition}.parquet"}
  contract: dataset.py:Sales
  features: features.py:features
  lookups: [stores]
  keys: [sale_id]
  time: sold_at
  label: {column: returned}
  after_event: [refund]
  protected: [age_group]
  references: {store_id: stores.store_id}
"""
_STORES = """
type: mlcicd_assets.Dataset
attributes:
  name: stores
  owner: team:shop
  source: {files: "landing/stores.csv"}
  contract: dataset.py:Stores
  keys: [store_id]
"""
_MODEL = """
type: mlcicd_assets.MlModel
attributes:
  name: returns
  owner: team:shop
  dataset: sales
  estimator: model.py:estimator
  train: 80d
  holdout: 30d
  gates: {roc_auc: ">= 0.70", brier: "<= 0.25"}
  champion: {metric: roc_auc, non_inferiority: 0.01}
  rollout: {keep_warm: 1s}
  # Faked servers need no long look.
  serving: {requests: 120, concurrency: 2, rate: 40, load: 500ms}
"""
_CONTRACTS = """
import pandera.polars as pa
import polars as pl


class Sales(pa.DataFrameModel):
    sale_id: int = pa.Field(ge=0)
    store_id: str
    sold_at: pl.Datetime
    amount: float = pa.Field(ge=0, le=1e6)
    online: bool
    age_group: str = pa.Field(isin=["young", "old"])
    returned: int = pa.Field(isin=[0, 1], nullable=True)
    refund: float = pa.Field(nullable=True)
"""
_STORE_CONTRACT = """
import pandera.polars as pa


class Stores(pa.DataFrameModel):
    store_id: str
    size: int = pa.Field(gt=0)
"""
_FEATURES = """
import polars as pl


def features(sales: pl.LazyFrame, *, stores: pl.LazyFrame) -> pl.LazyFrame:
    return sales.join(stores, on="store_id", how="left", maintain_order="left").select(
        pl.col("amount").log1p().alias("log_amount"),
        "online",
        "size",
        pl.col("sold_at").dt.hour().alias("hour"),
    )
"""
_ESTIMATOR = """
def estimator():
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=1.0))
"""


@dataclass(frozen=True)
class Project:
    """A folder with `defs/`, and the home its data lands in."""

    root: Path
    home: Path

    @property
    def defs(self) -> Path:
        """The declarations."""
        return self.root / "defs"

    def edit(self, file: str, old: str, new: str) -> None:
        """Change one text in a file below `defs/`; the text must be there."""
        path = self.defs / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {path}"
        path.write_text(text.replace(old, new))

    def land(self, months: Sequence[str] = MONTHS, *, seed: int = 0) -> None:
        """Let the months' sales and the stores land."""
        landing = self.home / "landing"
        (landing / "sales").mkdir(parents=True, exist_ok=True)
        for month in months:
            sales(month, seed=seed).write_parquet(landing / "sales" / f"{month}.parquet")
        stores().write_csv(landing / "stores.csv")


def write_project(root: Path, home: Path) -> Project:
    """Write the declarations and their Python files."""
    files = {
        "sales/defs.yaml": _SALES,
        "sales/dataset.py": _CONTRACTS,
        "sales/features.py": _FEATURES,
        "stores/defs.yaml": _STORES,
        "stores/dataset.py": _STORE_CONTRACT,
        "returns/defs.yaml": _MODEL,
        "returns/model.py": _ESTIMATOR,
    }
    for name, text in files.items():
        (root / "defs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "defs" / name).write_text(text)
    return Project(root, home)


def stores() -> pl.DataFrame:
    """Ten stores."""
    return pl.DataFrame({"store_id": [f"s{number}" for number in range(10)], "size": list(range(5, 105, 10))})


def sales(month: str, *, rows: int = 600, seed: int = 0) -> pl.DataFrame:
    """A month of sales: online and dear ones come back more often."""
    year, number = (int(part) for part in month.split("-"))
    rng = np.random.default_rng([seed, year, number])
    amount = rng.lognormal(3, 1, rows).round(2)
    online = rng.random(rows) < 0.4
    store = rng.integers(0, 10, rows)
    logit = -2.4 + 0.8 * (np.log1p(amount) - 3) + 1.8 * online + 0.1 * (store - 5)
    returned = rng.random(rows) < 1 / (1 + np.exp(-logit))
    first = np.datetime64(f"{month}-01T00:00:00", "us")
    minutes = np.sort(rng.integers(0, 28 * 24 * 60, rows))
    return pl.DataFrame(
        {
            "sale_id": (year * 100 + number) * 100_000 + np.arange(rows),
            "store_id": [f"s{index}" for index in store],
            "sold_at": first + minutes.astype("timedelta64[m]"),
            "amount": amount,
            "online": online,
            "age_group": np.where(rng.random(rows) < 0.5, "young", "old"),
            "returned": returned.astype(np.int64),
            "refund": np.where(returned, amount, np.nan),
        }
    ).with_columns(pl.col("refund").fill_nan(None))
