"""What is told: one line per event, with the day in the play; and each event for the picture."""

import time
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal["data", "serving", "drift", "alarm", "training", "person", "release", "poison", "blocked"]
_STYLES: dict[Kind, str] = {
    "data": "dim",
    "serving": "",
    "drift": "yellow",
    "alarm": "bold yellow",
    "training": "cyan",
    "person": "magenta",
    "release": "bold green",
    "poison": "yellow",
    "blocked": "bold red",
}


@dataclass(frozen=True)
class Mark:
    """An event that the picture shows."""

    day: date
    label: str
    kind: Kind


@dataclass
class Story:
    """Tells events as they happen; nothing is told that was not seen."""

    out: "Console"
    day: date = date.min  # of the play
    marks: list[Mark] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)  # that happened
    _began: float = field(default_factory=time.monotonic)

    def tell(self, kind: Kind, text: str, mark: str = "") -> None:
        """One event; with a mark it is in the picture too."""
        if mark:
            self.marks.append(Mark(self.day, mark, kind))
        line = f"{self.seconds:4.0f} s  {self.day:%a %Y-%m-%d}  {kind:<8}  {text}"
        self.out.print(line, style=_STYLES[kind], markup=False, soft_wrap=True)

    def act(self, title: str) -> None:
        """An act begins."""
        self.out.print()
        self.out.print(title, style="bold", markup=False, soft_wrap=True)

    def happened(self, act: str) -> None:
        """An act came to its end as it should."""
        self.acts.append(act)

    @property
    def seconds(self) -> float:
        """Since the play began."""
        return time.monotonic() - self._began
