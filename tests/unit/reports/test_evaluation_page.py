import re
from html.parser import HTMLParser

import pytest

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.reports.evaluation import compare, number, render_evaluation, signs
from tests.fakes.evaluations import DIGEST, champion, declaration, evaluation, record


class Page(HTMLParser):
    """Collects the text, and whatever a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        names = {"src", "href", "xlink:href", "action", "srcset"}
        self.fetched += [
            value or "" for name, value in attrs if name in names and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(found: Evaluation, **changes: object) -> tuple[str, Page]:
    html = render_evaluation(found, decide(declaration(**changes), found))
    return html, Page(html)


def test_a_passing_page_says_so_first() -> None:
    _, page = page_of(evaluation(champion_skill=0.9))

    assert "✓ Passed: all 4 gates hold" in page.text
    assert "Compared with champion version 3 on the same 2,000 rows" in page.text
    assert page.text.index("Passed") < page.text.index("Threshold")


def test_a_blocked_page_names_what_failed_at_the_top() -> None:
    _, page = page_of(evaluation(), gates={"roc_auc": ">= 0.99", "brier": "<= 0.5"})

    assert "✗ Blocked: 1 of 4 gates failed" in page.text
    assert re.search(r"roc_auc is 0\.\d+, but must be ≥ 0\.99", page.text)
    assert page.text.index("✗ failed") < page.text.index("✓ passed")


def test_no_gates_are_no_proof() -> None:
    assert "✗ Blocked: there are no gates" in Page(render_evaluation(evaluation(), [])).text


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    html, page = page_of(evaluation(champion_skill=0.9, protected=True))

    assert page.fetched == []
    assert "script" not in page.open
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(html) < 200_000


def test_light_dark_and_a_phone_are_provided_for() -> None:
    html, _ = page_of(evaluation())

    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert "max-width: 560px" in html


def test_what_was_judged_is_told() -> None:
    _, page = page_of(evaluation())

    for said in (
        DIGEST,
        "2026-03-18 … 2026-03-31",
        "Excluded, no label 25",
        "sales/features",
        "2.1e-07 apart, 0 flips",
        "trees__max_iter",
        "0123456789ab",
        "First release",
    ):
        assert said in page.text


def test_a_champion_that_could_not_be_scored_is_told() -> None:
    unscored = champion(1.0, metrics={}, problem="its package is gone")

    _, page = page_of(evaluation().model_copy(update={"champion": unscored}))

    assert "Champion version 3 could not be scored: its package is gone" in page.text
    assert "Blocked" in page.text


def test_foreign_text_stays_text() -> None:
    hostile = evaluation(protected=True, training=record(commit="<b>x</b>", params={"<img src=x>": "<i>"}))

    html, page = page_of(hostile)

    assert "age: <old>" in page.text
    assert "img" not in page.open
    assert "<b>x</b>" not in html


def test_uncommitted_changes_show() -> None:
    _, page = page_of(evaluation(training=record(dirty=True)))

    assert "0123456789ab and changes" in page.text


def test_gated_metrics_come_first_and_change_is_judged_by_direction() -> None:
    found = evaluation(skill=1.2, champion_skill=0.8)

    rows = compare(found, decide(declaration(), found))

    assert [row.metric for row in rows[:2]] == ["roc_auc", "log_loss"]
    assert [row.gated for row in rows[:3]] == [True, True, False]
    assert [row.verdict for row in rows[:2]] == ["better", "better"]
    assert rows[1].change.startswith("−")
    missing = next(row for row in rows if row.metric == "equal_opportunity_gap")
    assert (missing.mine, missing.verdict) == ("–", "")


def test_as_good_is_the_same() -> None:
    found = evaluation(champion_skill=1.0)

    assert {row.verdict for row in compare(found, [])} == {"same", ""}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0000"), (0.75093, "0.7509"), (2.4e-7, "2.4e-07"), (-0.01, "-0.0100")],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number(value) == text


def test_bounds_read_well() -> None:
    assert signs("roc_auc >= 0.5, brier <= 0.2") == "roc_auc ≥ 0.5, brier ≤ 0.2"
