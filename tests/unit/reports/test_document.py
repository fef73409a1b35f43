"""A report as GitHub's Markdown, within its limit, and as a page."""

import pytest

from mlcicd_assets.reports.document import (
    GITHUB_LIMIT,
    Details,
    Document,
    Lines,
    Link,
    Section,
    Table,
    Text,
    as_json,
    markdown,
    page,
    row,
)

MARKER = "<!-- here -->"


def document(details: int = 1, rows: int = 3, text: str = "said") -> Document:
    cells = tuple(row((number, text)) for number in range(rows))
    folded = tuple(Details(f"Part {number}", (Table(("n", "what"), cells),)) for number in range(details))
    section = Section("Code", (Lines(("one", "two")), Table(("n", "what"), cells)), folded)
    return Document("What it means", MARKER, (Text("In short."),), (section,))


def test_it_begins_with_its_marker_and_is_the_same_each_time():
    text = markdown(document())
    assert text.startswith(f"{MARKER}\n\n## What it means\n\nIn short.")
    assert "<details><summary>Part 0</summary>" in text
    assert text == markdown(document())


def test_details_are_left_out_from_the_end_until_it_fits():
    whole = document(details=40, rows=50, text="x" * 40)
    text = markdown(whole)
    assert len(text) <= GITHUB_LIMIT
    assert "Part 0" in text
    assert "Part 39" not in text
    assert "parts left out: a comment has at most 65,536 characters" in text
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("limit", [200, 1_000, 5_000, GITHUB_LIMIT])
def test_it_fits_whatever_there_is_in_it(limit):
    text = markdown(document(details=3, rows=2_000, text="é" * 290), limit)
    assert len(text) <= limit
    assert text.startswith(MARKER)


def test_short_tables_end_with_how_many_more_there_are():
    text = markdown(document(details=0, rows=900, text="x" * 200), 20_000)
    assert "*and 8" in text


HOSTILE = "</table><script>alert(1)</script> | [x](javascript:1) `a` @someone"


def test_nothing_of_others_becomes_markup():
    text = markdown(document(text=HOSTILE))
    assert "<script" not in text
    assert "\\| \\[x\\]" in text
    html = page(document(text=HOSTILE))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_link_is_one_only_where_it_leads_to_the_web():
    addresses = {"https://example.org/run": True, "javascript:alert(1)": False, "/home/x": False}
    for address, linked in addresses.items():
        made = Document("t", MARKER, (Link("Run", address),), ())
        assert ("](<https" in markdown(made)) is linked
        assert ("<a href" in page(made)) is linked


def test_json_has_every_part():
    found = as_json(document(details=2))
    assert [one["title"] for one in found["sections"][0]["details"]] == ["Part 0", "Part 1"]
