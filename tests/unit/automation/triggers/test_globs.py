import pytest

from mlcicd_assets.automation.triggers.globs import matches


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["main"], "main", True),
        (["main"], "maintenance", False),
        (["release/*"], "release/1.2", True),
        (["release/*"], "release/1.2/fix", False),
        (["**"], "any/thing", True),
        (["defs/fraud/**"], "defs/fraud/a/b.py", True),
        (["defs/fraud/**"], "defs/fraudulent/b.py", False),
        (["defs/fraud/"], "defs/fraud/model.py", True),
        (["**/model.py"], "model.py", True),
        (["**/model.py"], "defs/x/model.py", True),
        (["**/model.py"], "defs/x/other_model.py", False),
        (["*.py"], "defs/model.py", False),
        (["mode?.py"], "model.py", True),
        (["/model.py"], "model.py", True),
        (["model[1].py"], "model[1].py", True),
        (["**", "!docs/**"], "docs/a.md", False),
        (["**", "!docs/**", "docs/keep.md"], "docs/keep.md", True),
        (["!docs/**"], "model.py", False),
        ([], "model.py", False),
    ],
)
def test_patterns(patterns: list[str], name: str, expected: bool) -> None:
    assert matches(patterns, name) is expected
