"""The contract of digits."""

import pandera.polars as pa
import polars as pl

PIXELS = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]

# 64 times the same rule: grey values from 0 (paper) to 16 (ink).
Pixels = type(
    "Pixels",
    (pa.DataFrameModel,),
    {
        **{name: pa.Field(ge=0, le=16) for name in PIXELS},
        "__annotations__": dict.fromkeys(PIXELS, pl.Int8),
        "__module__": __name__,
    },
)


class Digits(Pixels):  # type: ignore[valid-type,misc]  # made above
    """One image and the digit that a person read in it."""

    image_id: pl.Int64 = pa.Field(ge=0)
    read_at: pl.Datetime
    digit: pl.Int64 = pa.Field(ge=0, le=9)
