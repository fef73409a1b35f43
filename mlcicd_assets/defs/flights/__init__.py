"""nycflights13: every flight that left New York City in 2013, one Parquet file per month."""
