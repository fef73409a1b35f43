"""What a rollout makes of the answers themselves: whether both versions agree, and who was right.

Counters say how a version serves; these findings say what it predicts. Rows of one request are counted as
independent, as the other tests count requests.
"""

import math

import polars as pl

from mlcicd_assets.release.analysis import ALPHA, Finding, Limits, Outcome, fisher_greater, share_outcome
from mlcicd_assets.release.shadow import Agreement

AGREEMENT = "agreement"
LABELLED = "labelled_error"


def agreement_finding(found: Agreement, limits: Limits) -> Finding:
    """Whether a shadow gives the champion's labels: it fails where more differ than the limit explains.

    By the exact binomial test. Without a limit it only tells; of numbers, how far they are apart.
    """
    limit, rate = limits.agreement, found.rate
    outcome: Outcome = "passed"
    if limit is not None:
        enough = found.joined >= limits.minimum_requests
        hits = found.joined - (found.agreed or 0)
        outcome = share_outcome(hits, found.joined, 1 - limit) if found.agreed is not None else "inconclusive"
        if outcome == "passed" and not enough:
            outcome = "inconclusive"
    return Finding(
        name=AGREEMENT,
        outcome=outcome,
        value=rate,
        bound="only told" if limit is None else f">= {limit:g}",
        requests=found.joined,
        message=_told_agreement(found, limits),
    )


def _told_agreement(found: Agreement, limits: Limits) -> str:
    apart = ""
    if found.max_difference is not None and found.mean_difference is not None:
        apart = (
            f"; scores differ by {found.mean_difference:+.3g} on average, {found.max_difference:.3g} at most"
        )
    lonely = ""
    if found.only_first or found.only_second:
        lonely = f"; {found.only_first} rows only of the champion, {found.only_second} only of the shadow"
    if not found.joined:
        return f"no row that both answered, {limits.minimum_requests} are needed{lonely}"
    same = f"{found.agreed} of {found.joined} rows" if found.agreed is not None else f"{found.joined} rows"
    word = "have the champion's label" if found.agreed is not None else "joined"
    return f"{same} {word}{apart}{lonely}"


def labelled_finding(mine: pl.DataFrame, theirs: pl.DataFrame, limits: Limits) -> Finding:
    """Whether the new version is wrong more often than the champion, over rows with the column `loss`.

    A loss of 0 or 1 (a wrong label) is compared by Fisher's exact test, other losses (absolute errors) by
    Welch's test on their means, both one-sided. Few rows are no reason to wait, unless labels are required.
    """
    rows, reference_rows = mine.height, theirs.height
    enough = min(rows, reference_rows) >= limits.minimum_labelled
    value, reference = _mean(mine), _mean(theirs)
    chance = _chance(mine["loss"], theirs["loss"])
    outcome: Outcome = "failed" if chance < ALPHA else "passed"
    if outcome == "passed" and limits.labelled_required and not enough:
        outcome = "inconclusive"
    return Finding(
        name=LABELLED,
        outcome=outcome,
        value=value,
        bound=f"not above the champion's (p >= {ALPHA:g})",
        reference=reference,
        requests=rows,
        message=_told_labelled(mine, theirs, chance, limits),
    )


def _told_labelled(mine: pl.DataFrame, theirs: pl.DataFrame, chance: float, limits: Limits) -> str:
    need = f", {limits.minimum_labelled} of each are required" if limits.labelled_required else ""
    if not mine.height and not theirs.height:
        return f"no labels yet of what was asked in this step{need}"
    mean, reference = _mean(mine), _mean(theirs)
    told = "–" if mean is None else f"{mean:.3g}"
    against = "–" if reference is None else f"{reference:.3g}"
    return (
        f"mean error {told} on {mine.height} labelled rows, the champion's {against} on {theirs.height} "
        f"(p = {chance:.2g}){need}"
    )


def _mean(rows: pl.DataFrame) -> float | None:
    mean = rows["loss"].mean()
    return float(mean) if isinstance(mean, int | float) else None


def _chance(mine: pl.Series, theirs: pl.Series) -> float:
    """How probable a mean loss as much above the other's is where both are the same."""
    if mine.is_empty() or theirs.is_empty():
        return 1.0
    if mine.is_in([0.0, 1.0]).all() and theirs.is_in([0.0, 1.0]).all():
        return fisher_greater(int(mine.sum()), len(mine), int(theirs.sum()), len(theirs))
    return _welch(mine, theirs)


def _welch(mine: pl.Series, theirs: pl.Series) -> float:
    # The normal approximation: below thirty rows its tails are too thin to take a version back for.
    if min(len(mine), len(theirs)) < 30:
        return 1.0
    spread = math.sqrt(_variance(mine) / len(mine) + _variance(theirs) / len(theirs))
    difference = float(mine.mean() or 0.0) - float(theirs.mean() or 0.0)  # type: ignore[arg-type]
    if spread == 0:
        return 0.0 if difference > 0 else 1.0
    return 0.5 * math.erfc(difference / spread / math.sqrt(2))


def _variance(values: pl.Series) -> float:
    found = values.var()
    return float(found) if isinstance(found, int | float) else 0.0
