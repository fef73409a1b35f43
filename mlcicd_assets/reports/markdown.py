"""Markdown of others' texts: nothing in them becomes HTML, a cell, or a line of its own."""

import re
from collections.abc import Iterable, Sequence

# What starts markup within a line, in CommonMark and GitHub's tables; an underscore within a word does not.
_MARKUP = re.compile(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))")
# What starts a tag or an entity, in CommonMark as in HTML: "a<b" does, "a < 3" does not.
_TAG, _ENTITY = re.compile(r"<(?=[A-Za-z/!?])"), re.compile(r"&(?=#?\w+;)")


def prose(text: str) -> str:
    """What a person has declared, on one line: emphasis and links stay, HTML does not."""
    return " ".join(_TAG.sub("&lt;", _ENTITY.sub("&amp;", text)).split())


def literal(text: object) -> str:
    """What comes from data or errors, on one line, exactly as it is: nothing of it is markup."""
    return _MARKUP.sub(r"\\\1", prose(str(text)))


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table of literal cells; says so where there are no rows."""
    lines = [_row(literal(value) for value in row) for row in rows]
    if not lines:
        return "None."
    return "\n".join([_row(literal(name) for name in columns), _row("---" for _ in columns), *lines])


def bullets(lines: Iterable[str]) -> str:
    """A list; what is empty is left out."""
    return "\n".join(f"- {text}" for text in lines if text)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
