"""What every place that serves promises, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from resources.protocols import LaunchRefused, Release, ResourceError, ServingTarget
from resources.serving_local import LocalServing
from tests.fakes.releases import MODEL, PUBLIC, key_pair, make_release
from tests.fakes.serving import FakeServing

pytestmark = pytest.mark.xdist_group("serving_target")


@dataclass(frozen=True)
class Place:
    """A target with versions 1 and 2 launched in production; `unproven` is refused by it."""

    target: ServingTarget
    releases: dict[int, Release]
    unproven: Release


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Release]:
    folder = tmp_path_factory.mktemp("releases")
    return {version: make_release(folder / str(version), version=version) for version in (1, 2)}


@pytest.fixture(scope="module")
def unproven(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("unproven")
    return make_release(folder, version=3, private_key=key_pair(9)[0])


@pytest.fixture(scope="module", params=["fake", "local"])
def place(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    releases: dict[int, Release],
    unproven: Release,
) -> Iterator[Place]:
    target: ServingTarget
    if request.param == "fake":
        target = FakeServing({unproven.digest: "the key is not trusted"})
    else:
        target = LocalServing(tmp_path_factory.mktemp("home") / "serving")
    try:
        for release in releases.values():
            target.launch(release, [PUBLIC])
        yield Place(target, releases, unproven)
    finally:
        target.stop()


@pytest.fixture
def at_first(place: Place) -> Place:
    """All traffic on version 1, version 2 beside it."""
    for release in place.releases.values():
        place.target.launch(release, [PUBLIC])
    place.target.route("production", MODEL, {1: 100})
    return place


def server(target: ServingTarget, version: int) -> str:
    found = [server.state for server in target.status().servers if server.version == version]
    return found[0] if found else "none"


@pytest.mark.parametrize("kind", ["fake", "local"])
def test_asking_starts_nothing(kind: str, tmp_path: Path) -> None:
    target: ServingTarget = FakeServing() if kind == "fake" else LocalServing(tmp_path / "serving")
    status = target.status()
    assert (status.running, list(status.servers), list(status.problems)) == (False, [], [])
    assert target.routes("production", MODEL) == {}
    assert target.traffic("production", MODEL) == []
    target.retire("production", MODEL, 1)
    target.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_launched_version_is_ready_and_has_no_traffic_yet(at_first: Place) -> None:
    status = at_first.target.launch(at_first.releases[2], [PUBLIC])
    assert (status.state, status.weight, status.version) == ("ready", 0, 2)
    assert status.pid is not None
    assert status.address.startswith("http://")


def test_launching_again_finds_the_same_process(at_first: Place) -> None:
    first, again = (at_first.target.launch(at_first.releases[1], [PUBLIC]) for _ in range(2))
    assert first == again


def test_a_version_never_changes_its_digest(at_first: Place) -> None:
    with pytest.raises(LaunchRefused, match="digest"):
        at_first.target.launch(replace(at_first.releases[1], digest="a" * 64), [PUBLIC])
    assert server(at_first.target, 1) == "ready"


def test_what_refuses_to_serve_is_not_launched_and_disturbs_nobody(at_first: Place) -> None:
    with pytest.raises(LaunchRefused, match=r"refused: .*not trusted"):
        at_first.target.launch(at_first.unproven, [PUBLIC])
    assert server(at_first.target, 3) == "none"
    assert at_first.target.routes("production", MODEL) == {1: 100}
    assert at_first.target.status().problems in ([], ())


def test_traffic_moves_and_routing_again_changes_nothing(at_first: Place) -> None:
    for _ in range(2):
        at_first.target.route("production", MODEL, {2: 100})
        assert at_first.target.routes("production", MODEL) == {2: 100}


def test_shares_are_kept_as_given(at_first: Place) -> None:
    at_first.target.route("production", MODEL, {1: 90, 2: 10})
    assert at_first.target.routes("production", MODEL) == {1: 90, 2: 10}
    weights = {s.version: s.weight for s in at_first.target.status().servers}
    assert weights == {1: 90, 2: 10}


@pytest.mark.parametrize(
    "weights", [{}, {1: 99}, {1: 60, 2: 60}, {1: 150, 2: -50}, {1: 0}, {7: 100}, {1: 50, 7: 50}]
)
def test_a_route_that_cannot_be_is_refused_and_the_old_one_stays(
    at_first: Place, weights: dict[int, int]
) -> None:
    with pytest.raises(ResourceError):
        at_first.target.route("production", MODEL, weights)
    assert at_first.target.routes("production", MODEL) == {1: 100}


def test_environments_do_not_mix(at_first: Place) -> None:
    with pytest.raises(ResourceError, match="not launched"):
        at_first.target.route("staging", MODEL, {1: 100})
    assert at_first.target.routes("staging", MODEL) == {}
    assert at_first.target.traffic("staging", MODEL) == []


def test_traffic_is_counted_by_version(at_first: Place) -> None:
    counted = at_first.target.traffic("production", MODEL)
    assert sorted(traffic.version for traffic in counted) == [1, 2]
    assert all(traffic.errors == 0 for traffic in counted)


def test_a_version_with_traffic_is_not_retired(at_first: Place) -> None:
    with pytest.raises(ResourceError, match="traffic"):
        at_first.target.retire("production", MODEL, 1)
    assert server(at_first.target, 1) == "ready"


def test_a_retired_version_is_gone_and_retiring_it_again_does_nothing(at_first: Place) -> None:
    for _ in range(2):
        at_first.target.retire("production", MODEL, 2)
        assert server(at_first.target, 2) == "none"
    assert at_first.target.routes("production", MODEL) == {1: 100}


def test_what_was_launched_and_routed_is_there_after_a_stop(at_first: Place) -> None:
    at_first.target.stop()
    down = at_first.target.status()
    assert not down.running
    assert {s.state for s in down.servers} == {"stopped"}
    assert down.problems
    with pytest.raises(ResourceError, match="down"):
        at_first.target.route("production", MODEL, {2: 100})
    status = at_first.target.start()
    assert status.running
    assert {(s.version, s.state, s.weight) for s in status.servers} == {(1, "ready", 100), (2, "ready", 0)}
    assert at_first.target.routes("production", MODEL) == {1: 100}
