"""A lake, records and keys in memory, small enough to read."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import polars as pl

from resources.content import canonical, content_hash
from resources.protocols import Approver, Materialization, ResourceError, TableVersion


class MemoryLake:
    """Tables as frames by partition, one state per version."""

    def __init__(self) -> None:
        self.states: dict[str, list[dict[str | None, tuple[TableVersion, pl.DataFrame]]]] = {}

    def write(self, table: str, frame: pl.DataFrame, *, partition: str | None = None) -> TableVersion:
        rows = canonical(frame)
        content = content_hash(rows)
        history = self.states.setdefault(table, [])
        before = history[-1] if history else {}
        if partition in before and before[partition][0].content == content:
            return before[partition][0]
        written = TableVersion(table, partition, len(history), content, rows.height)
        kept: dict[str | None, tuple[TableVersion, pl.DataFrame]] = {
            key: held for key, held in before.items() if key is not None and partition is not None
        }
        history.append({**kept, partition: (written, rows)})
        return written

    def scan(
        self, table: str, *, partitions: Sequence[str] | None = None, version: int | None = None
    ) -> pl.LazyFrame:
        history = self.states.get(table, [])
        if not history:
            raise ResourceError(f"{table} does not exist: materialize it first")
        if version is not None and version >= len(history):
            raise ResourceError(f"{table} cannot be read at version {version}")
        state = history[-1 if version is None else version]
        for key in partitions or []:
            if key not in state:
                at = "" if version is None else f" at version {version}"
                raise ResourceError(f"{table} has no partition {key}{at}: materialize it first")
        chosen = [state[key][1] for key in sorted(state if partitions is None else partitions, key=str)]
        return pl.concat(chosen, how="diagonal_relaxed").lazy()

    def versions(self, table: str) -> dict[str | None, TableVersion]:
        history = self.states.get(table, [])
        return {key: held[0] for key, held in history[-1].items()} if history else {}

    def vacuum(
        self, table: str, *, older_than: timedelta, keep: Collection[int] = (), dry_run: bool = True
    ) -> list[str]:
        """States have no age here: all that is not kept goes, when nothing may be young."""
        history = self.states.get(table, [])
        gone = [
            number
            for number in range(len(history) - 1)
            if number not in keep and history[number] and not older_than
        ]
        if not dry_run:
            for number in gone:
                history[number] = {}
        return [f"{table}@{number}" for number in gone]

    def table_version(self, table: str) -> int:
        if not self.states.get(table):
            raise ResourceError(f"{table} does not exist: materialize it first")
        return len(self.states[table]) - 1


class MemoryRecords:
    """The newest record of each asset and partition."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str | None], Materialization] = {}

    def write(self, record: Materialization) -> None:
        self._records[record.asset, record.partition] = record

    def all(self) -> list[Materialization]:
        return list(self._records.values())


class GivenKeys:
    """One key pair of the pipeline; people's in `people` (who is trusted) and `private` (by name)."""

    def __init__(self, private: bytes, *trusted: bytes) -> None:
        self._private = private
        self._trusted = trusted
        self.people: list[Approver] = []
        self.private: dict[str, bytes] = {}

    def private_key(self) -> bytes:
        return self._private

    def trusted_keys(self) -> Sequence[bytes]:
        return self._trusted

    def approvers(self) -> Sequence[Approver]:
        return self.people

    def approver_key(self, name: str) -> bytes | None:
        return self.private.get(name)
