"""When violated windows become an episode: it asks for something once, and ends when things are well again.

An episode of a version begins where, of the last `of` windows that could be judged, `needed` are violated,
the newest among them. It ends where `recover` judged windows in a row keep the bound (the hysteresis), or
where another version serves. Windows without a verdict neither begin nor end anything. Of a version that
replaced one with an open episode, and never was well itself, the episode says so: a training did not help.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlcicd_assets.ml.monitoring.declaration import Violations
from mlcicd_assets.ml.monitoring.signals import CAUSES, Cause, Signal

Ending = Literal["", "recovered", "replaced"]


@dataclass(frozen=True)
class Episode:
    """A stretch of windows in which a version does not do what it must; one request, one alert."""

    cause: Cause
    version: int
    began: str  # key of the window that made it an episode
    violated: tuple[str, ...]  # the windows that made it one, oldest first
    signals: tuple[str, ...]  # which were violated then
    ended: str = ""  # key of the window that ended it
    ending: Ending = ""
    by: int = 0  # the version that replaced it
    unhelped: str = ""  # fingerprint of the episode before, of the version that this one replaced

    @property
    def open(self) -> bool:
        """Whether it still stands."""
        return not self.ending

    def fingerprint(self, model: str) -> str:
        """The same episode is the same request, however often it is looked at."""
        text = f"{model}|{self.cause}|{self.version}|{self.began}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Verdict:
    """One window of one version, for one cause: violated where any of its signals is."""

    window: str
    violated: bool
    signals: tuple[str, ...] = ()


def verdicts(history: Sequence[Signal], cause: Cause, version: int) -> list[Verdict]:
    """The windows that could be judged, oldest first."""
    by_window: dict[str, list[Signal]] = {}
    for signal in history:
        if signal.version == version and CAUSES.get(signal.name) == cause and signal.judged:
            by_window.setdefault(signal.window, []).append(signal)
    found = []
    for window, signals in sorted(by_window.items()):
        bad = tuple(sorted(one.name for one in signals if one.state == "violated"))
        found.append(Verdict(window, bool(bad), bad))
    return found


def advance(
    known: Sequence[Episode],
    history: Sequence[Signal],
    *,
    champion: int,
    cause: Cause,
    rule: Violations,
    recover: int,
    model: str,
) -> list[Episode]:
    """The episodes of a cause after what was seen; those that were known keep their begin.

    `history` holds every kept window. The answer is the same whether windows came one by one or many at once.
    """
    ours = [one for one in known if one.cause == cause]
    closed = [_replaced(one, champion) if one.open and one.version != champion else one for one in ours]
    seen = verdicts(history, cause, champion)
    mine = [one for one in closed if one.version == champion]
    others = [one for one in closed if one.version != champion]
    before = _unhelped(others, champion)
    found = list(mine)
    current = next((one for one in found if one.open), None)
    start = max((one.ended for one in found), default="")
    for place, verdict in enumerate(seen):
        if current is not None and verdict.window > current.began:
            if _recovered(seen[: place + 1], recover, after=current.began):
                found[found.index(current)] = replace(current, ended=verdict.window, ending="recovered")
                current, start = None, verdict.window
        elif current is None and verdict.window > start:
            recent = [one for one in seen[: place + 1] if one.window > start][-rule.of :]
            bad = [one for one in recent if one.violated]
            if verdict.violated and len(bad) >= rule.needed:
                was_well = bool(found) or _ever_well(seen[:place], recover)
                current = Episode(
                    cause,
                    champion,
                    verdict.window,
                    tuple(one.window for one in bad),
                    verdict.signals,
                    unhelped="" if was_well or before is None else before.fingerprint(model),
                )
                found.append(current)
    return [*others, *found]


def _replaced(episode: Episode, by: int) -> Episode:
    return replace(episode, ending="replaced", by=by)


def _unhelped(others: Sequence[Episode], champion: int) -> Episode | None:
    """The last episode that ended because this version took over."""
    return next((one for one in reversed(others) if one.ending == "replaced" and one.by == champion), None)


def _recovered(seen: Sequence[Verdict], recover: int, *, after: str) -> bool:
    later = [one for one in seen if one.window > after]
    return len(later) >= recover and not any(one.violated for one in later[-recover:])


def _ever_well(seen: Sequence[Verdict], recover: int) -> bool:
    run = 0
    for one in seen:
        run = 0 if one.violated else run + 1
        if run >= recover:
            return True
    return False


def silent(history: Sequence[Signal], version: int, name: str) -> int:
    """How many of the newest windows in a row gave a signal no evidence; those that wait do not count."""
    mine = sorted((one for one in history if one.version in {version, 0} and one.name == name), key=_window)
    count = 0
    for one in reversed(mine):
        if one.state == "waiting":
            continue
        if one.judged:
            break
        count += 1
    return count


def _window(signal: Signal) -> str:
    return signal.window


def latest(history: Sequence[Signal], version: int) -> Mapping[str, Signal]:
    """The newest window's signal of each name, that could be judged where there is one."""
    found: dict[str, Signal] = {}
    for one in sorted((one for one in history if one.version in {version, 0}), key=_window):
        found[one.name] = one
    return found
