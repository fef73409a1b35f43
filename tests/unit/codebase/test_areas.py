"""Which files count, to which area they belong, and which checks a change concerns."""

import pytest

from mlcicd_assets.codebase.areas import (
    AREAS,
    WATCHES,
    CodeShape,
    area_contents,
    by_area,
    check_fingerprint,
    counted,
    matching,
)
from mlcicd_assets.ml.code.codebase import CHECKS, CodeBaseDeclaration

FILES = {
    "defs/returns/defs.yaml": "declarations",
    "defs/returns/model.py": "models",
    "defs/returns/nets/layers.py": "models",
    "defs/returns/tests/test_model.py": "tests",
    "shop/tools.py": "python",
    "conftest.py": "tests",
    "pyproject.toml": "dependencies",
    "constraints.txt": "dependencies",
    "requirements-dev.txt": "dependencies",
    "deploy/base/service.yaml": "manifests",
    "shop/settings.yaml": "other",
    "README.md": "other",
}
SHAPE = CodeShape.of(CodeBaseDeclaration(owner="team:shop"))


def test_every_file_belongs_to_one_area():
    found = {name: area for area, names in by_area(FILES).items() for name in names}
    assert found == FILES
    assert set(found.values()) == set(AREAS)


def test_every_check_watches_areas_that_there_are():
    assert set(WATCHES) == set(CHECKS)
    assert {area for areas in WATCHES.values() for area in areas} <= set(AREAS)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("docs/**", ["docs/a.md", "docs/deep/b.md"]),
        ("docs", ["docs/a.md", "docs/deep/b.md"]),
        ("*.md", ["a.md", "docs/a.md", "docs/deep/b.md"]),
        ("docs/*.md", ["docs/a.md"]),
        ("**/b.md", ["docs/deep/b.md"]),
        (".", ["a.md", "docs/a.md", "docs/deep/b.md", "x.py"]),
        ("do", []),
    ],
)
def test_patterns_read_like_those_of_git(pattern, found):
    assert matching([pattern], ["a.md", "docs/a.md", "docs/deep/b.md", "x.py"]) == found


def test_only_what_is_declared_counts():
    shape = CodeShape(("shop", "pyproject.toml"), ("*.yaml",))
    assert sorted(counted(shape, FILES)) == ["pyproject.toml", "shop/tools.py"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_concerns_exactly_the_checks_that_watch_its_area(name):
    before = area_contents(SHAPE, dict.fromkeys(FILES, "1"))
    now = area_contents(SHAPE, {**dict.fromkeys(FILES, "1"), name: "2"})
    concerned = {
        check
        for check in CHECKS
        if check_fingerprint(check, SHAPE, before) != check_fingerprint(check, SHAPE, now)
    }
    assert concerned == {check for check in CHECKS if FILES[name] in WATCHES[check]}


def test_a_moved_file_is_a_change():
    assert area_contents(SHAPE, {"a.py": "1"}) != area_contents(SHAPE, {"b.py": "1"})


def test_what_is_declared_for_a_check_concerns_that_check_alone():
    areas = area_contents(SHAPE, dict.fromkeys(FILES, "1"))
    other = CodeShape.of(CodeBaseDeclaration.model_validate({"owner": "x", "licences": {"unknown": "warn"}}))
    changed = [
        check
        for check in CHECKS
        if check_fingerprint(check, SHAPE, areas) != check_fingerprint(check, other, areas)
    ]
    assert changed == ["licences"]
