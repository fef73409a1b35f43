"""Declarations to test with: orders (monthly, labelled), shops (a lookup), and the model shop_risk."""

from pathlib import Path

from mlcicd_assets.ml.catalogue import Catalogue, load_all

SHOPS = """
type: mlcicd_assets.Dataset
attributes:
  name: shops
  owner: team:sales
  source: {files: "landing/shops/shops.parquet"}
  upstream: upstream.py:land
  contract: dataset.py:Contract
"""
ORDERS = """
type: mlcicd_assets.Dataset
attributes:
  name: orders
  owner: team:sales
  partitions: monthly
  start: "2026-01-01"
  source: {files: "landing/orders/{partition}.parquet"}
  upstream: upstream.py:land
  contract: dataset.py:Contract
  features: features.py:features
  lookups: [shops]
  time: at
  label: {column: label}
  references: {shop: shops.shop}
"""
MODEL = """
type: mlcicd_assets.MlModel
attributes:
  name: shop_risk
  owner: team:risk
  dataset: orders
  estimator: model.py:estimator
  train: 60d
  holdout: 30d
  gates: {roc_auc: ">= 0.60"}
  champion: {metric: roc_auc}
  risk: RISK
"""
UPSTREAM = '''
def land(folder, partitions=()):
    """Write one file for each partition, or one for all."""
    files = [folder / f"landing/NAME/{key}.parquet" for key in partitions or ["NAME"]]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"records of {file.stem}")
    return files
'''


def write_catalogue(folder: Path, *, risk: str = "low") -> Catalogue:
    """Write the declarations and their Python files below `folder`, and read them."""
    for name, declaration in (("orders", ORDERS), ("shops", SHOPS), ("shop_risk", MODEL)):
        (folder / name).mkdir(parents=True)
        (folder / name / "defs.yaml").write_text(declaration.replace("RISK", risk))
        for file, object_name in (("dataset", "Contract"), ("features", "features"), ("model", "estimator")):
            (folder / name / f"{file}.py").write_text(f"{object_name} = {name!r}\n")
        (folder / name / "upstream.py").write_text(UPSTREAM.replace("NAME", name))
    return load_all(folder)
