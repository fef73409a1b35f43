"""Development, staging, production, archived: where each version stands, read from the ledger alone.

MLflow's aliases and tags mirror this. An alias that stands elsewhere is either behind (a run was killed
between the ledger's line and the mirror) or was moved by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlcicd_assets.release.history import (
    ALIAS_MOVED,
    PROMOTED,
    REGISTERED,
    REJECTED,
    ROLLED_BACK,
    STAGED,
    Line,
)
from mlcicd_assets.release.run_files import champion_pointer

CHAMPION, PREVIOUS, STAGING, CHALLENGER = "champion", "previous", "staging", "challenger"
ALIASES = (CHAMPION, PREVIOUS, STAGING, CHALLENGER)

Stage = Literal["development", "staging", "production", "archived"]


@dataclass(frozen=True)
class Standing:
    """Who stands where, by version."""

    champion: int | None = None
    previous: int | None = None  # what a rollback returns to
    staging: int | None = None
    challenger: int | None = None
    served: tuple[int, ...] = ()  # every version that ever was champion
    ended: tuple[int, ...] = ()  # rejected by a person, or rolled back

    def of(self, alias: str) -> int | None:
        """The version that an alias belongs to."""
        found: int | None = getattr(self, alias)
        return found

    def stage(self, version: int) -> Stage:
        """Where a version is on its way."""
        if version == self.champion:
            return "production"
        if version == self.staging:
            return "staging"
        over = version in self.served or version in self.ended
        return "archived" if over else "development"


def standing(lines: Iterable[Line], model: str) -> Standing:
    """Follow a model's history, oldest line first."""
    found = _History(model)
    for line in lines:
        found.follow(line)
    return found.standing()


class _History:
    """What one model's lines say, taken in one after the other."""

    def __init__(self, model: str) -> None:
        self._pointer = champion_pointer(model)
        self._champions: list[int] = []  # in the order in which a rollback goes back
        self._served: list[int] = []
        self._ended: list[int] = []
        self._staging: int | None = None
        self._challenger: int | None = None

    def follow(self, line: Line) -> None:
        if (line.details.get("pointer") or {}).get("name") == self._pointer:
            self._move(line)
        elif line.version is None:
            return
        elif line.action == REGISTERED:
            # Trained anew to the very same bytes, the champion is nobody's challenger.
            self._challenger = None if self._champions[-1:] == [line.version] else line.version
            self._ended = [version for version in self._ended if version != line.version]
        elif line.action == STAGED:
            self._staging = None if self._champions[-1:] == [line.version] else line.version
        elif line.action in {REJECTED, ROLLED_BACK}:
            self._end(line.version)

    def _move(self, line: Line) -> None:
        before = self._champions[-1] if self._champions else None
        to = line.details["pointer"]["to"]
        if to is None:
            return
        version = int(to)
        if line.action != PROMOTED and version in self._champions:
            # A rollback: what was above it is never gone back to.
            del self._champions[self._champions.index(version) + 1 :]
            if before is not None and before != version:
                self._end(before)
        else:
            self._champions = [*(one for one in self._champions if one != version), version]
        self._served.append(version)
        self._ended = [one for one in self._ended if one != version]
        if self._challenger == version:
            self._challenger = None
        if self._staging == version:
            self._staging = None

    def _end(self, version: int) -> None:
        if version not in self._ended:
            self._ended.append(version)
        if self._challenger == version:
            self._challenger = None
        if self._staging == version:
            self._staging = None

    def standing(self) -> Standing:
        champions = self._champions
        return Standing(
            champion=champions[-1] if champions else None,
            previous=champions[-2] if len(champions) > 1 else None,
            staging=self._staging,
            challenger=self._challenger,
            served=tuple(dict.fromkeys(self._served)),
            ended=tuple(self._ended),
        )


@dataclass(frozen=True)
class Deviation:
    """An alias that does not stand where the ledger says."""

    model: str
    alias: str
    expected: int | None
    found: int | None
    by_hand: bool  # the mirror did not put it there; else a run was killed before it did

    def __str__(self) -> str:
        why = "was moved by hand" if self.by_hand else "is behind the ledger"
        return (
            f"{self.model}: the alias {self.alias!r} {why}: it stands on {_named(self.found)}, "
            f"the ledger says {_named(self.expected)}"
        )


def mirrored(lines: Iterable[Line]) -> dict[str, int | None]:
    """Where each alias was last put by the mirror, as it wrote down."""
    return {line.details["alias"]: line.details["to"] for line in lines if line.action == ALIAS_MOVED}


def deviations(lines: Sequence[Line], model: str, aliases: Mapping[str, int]) -> list[Deviation]:
    """Compare the registry's aliases (alias -> version) with the ledger.

    An alias is behind where the mirror last put it; anywhere else somebody moved it by hand.
    """
    now, put = standing(lines, model), mirrored(lines)
    return [
        Deviation(model, alias, now.of(alias), aliases.get(alias), aliases.get(alias) != put.get(alias))
        for alias in ALIASES
        if aliases.get(alias) != now.of(alias)
    ]


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
