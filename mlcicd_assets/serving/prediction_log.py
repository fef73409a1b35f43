"""Writes down what a server predicts, off the request path and bounded in memory.

A request leaves its records and scores in a buffer; a thread writes them as Parquet every `flush_s`, and at
the end. What finds the buffer full, or cannot be written, is dropped and counted: serving goes on.
"""

import hashlib
import hmac
import logging
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from prometheus_client import Counter

from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.ml.prediction_logging import extra_keys, recorded_columns
from mlcicd_assets.serving import log_files
from mlcicd_assets.serving.log_files import LogFile

Role = Literal["live", "shadow"]

LOGGED = Counter("prediction_log_rows", "Predicted rows that are on disk.")
DROPPED = Counter("prediction_log_dropped_rows", "Predicted rows that were lost.", ["reason"])
EXPIRED = Counter("prediction_log_expired_files", "Files that were deleted by the declared limits.")
_MERGE = 60  # flushes that are put into one file
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One answered request."""

    request_id: str  # the proxy's: the same for the copy that a shadow got
    client_id: str | None  # the client's own `id`, where it gave one
    role: Role
    at: float  # seconds since the epoch
    seconds: float  # that scoring took
    records: pl.DataFrame
    predictions: Predictions


class PredictionLog:
    """The log of one process; `settings` as `ml.prediction_logging` makes them, `inputs` of the model.

    Raises ValueError when columns are to be hashed and there is no key, or when they are no inputs.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        key: bytes | None,
        inputs: Sequence[str],
        **about: Any,
    ) -> None:
        self._columns = recorded_columns(settings, inputs)
        self.keys = extra_keys(settings, inputs)  # that a request may carry beside the inputs
        if any(self._columns.values()) and not key:
            raise ValueError("columns are declared to be hashed, and there is no key to hash them with")
        self.folder = folder
        self._key, self._about = key or b"", about  # environment, model, version
        self._below = int(settings["sample"] * 2**32)
        self._room = int(settings["buffer"])
        self._flush_s, self._keep_s = float(settings["flush_s"]), float(settings["keep_s"])
        self._max_bytes = int(settings["max_bytes"])
        self._process = f"{time.time_ns():020d}.{os.getpid()}"
        self._entries: list[Entry] = []
        self._rows, self._flushes = 0, 0
        self._unmerged: list[LogFile] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left and end."""
        self._over.set()
        self._thread.join()

    def record(self, entry: Entry) -> None:
        """Keep an answered request for the next flush; never blocks and never fails."""
        # By the id: champion and shadow record the same requests.
        if zlib.crc32(entry.request_id.encode()) >= self._below:
            return
        rows = entry.records.height
        with self._lock:
            fits = self._rows + rows <= self._room
            if fits:
                self._entries.append(entry)
                self._rows += rows
        if not fits:
            DROPPED.labels("buffer full").inc(rows)

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._over.wait(self._flush_s)
            self.flush()

    def flush(self) -> None:
        """Write what was recorded since; what cannot be written is counted, and told once."""
        with self._lock:
            entries, rows = self._entries, self._rows
            self._entries, self._rows = [], 0
        if not entries:
            return
        try:
            self._unmerged.append(self._write(entries))
        except Exception as error:  # noqa: BLE001  the thread must outlive whatever one flush meets
            DROPPED.labels("not written").inc(rows)
            self._tell(error)
            return
        LOGGED.inc(rows)
        self._failing = False
        try:
            self._keep_house()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._failing:
            _log.warning("predictions are not recorded: %s: %s", self.folder, error)
        self._failing = True

    def _write(self, entries: list[Entry]) -> LogFile:
        self._flushes += 1
        return log_files.write(self.folder, self._process, self._flushes, self._flushes, self._frame(entries))

    def _keep_house(self) -> None:
        if len(self._unmerged) >= _MERGE:
            parts, self._unmerged = self._unmerged, []
            log_files.merge(self.folder, [part for part in parts if part.path.exists()])
            EXPIRED.inc(log_files.expire(self.folder, keep_s=self._keep_s, max_bytes=self._max_bytes))

    # -- rows -----------------------------------------------------------------------------------------

    def _frame(self, entries: list[Entry]) -> pl.DataFrame:
        rows = np.array([entry.records.height for entry in entries])
        many = [_scores(entry.predictions) for entry in entries]
        frame = pl.DataFrame(
            {
                "request_id": np.repeat([entry.request_id for entry in entries], rows),
                "client_id": pl.Series(
                    [entry.client_id for entry in entries for _ in range(entry.records.height)],
                    dtype=pl.String,
                ),
                "row": np.concatenate([np.arange(count, dtype=np.int32) for count in rows]),
                "at": np.repeat([int(entry.at * 1e6) for entry in entries], rows),
                "role": np.repeat([entry.role for entry in entries], rows),
                "latency_ms": np.repeat([entry.seconds * 1e3 for entry in entries], rows).astype(np.float32),
                "score": np.concatenate([scores for scores, _ in many]),
                "label": pl.Series([label for _, labels in many for label in labels], dtype=pl.String),
            }
        )
        about = [
            pl.lit(value, dtype=pl.Int32 if isinstance(value, int) else pl.String).alias(name)
            for name, value in self._about.items()
        ]
        frame = frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")), *about)
        return frame.with_columns(self._inputs(entries)) if self._columns else frame

    def _inputs(self, entries: list[Entry]) -> pl.Series:
        records = pl.concat([entry.records for entry in entries], rechunk=True).select(list(self._columns))
        hashed = [name for name, is_hashed in self._columns.items() if is_hashed]
        records = records.with_columns(
            pl.Series(name, [self._pseudonym(name, value) for value in records[name]], dtype=pl.String)
            for name in hashed
        )
        return records.to_struct("inputs")

    def _pseudonym(self, column: str, value: Any) -> str | None:
        # Keyed: without the key, nobody can try all telephone numbers until one has this hash.
        if value is None:
            return None
        return hmac.new(self._key, f"{column}\0{value}".encode(), hashlib.sha256).hexdigest()[:32]


def _scores(predictions: Predictions) -> tuple[np.ndarray, list[str | None]]:
    """One number per row (of a classifier: of class 1 where there are two, else of the predicted one)."""
    if predictions.classes is None:
        return predictions.values.astype(np.float64), [None] * len(predictions.values)
    probabilities = predictions.probabilities
    two = probabilities.shape[1] == 2
    scores = probabilities[:, 1] if two else probabilities.max(axis=1)
    return scores.astype(np.float64), [str(label) for label in predictions.labels.tolist()]
