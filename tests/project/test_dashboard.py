"""The dashboard asks only for what proxy and server really export, and the scrape example keeps all of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "models.json").read_text())
_SCRAPES = ROOT / "tests" / "fakes" / "scrapes"
# Of the target, by `mlcicd serve targets`; of a bucket; and made by the query itself.
_TARGET = {"environment", "model", "version", "job", "instance"}
_SERIES = re.compile(r"([a-z_]+)\{([^}]*)\}")


def _queries() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return found + [
        one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"
    ]


def _exported() -> dict[str, set[str]]:
    """Metrics of real scrapes and their labels; a family without a sample yet has its type only."""
    found: dict[str, set[str]] = {}
    for text in [path.read_text() for path in _SCRAPES.glob("*.prom")]:
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                found.setdefault(line.split()[2], set())
            elif line and not line.startswith("#"):
                name, _, rest = line.partition("{")
                name = name.split()[0]
                found.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    return found


@pytest.mark.parametrize("query", _queries())
def test_every_series_that_is_asked_for_is_exported(query: str) -> None:
    exported = _exported()
    series = _SERIES.findall(query) or re.findall(r"label_values\((\w+)(), ", query)
    assert series, query
    for name, matchers in series:
        assert name in exported, f"{name} is in no scrape"
        asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))
        # A counter with labels that has not counted yet shows none of them.
        assert asked <= exported[name] | _TARGET or not exported[name], (
            f"{name} has no {asked - exported[name]}"
        )


def test_panels_have_unequal_ids_and_do_not_overlap() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in DASHBOARD["panels"])


def test_a_rollout_is_shown_by_its_weights_errors_latency_and_predictions() -> None:
    titles = " ".join(panel["title"] for panel in DASHBOARD["panels"])

    for word in ("Share of users' requests", "Errors that users saw", "Latency", "Predictions per second"):
        assert word in titles


def test_the_scrape_example_keeps_every_series_of_the_dashboard() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    kept = next(rule["regex"] for rule in job["metric_relabel_configs"] if "__name__" in str(rule))
    envoy = {name for query in _queries() for name, _ in _SERIES.findall(query) if name.startswith("envoy")}

    assert envoy
    assert [name for name in sorted(envoy) if not re.fullmatch(kept, f"envoy;{name}")] == []
