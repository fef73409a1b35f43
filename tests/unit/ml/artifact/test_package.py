import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.package import (
    Column,
    Feature,
    Package,
    PackageError,
    Signature,
    canonical,
    read_package,
    write_package,
)
from tests.fakes.packages import build_package

SIGNATURE = Signature(
    model="m",
    inputs=[Column(name="a", dtype="Float64")],
    features=[Feature(name="a", dtype="Float32")],
    threshold=0.5,
    lookups=["shops"],
)
SHOPS = pl.DataFrame({"shop": ["b", "a", None], "size": [2, 1, 3]})


def write(folder: Path, *, shops: pl.DataFrame = SHOPS, onnx: bytes = b"graph") -> Package:
    return write_package(folder, SIGNATURE, model=onnx, features=b"x = 1", lookups={"shops": shops})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path / "package")

    found = read_package(tmp_path / "package", expected=written.digest)

    assert found.signature == SIGNATURE
    assert found.files["model.onnx"] == b"graph"
    assert found.lookup("shops").sort("size").rows() == [("a", 1), ("b", 2), (None, 3)]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    first = write(tmp_path / "one")
    shuffled = write(tmp_path / "two", shops=SHOPS.reverse())
    other = write(tmp_path / "three", onnx=b"another graph")

    assert first.digest == shuffled.digest
    assert first.digest != other.digest


def test_training_twice_gives_one_digest(package: Package, tmp_path: Path) -> None:
    assert build_package(tmp_path / "again").digest == package.digest
    assert build_package(tmp_path / "other", seed=1).digest != package.digest


@pytest.mark.parametrize("name", ["model.onnx", "features.py", "signature.json", "lookups/shops.parquet"])
def test_a_flipped_bit_is_found(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(bytes(content))

    with pytest.raises(PackageError, match=f"{name}.*was changed"):
        read_package(copied)


@pytest.mark.parametrize("name", ["model.onnx", "features.py", "lookups/shops.parquet"])
def test_a_missing_file_is_found(copied: Path, name: str) -> None:
    (copied / name).unlink()

    with pytest.raises(PackageError, match=f"missing {name}"):
        read_package(copied)


@pytest.mark.parametrize("name", ["extra.py", "lookups/extra.parquet", ".hidden"])
def test_an_extra_file_is_found(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"")

    with pytest.raises(PackageError, match="unexpected"):
        read_package(copied)


def test_links_and_folders_are_refused(copied: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.onnx"
    (copied / "model.onnx").rename(real)
    (copied / "model.onnx").symlink_to(real)

    with pytest.raises(PackageError, match="no links"):
        read_package(copied)

    (copied / "model.onnx").unlink()
    real.rename(copied / "model.onnx")
    (copied / "further").mkdir()

    with pytest.raises(PackageError, match="no links or further folders"):
        read_package(copied)


def test_a_linked_package_folder_is_refused(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copied)

    with pytest.raises(PackageError, match="no package folder"):
        read_package(tmp_path / "link")


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "lookups/../model.onnx", "other.bin"])
def test_a_manifest_that_points_elsewhere_is_refused(copied: Path, name: str) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    manifest["files"][name] = "0" * 64
    (copied / "manifest.json").write_bytes(canonical(manifest))

    with pytest.raises(PackageError, match="has no place in a package"):
        read_package(copied)


def test_a_manifest_must_list_what_every_package_has(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    del manifest["files"]["features.py"]
    (copied / "features.py").unlink()
    (copied / "manifest.json").write_bytes(canonical(manifest))

    with pytest.raises(PackageError, match=r"does not list features\.py"):
        read_package(copied)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format":2}', b'{"format":1,"model":"m","files":{},"more":1}']
)
def test_a_spoiled_manifest_is_named(copied: Path, content: bytes) -> None:
    (copied / "manifest.json").write_bytes(content)

    with pytest.raises(PackageError, match=r"manifest\.json"):
        read_package(copied)


def test_another_digest_than_expected_is_refused(copied: Path) -> None:
    with pytest.raises(PackageError, match="is not the expected 0000"):
        read_package(copied, expected="0" * 64)


def test_nothing_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no package folder here"):
        read_package(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageError, match=r"manifest\.json is missing"):
        read_package(tmp_path / "empty")


def test_a_package_is_written_once_and_whole(tmp_path: Path) -> None:
    write(tmp_path / "package")

    with pytest.raises(PackageError, match="is not empty"):
        write(tmp_path / "package")
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_lookups_must_be_those_of_the_signature(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="lookups"):
        write_package(tmp_path / "package", SIGNATURE, model=b"", features=b"")


@given(st.permutations([("b", 2), ("a", 1), ("a", 1), (None, 3), ("c", None)]))
def test_the_order_of_a_lookups_rows_is_immaterial(rows: list[tuple[str | None, int | None]]) -> None:
    from mlcicd_assets.ml.artifact.package import _parquet

    schema = {"shop": pl.String, "size": pl.Int64}
    given_order = _parquet(pl.DataFrame(rows, schema=schema, orient="row"))
    sorted_order = _parquet(pl.DataFrame(rows, schema=schema, orient="row").sort("size", "shop"))

    assert given_order == sorted_order


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (pl.Float64(), "Float64"),
        (pl.String(), "String"),
        (pl.Datetime("us"), "Datetime"),
        (pl.Datetime("ms"), "Datetime"),
        (pl.Datetime("us", "Asia/Kolkata"), "Datetime[Asia/Kolkata]"),
        (pl.Date(), "Date"),
    ],
)
def test_types_are_named_and_found_again(dtype: pl.DataType, name: str) -> None:
    column = Column.of("a", dtype)

    assert column.dtype == name
    assert column.polars.base_type() == dtype.base_type()


def test_a_type_that_no_request_carries_is_refused() -> None:
    with pytest.raises(PackageError, match="'List' is not one of"):
        Column.of("a", pl.List(pl.Int64))


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "binary", "threshold": None},
        {"task": "binary", "threshold": 0.5, "classes": [0, 1, 2]},
        {"task": "multiclass", "threshold": None, "classes": ["one"]},
        {"task": "multiclass", "threshold": None, "classes": [1, 1, 2]},
        {"task": "multiclass", "threshold": 0.5, "classes": [1, 2]},
        {"task": "regression", "threshold": None, "classes": [0, 1]},
    ],
)
def test_a_signature_fits_its_task(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"model has|classes of a binary model"):
        Signature.model_validate({**SIGNATURE.model_dump(), **fields})
