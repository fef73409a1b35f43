"""The scanner: lets each day's images land, 60 of the 1,797 that scikit-learn bundles, in their order.

They were written by 43 people one after another, so newer images are by other hands than older ones.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

START = date(2026, 1, 1)
A_DAY = 60


def land(folder: Path, partitions: Sequence[str]) -> list[Path]:
    """Write `landing/digits/2026-01-01.parquet` and so on under `folder`; returns the files.

    Raises ValueError for a day that has no images.
    """
    images = all_images()
    paths = []
    for key in partitions:
        first = (date.fromisoformat(key) - START).days * A_DAY
        if not 0 <= first < images.height:
            raise ValueError(f"no images are known for {key!r}; days are {START} to {_last(images.height)}")
        paths.append(_publish(images[first : first + A_DAY], folder / f"landing/digits/{key}.parquet"))
    return paths


def all_images() -> pl.DataFrame:
    """Every image with its digit, read one each 10 minutes from 8 in the morning."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    numbers = range(len(bundled.target))
    return pl.DataFrame(
        {
            "image_id": list(numbers),
            "read_at": [_read_at(number) for number in numbers],
            "digit": bundled.target.astype("int64"),
            **{
                name: bundled.data[:, place].astype("int8")
                for place, name in enumerate(bundled.feature_names)
            },
        }
    )


def _read_at(number: int) -> datetime:
    day, place = divmod(number, A_DAY)
    morning = datetime(START.year, START.month, START.day, 8)
    return morning + timedelta(days=day, minutes=10 * place)


def _last(images: int) -> date:
    return START + timedelta(days=(images - 1) // A_DAY)


def _publish(frame: pl.DataFrame, path: Path) -> Path:
    """Write Parquet aside and rename it, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.write_parquet(unfinished, compression="zstd")
    return unfinished.replace(path)
