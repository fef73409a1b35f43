"""The declaration's `serving`."""

import pytest
from pydantic import ValidationError

from mlcicd_assets.ml.evaluation.serving_declaration import Serving, parse_size


@pytest.mark.parametrize(
    ("text", "expected"), [("512MB", 5.12e8), ("1.5 GB", 1.5e9), ("512MiB", 2.0**29), ("2GiB", 2.0**31)]
)
def test_sizes(text: str, expected: float) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["512", "MB", "-1MB", "0MB", "5 cows", "512mb", ""])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a size reads like '512MB'"):
        parse_size(text)


def test_the_limit_is_in_megabytes() -> None:
    assert Serving(memory="512MiB").memory_mb == pytest.approx(536.870912)
    assert Serving().memory_mb is None


@pytest.mark.parametrize(
    "wrong",
    [{"memory": "much"}, {"cpu": 0}, {"concurrency": 0}, {"rate": 0}, {"timeout": "soon"}, {"ram": 1}],
)
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Serving.model_validate(wrong)
