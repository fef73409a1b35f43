"""Paired, stratified bootstrap of rank metrics and mean losses, vectorised over rows and resamples.

Each row gets a Poisson(1) count for each resample, the same for both models (paired), and counts are scaled
so that every class keeps its number of rows (stratified). Hanley and MacGibbon, "Creating non-parametric
bootstrap samples using Poisson frequencies" (2006); Chamandy et al., "Estimating uncertainty for massive data
streams" (2012). Scores are sorted once; a resample is a cumulative sum of counts in that order.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np

# Counts of one block: small enough for the cache, large enough that Python's share is small.
_BLOCK = 1 << 19


class Statistic(Protocol):
    """Something that resamples are measured by."""

    def draw(self, counts: np.ndarray) -> np.ndarray:
        """Values [values, block] for counts [block, rows]."""
        ...


def bootstrap(statistics: Sequence[Statistic], *, rows: int, resamples: int, seed: int) -> list[np.ndarray]:
    """Values [values, resamples] of each statistic, all of them on the same resamples."""
    with _one_thread(rows):
        blocks = [
            [statistic.draw(counts) for statistic in statistics]
            for counts in poisson_blocks(rows=rows, resamples=resamples, seed=seed)
        ]
    return [np.concatenate(drawn, axis=1) for drawn in zip(*blocks, strict=True)]


def _one_thread(rows: int) -> AbstractContextManager[object]:
    """Products of a block and a few columns: more threads only wait for each other."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    large: AbstractContextManager[object] = threadpool_limits(1) if rows > _BLOCK // 32 else nullcontext()
    return large


def poisson_blocks(*, rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Poisson(1) counts [block, rows] (uint8), all blocks together `resamples` long."""
    # By comparing 16 random bits: ten times faster than Generator.poisson; probabilities are kept to 1e-5.
    random = np.random.SFC64(seed)
    probabilities = [math.exp(-1.0) / math.factorial(count) for count in range(8)]
    limits = np.round(np.cumsum(probabilities) * (1 << 16)).astype(np.uint16)
    size = max(1, _BLOCK // max(rows, 1))
    for start in range(0, resamples, size):
        block = min(size, resamples - start)
        bits = random.random_raw(-(-block * rows // 4)).view(np.uint16)[: block * rows].reshape(block, rows)
        counts = (bits >= limits[0]).view(np.uint8)
        for limit in limits[1:]:
            counts += (bits >= limit).view(np.uint8)
        yield counts


class Means:
    """Means of the columns of `losses` [rows, columns]; each class keeps its number of rows."""

    def __init__(self, losses: np.ndarray, classes: np.ndarray) -> None:
        self._order = np.argsort(classes, kind="stable")
        self._sorted = bool((self._order[1:] > self._order[:-1]).all())
        ends = np.cumsum(np.unique(classes, return_counts=True)[1])
        self._parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self._rows = len(classes)
        # Centred, so that single precision loses nothing of what varies; the last row sums the counts.
        self._centre = losses.mean(axis=0)
        table = np.column_stack([losses - self._centre, np.ones(len(classes))])[self._order]
        self._tables = [np.ascontiguousarray(table[part].T, dtype=np.float32) for part in self._parts]

    def draw(self, counts: np.ndarray) -> np.ndarray:
        """The means [columns, block]."""
        if not self._sorted:
            counts = counts.take(self._order, axis=1)
        weights = counts.astype(np.float32)
        mean = np.zeros((len(weights), len(self._centre)))
        for part, table in zip(self._parts, self._tables, strict=True):
            # A product for each resample: as one product of thin matrices it takes four times as long.
            sums = np.stack([table @ row for row in weights[:, part]])
            sums[sums[:, -1] == 0] = table.sum(axis=1)  # a small class of which nothing was drawn: all of it
            mean += sums[:, :-1] / sums[:, -1:] * (table.shape[1] / self._rows)
        means: np.ndarray = (mean + self._centre).T
        return means


class Ranked:
    """Average precision of one model's `scores`, and its recall at each share of alerts.

    Ties share one threshold, as in scikit-learn; a tie at the border of the alerts counts by the chance of
    being picked. Positives and negatives each keep their number.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray, shares: Sequence[float]) -> None:
        """`positive` is boolean, [rows]."""
        order = np.argsort(-scores, kind="stable")
        ranked, label = scores[order], positive[order]
        self._all, self._positives = _Leading(order), _Leading(order[label])
        self._ones, self._rows = int(label.sum()), len(scores)
        # The number of rows, and of positives among them, down to the end of each tie.
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
        below = np.append(0, np.cumsum(label))[ends]
        holds = np.diff(below, prepend=0) > 0
        self._alerts = [math.ceil(share * len(scores)) for share in shares]
        wanted = [(ends[-1:], below[-1:]), (ends[holds], below[holds])]
        wanted += [_near(ends, below, alerts) for alerts in self._alerts]
        self._wanted = [(self._all.places(far), self._positives.places(near)) for far, near in wanted]

    def draw(self, counts: np.ndarray) -> np.ndarray:
        """Average precision, then each recall, [1 + shares, block]."""
        every, right = self._all.sums(counts), self._positives.sums(counts)
        found = [(right(near), every(far)) for far, near in self._wanted]
        (ones, rows), *parts = found
        up = self._ones / np.maximum(ones, 1)
        down = (self._rows - self._ones) / np.maximum(rows - ones, 1)
        scaled = [(right * up, right * up + (every - right) * down) for right, every in parts]
        recalls = [_right_among(*one, alerts) for one, alerts in zip(scaled[1:], self._alerts, strict=True)]
        return np.stack([_precision(*scaled[0]), *recalls]) / self._ones


Places = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Leading:
    """Sums of the first counts in an order: for the few lengths that matter, without all the others.

    The order is cut into pieces that lie beside each other, so that a cumulative sum inside all pieces is a
    few additions of vectors; `cumsum` goes number by number, which takes most of the time otherwise.
    """

    _PIECE = 32

    def __init__(self, order: np.ndarray) -> None:
        self._pieces = -(-len(order) // self._PIECE)
        padded = np.append(order, np.zeros(self._pieces * self._PIECE - len(order), dtype=order.dtype))
        self._layout = np.ascontiguousarray(padded.reshape(self._pieces, self._PIECE).T).ravel()

    def places(self, lengths: np.ndarray) -> Places:
        """Where the sums of so many leading counts are found."""
        piece, place = np.divmod(np.maximum(lengths, 1) - 1, self._PIECE)
        return place * self._pieces + piece, piece, np.flatnonzero(lengths == 0)

    def sums(self, counts: np.ndarray) -> Callable[[Places], np.ndarray]:
        """A function from places to the sums, [block, places]."""
        flat = counts.take(self._layout, axis=1).astype(np.uint16)  # a count is below 10
        table = flat.reshape(len(counts), self._PIECE, self._pieces)
        for place in range(1, self._PIECE):
            table[:, place] += table[:, place - 1]
        before = np.zeros((len(counts), self._pieces + 1), dtype=np.int32)
        np.cumsum(table[:, -1], axis=1, dtype=np.int32, out=before[:, 1:])

        def leading(places: Places) -> np.ndarray:
            inside, piece, nothing = places
            total: np.ndarray = before.take(piece, axis=1) + flat.take(inside, axis=1)
            total[:, nothing] = 0
            return total

        return leading


def _near(ends: np.ndarray, below: np.ndarray, alerts: int) -> tuple[np.ndarray, np.ndarray]:
    """The ties among which the border of so many alerts lies, in all but one of 10^14 resamples."""
    room = 8 * math.sqrt(alerts) + 20
    first, last = np.searchsorted(ends, [alerts - room, alerts + room])
    # Before the first tie lies a border too: nothing alerted.
    part = slice(max(int(first) - 1, 0), int(last) + 2)
    return np.append(0, ends)[part], np.append(0, below)[part]


def _precision(right: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    """The precision at each step, times the positives of the step, summed."""
    steps = np.diff(right, axis=1, prepend=0.0)
    total: np.ndarray = np.einsum("ij,ij->i", steps, right / np.maximum(alarms, 1e-12))
    return total


def _right_among(right: np.ndarray, alarms: np.ndarray, alerts: int) -> np.ndarray:
    """Positives among so many alerts."""
    block = np.arange(len(alarms))
    at = np.clip((alarms < alerts).sum(axis=1), 1, alarms.shape[1] - 1)
    reached, before = alarms[block, at], alarms[block, at - 1]
    found, had = right[block, at], right[block, at - 1]
    chance = np.clip((alerts - before) / np.maximum(reached - before, 1e-12), 0.0, 1.0)
    picked: np.ndarray = had + chance * (found - had)
    return picked
