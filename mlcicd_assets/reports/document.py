"""A report as plain parts, and its three forms: GitHub's Markdown within its limit, a page, and JSON.

The same parts in the same order give the same text: a comment that is updated shows what changed.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlcicd_assets.reports.markdown import bullets, literal, table

# GitHub refuses a comment of more characters than this.
GITHUB_LIMIT = 65_536
_LONGEST_CELL = 300


@dataclass(frozen=True)
class Text:
    """A paragraph, literal."""

    text: str


@dataclass(frozen=True)
class Lines:
    """A list, literal."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """A link that is shown on a line of its own; what is no web address is shown as text."""

    text: str
    address: str


@dataclass(frozen=True)
class Table:
    """Columns and rows of literal cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Text | Lines | Link | Table


@dataclass(frozen=True)
class Details:
    """What is folded away, and left out first where there is no room."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A heading, what must be read, and what may be."""

    title: str
    blocks: tuple[Block, ...]
    details: tuple[Details, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report; `marker` is how a comment of it is found again."""

    title: str
    marker: str
    summary: tuple[Block, ...]
    sections: tuple[Section, ...]


def row(cells: Iterable[object]) -> tuple[str, ...]:
    """Cells as text, on one line, none longer than people read."""
    return tuple(_short("" if cell is None else " ".join(str(cell).split())) for cell in cells)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def as_json(document: Document) -> dict[str, Any]:
    """Plain values: each block says its kind by its fields."""
    return asdict(document)


# -- Markdown ---------------------------------------------------------------------------------------------


def markdown(document: Document, limit: int = GITHUB_LIMIT) -> str:
    """As GitHub shows it, at most `limit` characters: details go first, then rows, and a note says so."""
    found = [details for section in document.sections for details in section.details]
    text = _whole(document, found, "")
    # The last ones first: sections come in the order in which they matter.
    left_out = 0
    while len(text) > limit and found:
        found = found[:-1]
        left_out += 1
        text = _whole(document, found, _note(left_out))
    rows = 50
    while len(text) > limit and rows:
        rows //= 2
        text = _whole(document, found, f"{_note(left_out)} Tables end after {rows} rows.", rows)
    if len(text) > limit:
        told = "\n\n*The rest is left out: see `mlcicd report --format html`.*\n"
        text = text[: limit - len(told)].rsplit("\n", 1)[0] + told
    return text


def _note(left_out: int) -> str:
    parts = f"{left_out} part{'' if left_out == 1 else 's'} left out"
    return f"{parts}: a comment has at most {GITHUB_LIMIT:,} characters. See `mlcicd report --format html`."


def _whole(document: Document, kept: Sequence[Details], note: str, rows: int | None = None) -> str:
    parts = [document.marker, f"## {literal(document.title)}"]
    parts += [_block(block, rows) for block in document.summary]
    for section in document.sections:
        parts.append(f"### {literal(section.title)}")
        parts += [_block(block, rows) for block in section.blocks]
        parts += [_details(one, rows) for one in section.details if any(one is other for other in kept)]
    if note:
        parts.append(f"*{note}*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block, rows: int | None) -> str:
    if isinstance(block, Text):
        return literal(block.text)
    if isinstance(block, Lines):
        return bullets(literal(line) for line in block.lines[:rows])
    if isinstance(block, Link):
        known = block.address.startswith(("https://", "http://"))
        return (
            f"[{literal(block.text)}](<{block.address}>)"
            if known
            else f"{literal(block.text)}: `{block.address}`"
        )
    shown = table(block.columns, block.rows[:rows])
    more = len(block.rows) - len(block.rows[:rows])
    return f"{shown}\n\n*and {more} more*" if more else shown


def _details(details: Details, rows: int | None) -> str:
    inside = "\n\n".join(_block(block, rows) for block in details.blocks)
    return f"<details><summary>{html.escape(details.title)}</summary>\n\n{inside}\n\n</details>"


# -- HTML -------------------------------------------------------------------------------------------------

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
body{color:#1d2433;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1rem;display:block;overflow-x:auto}
th,td{border:1px solid #d5dae3;padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:#f3f5f9} summary{cursor:pointer;font-weight:600} details{margin:.5rem 0}
@media(prefers-color-scheme:dark){body{color:#e6e9ef;background:#14181f}th{background:#222936}th,td{border-color:#39424f}
a{color:#8ab4ff}}
"""


def page(document: Document) -> str:
    """A page of its own: nothing is left out, nothing is loaded from elsewhere."""
    parts = [f"<h1>{html.escape(document.title)}</h1>", *map(_html, document.summary)]
    for section in document.sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += map(_html, section.blocks)
        for details in section.details:
            inside = "".join(map(_html, details.blocks))
            parts.append(f"<details><summary>{html.escape(details.title)}</summary>{inside}</details>")
    title = html.escape(document.title)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Lines):
        return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in block.lines)}</ul>"
    if isinstance(block, Link):
        if not block.address.startswith(("https://", "http://")):
            return f"<p>{html.escape(block.text)}: <code>{html.escape(block.address)}</code></p>"
        return f'<p><a href="{html.escape(block.address)}">{html.escape(block.text)}</a></p>'
    if not block.rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in block.columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in cells)}</tr>" for cells in block.rows)
    return f"<table><tr>{head}</tr>{body}</table>"
