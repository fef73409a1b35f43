"""The pages of a monitoring run: the overview, and Evidently's for windows in which something drifted."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from mlcicd_assets.assets.monitoring.looking import Look
from mlcicd_assets.assets.monitoring.observing import Observed, World
from mlcicd_assets.assets.monitoring.watched_versions import NoReference, WatchedVersions
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.data.feature_table import TIME
from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT
from mlcicd_assets.ml.monitoring.windows import window_length
from mlcicd_assets.release.monitored_events import happened
from mlcicd_assets.reports.drift import drift_page
from mlcicd_assets.reports.figures import data_uri
from mlcicd_assets.reports.monitoring import Facts, render_monitoring
from mlcicd_assets.reports.monitoring_figures import png
from resources.protocols import KeptRequest, ResourceError

# Evidently's pages that are kept of each model: one takes 5 MB.
KEPT = 10


def save_pages(
    lane: ModelLane,
    world: World,
    versions: WatchedVersions,
    seen: Observed,
    episodes: Sequence[Episode],
    asked: Sequence[KeptRequest] = (),
) -> dict[str, Any]:
    """Render and keep them; the links, for the UI."""
    model = lane.model.name
    drawn = _draw_drift(lane, world, versions, seen)
    links = {**_links(world, model), **drawn}
    length = window_length(lane.model.monitor.window)
    facts = Facts(
        model=lane.model,
        signals=seen.signals,
        episodes=episodes,
        events=happened(world.ledger.entries(model), seen.signals, length),
        champion=seen.champion.version,
        as_of=seen.as_of,
        asked={one.request.fingerprint: _became(one) for one in reversed(asked)},
        links={name: link.rpartition("/")[2] for name, link in links.items()},
    )
    page = world.reports.save(f"monitoring/{model}/index.html", render_monitoring(facts))
    picture = data_uri(png("performance", facts.drawn()))
    return {
        "page": dg.MetadataValue.path(page),
        "performance over time": dg.MetadataValue.md(f"![performance by window]({picture})"),
        **{f"Evidently, {name}": dg.MetadataValue.path(link) for name, link in drawn.items()},
    }


def _became(kept: KeptRequest) -> str:
    said = f"training, {kept.state}"
    return f"{said}: {kept.answer}" if kept.answer else said


def _draw_drift(lane: ModelLane, world: World, versions: WatchedVersions, seen: Observed) -> dict[str, str]:
    """Evidently's page of the newest window that asks for one: each takes several seconds."""
    when = lane.model.monitor.page
    version = seen.champion.version
    for look in reversed(seen.looks):
        if version not in look.features or when == "never":
            continue
        violated = any(
            one.name == FEATURE_DRIFT and one.version == version and one.state == "violated"
            for one in look.signals
        )
        if violated or when == "always":
            return _drawn(lane, world, versions, look, version)
    return {}


def _drawn(
    lane: ModelLane, world: World, versions: WatchedVersions, look: Look, version: int
) -> dict[str, str]:
    try:
        reference = versions.of(version).holdout_features
    except NoReference:  # the signal says why there is nothing to compare with
        return {}
    columns = [name for name in look.features[version].columns if name != TIME]
    page = drift_page(reference.select(columns), look.features[version].select(columns))
    name = f"{look.span.key.replace(':', '')}-v{version}"
    link = world.reports.save(f"monitoring/{lane.model.name}/{name}.html", page)
    for old in _evidently(world, lane.model.name)[:-KEPT]:
        world.reports.remove(f"monitoring/{lane.model.name}/{old}.html")
    return {str(look.span): link}


def _links(world: World, model: str) -> Mapping[str, str]:
    return {name.partition("T")[0]: f"{name}.html" for name in _evidently(world, model)}


def _evidently(world: World, model: str) -> list[str]:
    """The names of Evidently's pages, oldest window first."""
    try:
        pages = world.reports.pages(f"monitoring/{model}")
    except ResourceError:
        return []
    names = (page.name.rpartition("/")[2].removesuffix(".html") for page in pages)
    return sorted(name for name in names if name != "index")
