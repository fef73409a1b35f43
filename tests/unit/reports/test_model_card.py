import re

import pytest
import yaml

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.reports.model_card import first_lines, model_card
from tests.fakes.evaluations import DIGEST, champion, declaration, evaluation, record
from tests.fakes.whole_evaluations import HOSTILE, multiclass, regression, whole

SECTIONS = (
    *("Model details", "Uses", "Training", "Evaluation", "Fairness", "Slices", "Robustness"),
    *("Serving requirements", "Gates", "Caveats", "How to reproduce"),
)


def card_of(found: Evaluation, **changes: object) -> str:
    about = declaration(**changes)
    return model_card(found, decide(about, found), about)


def section(card: str, name: str) -> str:
    return card.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "found",
    [whole(), evaluation(), multiclass(), regression()],
    ids=["whole", "plain", "multiclass", "regression"],
)
def test_every_card_has_every_section_in_order_and_no_noise(found: Evaluation) -> None:
    card = card_of(found)

    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == list(SECTIONS)
    assert card.count("\n# ") == 1
    assert not re.search(r"[ \t]+$", card, re.MULTILINE)
    assert "\n\n\n" not in card
    assert card.endswith("\n")
    assert not card.endswith("\n\n")


@pytest.mark.parametrize("found", [whole(), multiclass()], ids=["binary", "multiclass"])
def test_rows_of_a_table_have_as_many_cells_as_its_head(found: Evaluation) -> None:
    hostile = found.model_copy(update={"training": record(params={"a|b": "c|d\ne", "`x`": "**y**"})})
    widths = [
        (block[0].count(" |"), {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in block})
        for block in _tables(card_of(hostile))
    ]

    assert len(widths) > 3
    assert all(len(cells) == 1 for _, cells in widths)


def _tables(card: str) -> list[list[str]]:
    blocks = [block.splitlines() for block in card.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


def test_names_from_data_are_no_markup() -> None:
    card = card_of(whole())

    assert HOSTILE not in card
    assert "<script" not in card
    assert "&lt;script>alert('x')&lt;/script>" in card
    assert "age=&lt;old>" in card


def test_the_summary_says_what_decided() -> None:
    first = first_lines(card_of(whole(), description="Will a shop return it?"))

    assert first.startswith("# shop_risk")
    assert "Will a shop return it?" in first
    assert re.search(
        r"Verdict: \*\*passed\*\*, all 6 gates hold\. roc_auc is 0\.\d+ \(interval 0\.\d+ to 0", first
    )
    assert "##" not in first.replace("# shop_risk", "")
    assert "model_name" not in first


def test_the_front_matter_is_yaml() -> None:
    card = card_of(whole(), card={"license": 'my "own": text'})

    front = yaml.safe_load(card.split("---\n")[1])

    assert front["model_name"] == "shop_risk"
    assert front["license"] == 'my "own": text'
    assert front["tags"] == ["tabular", "binary", "onnx"]


def test_what_was_measured_stands_in_its_section() -> None:
    card = card_of(whole(), rates={"cpu_hour": 3600, "currency": "EUR"})

    facts = {
        "Model details": [DIGEST, "Owner: team:shops", "`0123456789ab`", "Served by ONNX Runtime"],
        "Training": [
            "2026-01-17 … 2026-03-17, 9,000 rows",
            "3 trials",
            "7.2000 EUR",
            "Python 3.11.9",
            "trees__max_iter | 80",
        ],
        "Evaluation": [
            "2026-03-20 … 2026-04-02",
            "Against champion version 3",
            "roc_auc",
            "Labels known until 2026-04-05",
        ],
        "Fairness": ["age=young", "true positive rate", "equal_opportunity_gap"],
        "Slices": ["shop=kiosk (small) | 12"],
        "Robustness": ["noise of 0.1", "it crashed"],
        "Serving requirements": ["Latency, 99 of 100 within", "210 MB", "Cold start"],
        "Gates": ["beats_champion", "passed"],
        "Caveats": ["left out for both", "there is no column 'size'"],
        "How to reproduce": ["mlcicd reproduce shop_risk@VERSION", "byte for byte"],
    }
    for name, said in facts.items():
        for text in said:
            assert text in section(card, name), (name, text)


def test_what_was_not_measured_says_so() -> None:
    card = card_of(evaluation(serving=None, reproducibility=None))

    for name in ("Fairness", "Slices", "Robustness", "Serving requirements"):
        assert "Not measured" in section(card, name)
    assert "The training was not repeated." in section(card, "How to reproduce")
    assert "Cost: not metered" in section(card, "Training")
    assert "Cost was not measured" in section(card, "Caveats")
    assert "FAILED" in section(card, "Gates")
    assert "**blocked**" in first_lines(card)


def test_what_a_person_declares_stands_in_the_card_and_what_is_missing_is_said() -> None:
    told = card_of(evaluation(), card={"intended_use": "The *returns* desk <b>only</b>.\nNobody else."})

    assert "The *returns* desk &lt;b>only&lt;/b>. Nobody else." in section(told, "Uses")
    assert "Not declared: `card.out_of_scope`" in section(told, "Uses")
    assert "Not declared: `card.limitations`" in section(told, "Caveats")


def test_a_fallback_and_an_unscored_champion_are_said() -> None:
    lost = champion(1.0, metrics={}, problem="its package is gone")
    card = card_of(evaluation(champion=lost, training=record(engine="skops", not_onnx="no converter")))

    assert "Served by scikit-learn through skops, not ONNX: no converter" in section(card, "Model details")
    assert "Champion version 3 could not be scored: its package is gone" in section(card, "Evaluation")
    assert "verdict" not in section(card, "Evaluation")


def test_the_same_evaluation_gives_the_same_card() -> None:
    assert card_of(whole()) == card_of(whole())
