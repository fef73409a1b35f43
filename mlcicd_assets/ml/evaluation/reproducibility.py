"""Whether the same training gives the same model: the package made again, file by file and row by row."""

from collections.abc import Mapping

import numpy as np

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.evaluation.evidence import Evidence

GATE = "reproducible"


class ReproductionError(ValueError):
    """A version that cannot be trained again; says what is gone and where to get it."""


class Repeated(Evidence):
    """A training done again from its recorded inputs.

    `difference` is the largest absolute difference of a score (a probability, or a regressor's value in its
    own unit) on the holdout: 0.0 where the digest is the same, None where the scores could not be compared.
    """

    digest: str
    again: str
    rows: int  # on which both were scored
    trained_on: int  # rows of each training; fewer than the window's where a sample was declared
    sampled: bool
    difference: float | None
    tolerance: float
    files: list[str] = []  # of the package, whose bytes differ
    metrics: dict[str, tuple[float | None, float | None]] = {}  # first and second training, where they differ
    seconds: float = 0.0
    problem: str = ""

    @property
    def exact(self) -> bool:
        """Whether the packages are the same, byte for byte."""
        return self.digest == self.again

    @property
    def passed(self) -> bool:
        """The same digest, or scores within a tolerance that was declared."""
        near = self.difference is not None and 0 < self.tolerance >= self.difference
        return not self.problem and (self.exact or near)

    @property
    def conclusion(self) -> str:
        """The result in one sentence."""
        if self.problem:
            return f"the two trainings could not be compared: {self.problem}"
        if self.exact:
            return f"the same package, byte for byte ({self.digest[:12]})"
        allowed = f"{self.tolerance:g} is allowed" if self.tolerance else "no tolerance is declared"
        return (
            f"another package ({self.again[:12]} instead of {self.digest[:12]}): scores differ by "
            f"{self.difference:.3g} at most on {self.rows} rows, and {allowed}"
        )


def compare(
    first: Package,
    second: Package,
    scores: tuple[np.ndarray, np.ndarray],
    *,
    trained_on: int,
    sampled: bool,
    tolerance: float,
    metrics: tuple[Mapping[str, float | None], Mapping[str, float | None]] = ({}, {}),
    seconds: float = 0.0,
) -> Repeated:
    """Compare two packages of one training, and their scores of the same rows ([n] or [n, classes])."""
    before, after = (np.asarray(found, dtype=np.float64) for found in scores)
    problem = ""
    difference: float | None = None
    if before.shape != after.shape:
        problem = f"the second training gave scores of shape {after.shape}, the first of {before.shape}"
    elif not (np.isfinite(before).all() and np.isfinite(after).all()):
        problem = "a score is no number"
    else:
        difference = float(np.abs(before - after).max(initial=0.0))
    return Repeated(
        digest=first.digest,
        again=second.digest,
        rows=len(before),
        trained_on=trained_on,
        sampled=sampled,
        difference=difference,
        tolerance=tolerance,
        files=differing_files(first, second),
        metrics={
            name: (value, metrics[1].get(name))
            for name, value in metrics[0].items()
            if value != metrics[1].get(name)
        },
        seconds=seconds,
        problem=problem,
    )


def differing_files(first: Package, second: Package) -> list[str]:
    """Names of files that differ, or that one of them has not."""
    names = sorted({*first.files, *second.files})
    return [name for name in names if first.files.get(name) != second.files.get(name)]
