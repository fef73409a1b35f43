"""The package: the folder that is trained, signed, registered and served, and its digest.

Layout, format 1: `manifest.json`, `signature.json`, `model.onnx` (or `model.skops`), `features.py`,
`lookups/*.parquet`. The digest is the SHA-256 of `manifest.json`, which carries the SHA-256 of every other
file. Whoever reads a package gets the very bytes that were verified, so a file changed after the check cannot
slip in.
"""

import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlcicd_assets.ml.tasks import Task

_FILE = re.compile(r"^(signature\.json|model\.(onnx|skops)|features\.py|lookups/[a-z][a-z0-9_]*\.parquet)$")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_DTYPES: dict[str, pl.DataType] = {
    **{name: getattr(pl, name)() for name in ("Int8", "Int16", "Int32", "Int64", "Float32", "Float64")},
    **{name: getattr(pl, name)() for name in ("UInt8", "UInt16", "UInt32", "UInt64", "Boolean", "String")},
    "Date": pl.Date(),
    "Time": pl.Time(),
    "Datetime": pl.Datetime("us"),
}
_ZONED = re.compile(r"^Datetime\[([\w/+-]+)\]$")


class PackageError(ValueError):
    """A package that cannot be trusted or used; names the file and the remedy."""


class Closed(BaseModel):
    """Frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(Closed):
    """One column: `dtype` is a polars name ('Float64', 'String', 'Datetime', 'Datetime[UTC]')."""

    name: str
    dtype: str
    nullable: bool = True

    @property
    def polars(self) -> pl.DataType:
        """The polars type; times have microsecond precision. Raises PackageError when there is none."""
        zoned = _ZONED.match(self.dtype)
        if zoned:
            return pl.Datetime("us", zoned[1])
        if self.dtype not in _DTYPES:
            raise PackageError(
                f"column {self.name!r}: type {self.dtype!r} is not one of {', '.join(_DTYPES)}"
            )
        return _DTYPES[self.dtype]

    @classmethod
    def of(cls, name: str, dtype: pl.DataType, *, nullable: bool = True) -> "Column":
        """Describe a frame's column; raises PackageError for types that a request cannot carry."""
        text = str(dtype.base_type())
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            text = f"Datetime[{dtype.time_zone}]"
        column = cls(name=name, dtype=text, nullable=nullable)
        _ = column.polars
        return column


class Feature(Closed):
    """One model input, in the order of the features function's output."""

    name: str
    dtype: Literal["Float32", "String"]


class Signature(Closed):
    """What goes in and what comes out.

    The graph gives `probabilities` [n, classes], in the order of `classes` (0 and 1 of a binary model, whole
    numbers or texts of a multiclass one), or `values` [n, 1] of a regression, which has no classes. Only a
    binary model has a threshold.
    """

    model: str
    task: Task = "binary"
    engine: Literal["onnx", "skops"] = "onnx"
    trusted_types: list[str] = []  # of skops: the types beyond its own that it may build, and no other
    inputs: list[Column] = Field(min_length=1)
    features: list[Feature] = Field(min_length=1)
    classes: list[int] | list[str] = [0, 1]
    threshold: float | None = Field(default=None, gt=0, lt=1)
    function: str = "features"
    lookups: list[str] = []

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if (self.task == "binary") != (self.threshold is not None):
            raise ValueError("a binary model has a threshold, and no other")
        if self.task == "binary" and self.classes != [0, 1]:
            raise ValueError("the classes of a binary model are 0 and 1")
        if self.task == "multiclass" and (
            len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)
        ):
            raise ValueError("a multiclass model has at least two classes, each once")
        if self.task == "regression" and self.classes:
            raise ValueError("a regression model has no classes")
        return self

    @property
    def model_file(self) -> str:
        """The file of the package that the engine loads."""
        return f"model.{self.engine}"

    @property
    def output(self) -> str:
        """What the graph calls its answer."""
        return "values" if self.task == "regression" else "probabilities"


class Manifest(Closed):
    """The files of a package and their SHA-256, as hex."""

    format: Literal[1] = 1
    model: str
    files: dict[str, str]


@dataclass(frozen=True)
class Package:
    """A verified package; `files` holds the bytes whose hashes were checked."""

    folder: Path
    digest: str
    signature: Signature
    files: Mapping[str, bytes] = field(repr=False)

    def lookup(self, name: str) -> pl.DataFrame:
        """Read one reference table."""
        return pl.read_parquet(io.BytesIO(self.files[f"lookups/{name}.parquet"]))


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and without spaces: the same value gives the same bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def write_package(
    folder: Path,
    signature: Signature,
    *,
    model: bytes,
    features: bytes,
    lookups: Mapping[str, pl.DataFrame] | None = None,
) -> Package:
    """Write a new package into `folder` and read it back verified.

    `model` is what the signature's engine loads, `features` the source of the file that defines
    `signature.function`. The folder appears complete or
    not at all; one that already has content is refused with PackageError.
    """
    tables = dict(lookups or {})
    if sorted(tables) != sorted(signature.lookups):
        raise PackageError(
            f"{folder}: lookups {sorted(tables)} are not the signature's {sorted(signature.lookups)}"
        )
    if folder.exists() and any(folder.iterdir()):
        raise PackageError(f"{folder}: is not empty; a package is written once, into a folder of its own")
    files = {
        "signature.json": canonical(signature.model_dump()),
        signature.model_file: model,
        "features.py": features,
        **{f"lookups/{name}.parquet": _parquet(table) for name, table in tables.items()},
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files["manifest.json"] = canonical(Manifest(model=signature.model, files=hashes).model_dump())
    _write_atomically(folder, files)
    return read_package(folder)


def _parquet(table: pl.DataFrame) -> bytes:
    # Sorted by every column: the digest must not depend on the order in which the rows were read.
    buffer = io.BytesIO()
    table.sort(table.columns, nulls_last=True).rechunk().write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _write_atomically(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(content)
        staging.chmod(0o755)
        staging.replace(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def read_package(folder: Path, *, expected: str | None = None) -> Package:
    """Read and verify a package; raises PackageError on anything extra, missing, changed or out of place.

    `expected` is the digest it must have: the one in the verdict or in the registry.
    """
    content = {name: path.read_bytes() for name, path in _regular_files(folder)}
    if "manifest.json" not in content:
        raise PackageError(f"{folder}: manifest.json is missing; this is not a package")
    digest = hashlib.sha256(content["manifest.json"]).hexdigest()
    if expected is not None and digest != expected:
        raise PackageError(
            f"{folder}: digest {digest} is not the expected {expected}; fetch the package again"
        )
    manifest = _parse(Manifest, content.pop("manifest.json"), folder / "manifest.json")
    _verify(folder, manifest, content)
    signature = _parse(Signature, content["signature.json"], folder / "signature.json")
    _verify_model(folder, signature, content)
    tables = {f"lookups/{name}.parquet" for name in signature.lookups}
    if signature.model != manifest.model or tables != {
        name for name in content if name.startswith("lookups/")
    }:
        raise PackageError(f"{folder}: manifest.json and signature.json disagree on the model or its lookups")
    return Package(folder, digest, signature, content)


def _regular_files(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_symlink() or not folder.is_dir():
        raise PackageError(f"{folder}: there is no package folder here; fetch the package again")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode) and name == "lookups":
            continue
        if not stat.S_ISREG(mode):
            raise PackageError(
                f"{path}: a package holds plain files only, no links or further folders; remove it"
            )
        yield name, path


def _verify(folder: Path, manifest: Manifest, content: Mapping[str, bytes]) -> None:
    for name, digest in manifest.files.items():
        if not _FILE.match(name) or not _DIGEST.match(digest):
            raise PackageError(f"{folder}: manifest.json lists {name!r}, which has no place in a package")
    for name in ("signature.json", "features.py"):
        if name not in manifest.files:
            raise PackageError(f"{folder}: manifest.json does not list {name}; build the package again")
    missing, extra = sorted(manifest.files.keys() - content), sorted(content.keys() - manifest.files)
    if missing or extra:
        what = f"missing {', '.join(missing)}" if missing else f"unexpected {', '.join(extra)}"
        raise PackageError(f"{folder}: {what}; fetch the package again")
    for name, digest in manifest.files.items():
        found = hashlib.sha256(content[name]).hexdigest()
        if found != digest:
            raise PackageError(
                f"{folder / name}: was changed after it was packaged (SHA-256 {found[:12]}…, "
                f"manifest says {digest[:12]}…); fetch the package again"
            )


def _verify_model(folder: Path, signature: Signature, content: Mapping[str, bytes]) -> None:
    found = [name for name in content if name.startswith("model.")]
    if found != [signature.model_file]:
        raise PackageError(
            f"{folder}: signature.json promises {signature.model_file}, manifest.json lists "
            f"{', '.join(found) or 'no model'}; build the package again"
        )


T = TypeVar("T", bound=Closed)


def _parse(kind: type[T], content: bytes, path: Path) -> T:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PackageError(
            f"{path}: {where or 'content'}: {first['msg']}; build the package again"
        ) from error
