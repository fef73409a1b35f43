import xml.etree.ElementTree as ET

import pytest

from mlcicd_assets.ml.evaluation.curves import Shapes
from mlcicd_assets.reports.figures import data_uri, described, pictures_of, png, svg
from tests.fakes.evaluations import evaluation

EVALUATION = evaluation(champion_skill=0.7)
BINARY = pictures_of("binary")


@pytest.mark.parametrize("name", BINARY)
def test_a_picture_is_small_and_the_same_each_time(name: str) -> None:
    first = png(name, EVALUATION)

    assert first.startswith(b"\x89PNG")
    assert len(first) < 80_000
    assert png(name, EVALUATION) == first
    assert svg(name, EVALUATION) == svg(name, EVALUATION)


@pytest.mark.parametrize("name", BINARY)
def test_a_drawing_is_whole_xml_in_the_pages_colours(name: str) -> None:
    drawing = svg(name, EVALUATION)

    root = ET.fromstring(drawing.replace("xlink:href", "href"))  # noqa: S314 - drawn by us
    assert root.attrib["aria-label"] == described(name, EVALUATION)
    assert "var(--ink)" in drawing
    for colour in ("#23272f", "#0072b2", "#d55e00"):
        assert colour not in drawing


@pytest.mark.parametrize("name", ["roc", "precision_recall"])
def test_both_models_are_told_apart_by_line_and_number(name: str) -> None:
    drawing = svg(name, EVALUATION)

    assert "champion v3, 0." in drawing
    assert "challenger, 0." in drawing
    assert "stroke-dasharray" in drawing
    assert "champion" not in svg(name, evaluation())


@pytest.mark.parametrize("name", BINARY)
def test_without_curves_the_picture_says_so(name: str) -> None:
    empty = EVALUATION.model_copy(update={"shapes": Shapes()})

    assert "nothing to draw" in svg(name, empty)


def test_a_picture_as_an_address() -> None:
    assert data_uri(b"\x89PNG") == "data:image/png;base64,iVBORw=="
