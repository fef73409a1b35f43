"""Patterns of paths and branches: `*` within one folder, `**` over any number, `!` takes back."""

import re
from collections.abc import Sequence
from functools import lru_cache


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether the last pattern that fits is one that does not begin with '!'."""
    chosen = False
    for pattern in patterns:
        back = pattern.startswith("!")
        if chosen == back and _expression(pattern.removeprefix("!")).fullmatch(name):
            chosen = not back
    return chosen


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    """`docs/` stands for everything below it, as `docs/**` does."""
    text = f"{pattern}**" if pattern.endswith("/") else pattern
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text.removeprefix("/"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part) or re.escape(part) for part in parts), re.DOTALL)
