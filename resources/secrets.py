"""Secrets by reference: `env:NAME` or `file:PATH`. Read when used, never printed, redacted from then on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resources.protocols import ResourceError
from resources.redaction import know


@dataclass(frozen=True)
class Secret:
    """Where a secret is; `reveal` reads it. Its text is the reference, never the value."""

    reference: str
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, compare=False)

    def __str__(self) -> str:
        return self.reference

    def reveal(self) -> str:
        """The value; raises ResourceError naming the variable or file that is missing or empty."""
        kind, _, place = self.reference.partition(":")
        value = self._of_file(place) if kind == "file" else self.environment.get(place, "")
        if not value.strip():
            raise ResourceError(f"the secret {self.reference} is not set: {_REMEDIES[kind].format(place)}")
        return know(value.strip())

    def _of_file(self, place: str) -> str:
        try:
            return Path(place).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ResourceError(f"the secret {self.reference} cannot be read ({reason})") from None


_REMEDIES = {"env": "set the environment variable {}", "file": "write it to {}"}


def is_reference(text: str) -> bool:
    """Whether a text says where a secret is, instead of being one."""
    kind, _, place = text.partition(":")
    return kind in _REMEDIES and bool(place.strip())
