"""Grey values between 0 and 1, row by row."""

import polars as pl


def features(digits: pl.LazyFrame) -> pl.LazyFrame:
    """64 values per image, in the images' order."""
    pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    return digits.select(pl.col(name).cast(pl.Float32) / 16 for name in pixels)
