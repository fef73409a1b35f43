"""What champion and shadow said to the same requests: rows of the prediction log, joined."""

from dataclasses import dataclass

import polars as pl

_ROW = ["request_id", "row"]


@dataclass(frozen=True)
class Agreement:
    """Two versions' answers to the same records."""

    joined: int  # predicted rows that both recorded
    agreed: int | None  # of those, with the same label; None where there are no labels (regression)
    max_difference: float | None  # largest absolute difference of the scores; None without rows
    mean_difference: float | None  # of the second's score from the first's
    only_first: int  # rows that the second did not record: it failed, or its log is behind
    only_second: int

    @property
    def rate(self) -> float | None:
        """The share of joined rows with the same label; None without rows or labels."""
        return self.agreed / self.joined if self.joined and self.agreed is not None else None


def agreement(first: pl.DataFrame, second: pl.DataFrame) -> Agreement:
    """Join two versions' rows (request_id, row, score, label) by request; a repeated one counts once.

    A request that was asked twice (retried, hedged) is in the log twice: its last answer counts.
    """
    kept = [rows.unique(_ROW, keep="last", maintain_order=True) for rows in (first, second)]
    both = kept[0].join(kept[1], on=_ROW, how="inner", suffix="_second")
    difference = both["score_second"] - both["score"]
    labelled = both.height and both["label"].null_count() == 0
    return Agreement(
        joined=both.height,
        agreed=int((both["label"] == both["label_second"]).sum()) if labelled else None,
        max_difference=float(difference.abs().max()) if both.height else None,  # type: ignore[arg-type]
        mean_difference=float(difference.mean()) if both.height else None,  # type: ignore[arg-type]
        only_first=kept[0].height - both.height,
        only_second=kept[1].height - both.height,
    )


def distribution(rows: pl.DataFrame, bins: int = 20) -> dict[str, int]:
    """Rows by bin of a score between 0 and 1, by the bin's upper bound; those without rows are left out."""
    places = (rows["score"].clip(0, 1) * bins).floor().clip(0, bins - 1)
    counted = places.cast(pl.Int64).value_counts().sort("score")
    return {f"{(place + 1) / bins:.2f}": count for place, count in counted.iter_rows()}
