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
    place.target.mirror("production", MODEL, None)
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


def test_a_split_is_sticky_where_asked_and_ends_with_the_next(at_first: Place) -> None:
    for sticky in ("x-user-id", None):
        at_first.target.route("production", MODEL, {1: 80, 2: 20}, sticky=sticky)
        assert at_first.target.routes("production", MODEL) == {1: 80, 2: 20}


@pytest.mark.parametrize("header", ["", "two words", "x:y", "ünï", "a\nb"])
def test_a_header_that_is_none_is_refused(at_first: Place, header: str) -> None:
    with pytest.raises(ResourceError, match="no name of a request header"):
        at_first.target.route("production", MODEL, {1: 80, 2: 20}, sticky=header)
    assert at_first.target.routes("production", MODEL) == {1: 100}


def test_a_version_without_a_share_stands_in_for_the_one_with_all(at_first: Place) -> None:
    at_first.target.route("production", MODEL, {2: 100}, fallback=1)
    assert at_first.target.routes("production", MODEL) == {2: 100}
    at_first.target.retire("production", MODEL, 1)
    assert at_first.target.routes("production", MODEL) == {2: 100}


def test_what_is_not_launched_stands_in_for_nobody(at_first: Place) -> None:
    with pytest.raises(ResourceError, match="not launched"):
        at_first.target.route("production", MODEL, {1: 100}, fallback=7)


def test_copies_go_to_a_version_without_traffic_until_they_end(at_first: Place) -> None:
    assert at_first.target.mirrors("production", MODEL) == {}
    for percent in (100, 100, 25):
        at_first.target.mirror("production", MODEL, 2, percent)
        assert at_first.target.mirrors("production", MODEL) == {2: percent}
    assert at_first.target.routes("production", MODEL) == {1: 100}
    for _ in range(2):
        at_first.target.mirror("production", MODEL, None)
        assert at_first.target.mirrors("production", MODEL) == {}


def test_a_share_ends_the_copies(at_first: Place) -> None:
    at_first.target.mirror("production", MODEL, 2)
    at_first.target.route("production", MODEL, {1: 90, 2: 10})
    assert at_first.target.mirrors("production", MODEL) == {}


def test_copies_go_on_while_other_shares_move(at_first: Place) -> None:
    at_first.target.mirror("production", MODEL, 2)
    at_first.target.route("production", MODEL, {1: 100}, sticky="x-user-id")
    assert at_first.target.mirrors("production", MODEL) == {2: 100}


def test_a_retired_version_gets_no_copies(at_first: Place) -> None:
    at_first.target.mirror("production", MODEL, 2)
    at_first.target.retire("production", MODEL, 2)
    assert at_first.target.mirrors("production", MODEL) == {}


@pytest.mark.parametrize(("version", "percent"), [(1, 100), (7, 100), (2, 0), (2, 101)])
def test_copies_that_cannot_be_are_refused(at_first: Place, version: int, percent: int) -> None:
    with pytest.raises(ResourceError):
        at_first.target.mirror("production", MODEL, version, percent)
    assert at_first.target.mirrors("production", MODEL) == {}


def test_a_reading_says_when_the_counting_began_and_what_is_resident(at_first: Place) -> None:
    first = next(t for t in at_first.target.traffic("production", MODEL) if t.version == 1)
    assert first.counted_since
    assert first.started
    assert (first.memory_bytes or 0) > 1 << 20


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
    at_first.target.mirror("production", MODEL, 2, 50)
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
    assert at_first.target.mirrors("production", MODEL) == {2: 50}
