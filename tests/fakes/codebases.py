"""A small repository to check: the project of `projects.py`, with what a code base has besides."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcicd_assets.codebase.areas import CodeShape, counted
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from resources.worktree import tree_files
from tests.fakes.projects import write_project

PYPROJECT = """
[project]
name = "shop"
dependencies = ["polars>=2.1,<3", "pandera[polars]>=0.35"]

[project.optional-dependencies]
net = ["torch>=2.13,<2.14"]

[tool.ruff]
lint.select = ["F"]
"""
CONSTRAINTS = "# pinned\npolars==2.1.0\npandera==0.35.2\n"
TEST = '''
def test_the_estimator_is_unfitted():
    """Loaded as the pipeline loads it."""
    from pathlib import Path

    from mlcicd_assets.ml.user_code import load_function

    estimator = load_function(Path(__file__).parents[1] / "model.py", "estimator")()
    assert not hasattr(estimator, "classes_")
'''


@dataclass(frozen=True)
class CodeBase:
    """Files on disk, below `root`; the declarations are in `defs/`."""

    root: Path

    @property
    def defs(self) -> Path:
        return self.root / "defs"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def project(self, *, memory: Any = None, environment: Any = None, **declared: Any) -> Project:
        declaration = CodeBaseDeclaration.model_validate({"owner": "team:shop", **declared})
        files = counted(CodeShape.of(declaration), tree_files(self.root))
        return Project(
            self.root, files, declaration, self.defs, environment=environment or {}, memory=memory or {}
        )

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        command = ["git", "-C", str(self.root), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str = "change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


def write_codebase(root: Path) -> CodeBase:
    """A repository without a commit."""
    write_project(root, root / "home")
    made = CodeBase(root)
    made.write("pyproject.toml", PYPROJECT)
    made.write("constraints.txt", CONSTRAINTS)
    made.write("defs/returns/tests/test_model.py", TEST)
    made.write(".gitignore", "home/\n__pycache__/\n.mypy_cache/\n")
    made.git("init", "--quiet", "--initial-branch", "main")
    return made
