"""The monitoring page says how a model does, carries everything inside, and may have nothing to say."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from mlcicd_assets.ml.catalogue import load_all
from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import PERFORMANCE, Signal
from mlcicd_assets.release.monitored_events import Happened
from mlcicd_assets.reports.monitoring import Facts, render_monitoring
from tests.fakes.monitored import CHANGED, EPISODE, START, signals


@pytest.fixture(scope="module")
def facts() -> Facts:
    model = load_all().models["fraud_detector"].model
    events = [Happened(START + timedelta(days=CHANGED), "version 2 is champion", major=True)]
    as_of = START + timedelta(days=45)
    asked = {EPISODE.fingerprint("fraud_detector"): "training, done"}
    return Facts(model, signals(), [EPISODE], events, 2, as_of, asked, {"2026-05-15": "w.html"})


def test_it_tells_state_episode_release_and_links(facts: Facts) -> None:
    page = render_monitoring(facts)

    assert "A window is violated, not yet an episode" in page
    assert "version 2 serves" in page
    assert "training, done" in page
    assert "version 2 is champion" in page
    assert 'href="w.html"' in page
    assert "Concept drift" in page


def test_nothing_is_fetched_and_no_script_runs(facts: Facts) -> None:
    page = render_monitoring(facts)

    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="https?://(?!www\.w3\.org)', page)


def test_an_episode_that_stands_and_was_not_helped_asks_for_a_person(facts: Facts) -> None:
    episode = Episode(
        "performance", 2, "2026-05-10T00:00", ("2026-05-10T00:00",), (PERFORMANCE,), unhelped="x"
    )
    page = render_monitoring(replace(facts, episodes=[EPISODE, episode]))

    assert "✗ Not well: performance" in page
    assert "a person is needed" in page


def test_a_model_of_which_nothing_is_known_says_so(facts: Facts) -> None:
    nothing = [
        Signal("2026-04-01T00:00", 0, PERFORMANCE, "not enough evidence", reason="no traffic <of> users")
    ]
    page = render_monitoring(replace(facts, signals=nothing, episodes=[], events=[], links={}))

    assert "not everything is known" in page
    assert "no traffic &lt;of&gt; users" in page
    assert "nothing known yet" in page
