"""What a project declares of its own code: which files, which checks, and what they allow."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, field_validator

from mlcicd_assets.ml.declared import Declaration, DurationText

CheckName = Literal[
    "declarations",
    "lock",
    "ruff",
    "secrets",
    "licences",
    "manifests",
    "types",
    "unit_tests",
    "feature_contract",
]
# The quick ones first: what is shown first is what is wrong most often.
CHECKS: tuple[CheckName, ...] = get_args(CheckName)


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"a path is named from the project's folder, without '..', not {value!r}")
    return value


Inside = Annotated[str, AfterValidator(_inside)]

# OSI-approved licences that ask for no more than a notice, or for changes to their own files.
PERMISSIVE = (
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "HPND",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Python-2.0.1",
    "TCL",
    "Unlicense",
    "Zlib",
    "ZPL-2.1",
)


class Licences(Declaration):
    """Which licences the installed packages may have."""

    allowed: list[str] = Field(
        default=list(PERMISSIVE), description="SPDX identifiers: ['MIT', 'Apache-2.0']."
    )
    unknown: Literal["warn", "fail"] = Field(
        default="fail", description="What a package that does not say its licence does."
    )
    accepted: dict[str, str] = Field(
        default={}, description="Packages that a person looked at (with *): {'name': 'why it may be used'}."
    )


class Lock(Declaration):
    """Where dependencies are declared, and where they are pinned."""

    project: Inside = Field(default="pyproject.toml", description="Where ranges are declared.")
    constraints: Inside = Field(default="constraints.txt", description="Where every package has one version.")
    unpinned: list[str] = Field(
        default=[], description="Packages that may stay a range, and why not is known."
    )


class Style(Declaration):
    """What `ruff` looks at besides its rules."""

    format: bool = Field(default=False, description="Whether a file must also be formatted as ruff would.")


class Types(Declaration):
    """How the type checker is asked."""

    paths: list[Inside] = Field(
        default=[], description="What it checks; the project's own configuration decides by default."
    )
    arguments: list[str] = Field(default=[], description="Further options: ['--strict'].")


class Secrets(Declaration):
    """How secrets are looked for."""

    baseline: Inside = Field(
        default=".secrets.baseline", description="Findings that a person looked at, by detect-secrets."
    )
    excluded: list[Inside] = Field(default=[], description="Files that are not searched, as patterns.")


class UnitTests(Declaration):
    """How the models' own tests are run."""

    required: bool = Field(default=False, description="Whether a model without tests fails.")


class FeatureContract(Declaration):
    """On how many records features are computed in several ways."""

    rows: int = Field(default=200, ge=2, le=10_000, description="Of validated_data, or made by the contract.")


class Sample(Declaration):
    """On what the tier `fast` trains."""

    rows: int = Field(default=5_000, ge=500, description="Records at most; each class keeps its share.")
    seed: int = Field(default=0, ge=0, description="Which records are drawn.")


class CodeBaseDeclaration(Declaration):
    """The project's code: one asset, `source_code`, and its blocking checks."""

    owner: str = Field(description="Who answers for it: 'team:platform' or an e-mail address.")
    description: str = ""
    paths: list[Inside] = Field(
        default=["."], min_length=1, description="Folders and files that count, from the project's folder."
    )
    excluded: list[Inside] = Field(default=[], description="Of these, what does not: ['docs/**'].")
    checks: list[CheckName] = Field(
        default=list(CHECKS), min_length=1, description="What every model of the project must pass."
    )
    ruff: Style = Style()
    types: Types = Types()
    unit_tests: UnitTests = UnitTests()
    feature_contract: FeatureContract = FeatureContract()
    lock: Lock = Lock()
    secrets: Secrets = Secrets()
    licences: Licences = Licences()
    timeout: DurationText = Field(default="10m", description="How long a single check may take.")
    sample: Sample = Sample()

    @field_validator("checks")
    @classmethod
    def _once(cls, value: list[CheckName]) -> list[CheckName]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named twice")
        return [name for name in CHECKS if name in value]
