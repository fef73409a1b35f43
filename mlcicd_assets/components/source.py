"""`mlcicd_assets.CodeBase`: the project's code, and what it must pass."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlcicd_assets.assets.source_code import source_code
from mlcicd_assets.checks.code import code_checks
from mlcicd_assets.components.scaffolding import CodeBaseScaffolder
from mlcicd_assets.ml.catalogue import load_code
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration


@dg.scaffold_with(CodeBaseScaffolder)
class CodeBase(dg.Component):
    """The project's code: the asset `source_code` with a blocking check for each thing that it must pass."""

    def __init__(self, declaration: CodeBaseDeclaration):
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of `attributes:`, closed."""
        return CodeBaseDeclaration

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:  # noqa: ARG003  Dagster's signature
        """Make the component of a validated `attributes:`."""
        return cls(CodeBaseDeclaration.model_validate(attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset and its checks."""
        root = Path(context.defs_module_path)
        load_code(root)  # refuses a second one
        return code_definitions(self.declaration, root)


def code_definitions(declared: CodeBaseDeclaration, defs: Path) -> dg.Definitions:
    """The asset `source_code` and its checks; `defs` is the folder of the declarations."""
    return dg.Definitions(assets=[source_code(declared)], asset_checks=[code_checks(declared, defs)])
