import re
from html.parser import HTMLParser

import pytest

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.reports.evaluation import render_evaluation
from tests.fakes.evaluations import DIGEST, champion, declaration, evaluation, fairness, record
from tests.fakes.whole_evaluations import HOSTILE, multiclass, regression, whole


class Page(HTMLParser):
    """Collects the text, and whatever a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.quiet = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.quiet = tag == "style"
        names = {"src", "href", "xlink:href", "action", "srcset"}
        self.fetched += [
            value or "" for name, value in attrs if name in names and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        if not self.quiet:
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.quiet = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(found: Evaluation, **changes: object) -> tuple[str, Page]:
    about = declaration(**changes)
    html = render_evaluation(found, decide(about, found), about)
    return html, Page(html)


def test_a_passing_page_says_so_first() -> None:
    _, page = page_of(evaluation(champion_skill=0.9))

    assert "✓ Passed: all 6 gates hold" in page.text
    assert "champion version 3 has 0." in page.text
    assert "on the same 2,000 rows" in page.text
    assert page.text.index("Passed") < page.text.index("Threshold")


def test_a_blocked_page_names_what_failed_at_the_top() -> None:
    _, page = page_of(evaluation(), gates={"roc_auc": ">= 0.99", "brier": "<= 0.5"})

    assert "✗ Blocked: 1 of 6 gates failed" in page.text
    assert re.search(r"roc_auc is 0\.\d+, but must be ≥ 0\.99", page.text)
    assert page.text.index("What failed, and why") < page.text.index("✗ failed") < page.text.index("✓ passed")
    assert "Passed: brier, onnx_parity" in page.text


def test_no_gates_are_no_proof() -> None:
    assert "✗ Blocked: there are no gates" in Page(render_evaluation(evaluation(), [], declaration())).text


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


@pytest.mark.parametrize("found", [whole(), multiclass()], ids=["binary", "multiclass"])
def test_foreign_text_stays_text(found: Evaluation) -> None:
    html, page = page_of(found)

    assert HOSTILE in page.text
    assert "script" not in page.open
    assert "<script" not in html


def test_names_of_parameters_and_groups_are_no_markup() -> None:
    hostile = whole(training=record(commit="<b>x</b>", params={"<img src=x>": "<i>"}))

    html, page = page_of(hostile)

    assert "<old>" in page.text
    assert "img" not in page.open
    assert "<b>x</b>" not in html


def test_a_policy_forbids_scripts_and_the_network() -> None:
    html, _ = page_of(evaluation())

    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "script-src" not in policy[1]


def test_every_section_is_there() -> None:
    html, page = page_of(whole())

    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for section in (
        *("verdict", "gates", "comparison", "pictures", "fairness", "slices", "robustness", "serving"),
        *("training", "reproducibility", "cost", "tuning", "differences", "records"),
    ):
        assert section in ids
    for target in re.findall(r'href="#([a-z]+)"', html):
        assert target in ids
    for said in (
        "noise of 0.1",
        "it crashed",
        "Latency, 99 of 100 within",
        "trial 0 was chosen",
        "out of memory",
        "7.2 s",
        "openblas",
        "there is no column 'size'",
        "the same package, byte for byte",
        "left out for both",
        "2026-03-20 … 2026-04-02",
    ):
        assert said in page.text


def test_every_table_has_headers_and_every_drawing_a_name() -> None:
    html, page = page_of(whole())

    assert "<th>" not in html
    assert html.count("<table") == html.count("<thead>")
    assert page.open.count("h1") == 1
    drawings = re.findall(r"<svg [^>]*>", html)
    assert drawings
    assert all('role="img"' in drawing and re.search(r'aria-label="[^"]+"', drawing) for drawing in drawings)


def test_what_differs_from_the_champion_is_told() -> None:
    _, page = page_of(whole())

    told = page.text[page.text.index("What differs from the champion") :]
    for said in (
        "trees__max_iter 80 40",
        "shop used –",
        "hour – used",
        "sales/features 2026-03 efefefefefef –",
        "Python: 3.11.8 then, 3.11.9 now",
        "training rows 9,000 8,000",
    ):
        assert said in told
    assert "trees__max_depth – –" not in told


def test_an_unknown_training_of_the_champion_is_not_taken_for_equal() -> None:
    _, page = page_of(evaluation(champion_skill=0.9))

    assert "What champion version 3 was trained with is not known" in page.text
    assert "What the champion was trained with is not known, so nothing is compared with it" in page.text


def test_the_same_package_as_the_champion_differs_in_nothing() -> None:
    same = whole(champion=champion(1.0, digest=DIGEST, training=record()))

    assert "Nothing: the challenger is the champion, byte for byte" in page_of(same)[1].text


def test_the_margin_of_non_inferiority_is_drawn_where_one_is_declared() -> None:
    html, page = page_of(whole())

    assert html.count('class="margin"') == 1
    assert "margin 0.0100" in page.text


def test_small_groups_are_grey_and_say_why() -> None:
    html, page = page_of(whole(fairness=fairness(minimum=100_000)))

    assert '<td class="small">' in html
    assert re.search(r"of \d+ only", page.text)


def test_what_was_not_measured_says_so() -> None:
    _, page = page_of(evaluation(serving=None, reproducibility=None))

    for said in ("Fairness", "Slices", "Robustness", "Serving", "Reproducibility", "Cost", "Environment"):
        assert f"{said} was not measured" in page.text
    assert "What is missing, and therefore fails" in page.text
    assert "training_serving_skew is missing" in page.text


def test_overrides_stand_at_the_top() -> None:
    about, found = declaration(), evaluation()
    page = Page(render_evaluation(found, decide(about, found), about, ["Ada: <b>the fair</b> (roc_auc)"]))

    assert "Override on record: Ada: <b>the fair</b> (roc_auc)" in page.text
    assert page.text.index("Override on record") < page.text.index("Threshold")


def test_a_fallback_to_skops_is_said_in_the_verdict() -> None:
    _, page = page_of(evaluation(training=record(engine="skops", not_onnx="no converter for Stack")))

    verdict = page.text[: page.text.index("Threshold")]
    assert "Served by scikit-learn through skops, not ONNX: no converter for Stack" in verdict


def test_an_approval_that_is_due_is_said() -> None:
    assert "A person must still approve" in page_of(evaluation(), risk="high")[1].text
    assert "without anybody's approval" in page_of(evaluation())[1].text


def test_the_price_of_a_training_is_told_at_declared_rates() -> None:
    _, page = page_of(whole(), rates={"cpu_hour": 3600, "currency": "EUR"})

    assert "Price 7.2000 EUR" in page.text


@pytest.mark.parametrize(
    ("found", "said"),
    [(multiclass(), ["never learned", "$bike$"]), (regression(), ["a regression model", "rmse"])],
    ids=["multiclass", "regression"],
)
def test_other_tasks_have_their_page(found: Evaluation, said: list[str]) -> None:
    html, page = page_of(found)

    assert all(text in page.text for text in said)
    assert "Not defined on this holdout: r2" in page.text or found.task != "regression"
    assert len(html) < 200_000


def test_uncommitted_changes_show() -> None:
    _, page = page_of(evaluation(training=record(dirty=True)))

    assert "0123456789ab and changes" in page.text
