"""The digits that land, and the network that reads them without torch being loaded for anything else."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.defs.digits.dataset import Digits
from mlcicd_assets.defs.digits.features import features
from mlcicd_assets.defs.digits.upstream import all_images, land

ROOT = Path(__file__).parents[3]


def test_every_image_lands_once_and_keeps_the_contract(tmp_path: Path) -> None:
    first, last = land(tmp_path, ["2026-01-01", "2026-01-30"])

    assert pl.read_parquet(first).height == 60
    assert pl.read_parquet(last).height == 57
    images = all_images()
    assert (images.height, images["image_id"].n_unique()) == (1797, 1797)
    Digits.validate(images)


def test_a_day_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images are known for '2026-02-01'; days are 2026-01-01 to"):
        land(tmp_path, ["2026-02-01"])


def test_features_are_grey_values_between_0_and_1_for_each_pixel() -> None:
    found = features(all_images().lazy()).collect()

    assert found.shape == (1797, 64)
    assert set(found.dtypes) == {pl.Float32()}
    assert found.min_horizontal().min() == 0
    assert found.max_horizontal().max() == 1


def test_definitions_and_code_versions_need_no_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['skorch'] = None\n"
        "import definitions; graph = definitions.defs().resolve_asset_graph()\n"
        "print('digit_reader/trained_model' in {key.to_user_string() for key in graph.get_all_asset_keys()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("True")
