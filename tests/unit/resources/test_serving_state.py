"""What a serving folder remembers, and who may change it."""

import json
import socket
import threading
from pathlib import Path

import pytest

from resources import serving_state
from resources.envoy_routes import Routing
from resources.protocols import ResourceError
from resources.serving_state import (
    Launched,
    State,
    exclusive,
    fallback_of,
    is_free,
    load,
    save,
    write_whole,
)

ONE = Launched("production", "flight_delay", 1, "a" * 64, 9001, "2026-01-31T12:00:00+00:00", approved=False)
TWO = Launched("production", "flight_delay", 2, "b" * 64, 9002, "2026-01-31T12:00:00+00:00", approved=True)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = State(9900, {"staging": 8001, "production": 8002}).with_server(ONE).with_server(TWO)
    routing = Routing({1: 90, 2: 10}, fallback=1, sticky="x-user", mirror=(3, 25))
    state = state.with_routing("production", "flight_delay", routing)
    save(tmp_path / "state.json", state)
    assert load(tmp_path / "state.json") == state


def test_nothing_saved_is_nothing_to_run(tmp_path: Path) -> None:
    assert load(tmp_path / "state.json") == State()


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[]"])
def test_a_state_that_cannot_be_read_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ResourceError, match=r"state\.json.*remove it to start anew"):
        load(tmp_path / "state.json")


def test_a_server_takes_the_place_of_the_same_version() -> None:
    moved = Launched(**{**vars(ONE), "port": 9100})
    state = State().with_server(ONE).with_server(TWO).with_server(moved)
    assert state.server("production", "flight_delay", 1) == moved
    assert len(state.servers) == 2
    assert state.without(TWO).servers == (moved,)


def test_shares_are_by_environment_model_and_version() -> None:
    state = State().with_server(ONE).with_routing("production", "flight_delay", Routing({1: 100}, 1))
    assert (state.share(ONE), state.share(TWO)) == (100, 0)
    assert state.with_routing("staging", "flight_delay", Routing({2: 100}, 2)).share(ONE) == 100


def test_a_state_that_knew_shares_alone_is_read(tmp_path: Path) -> None:
    old = {
        "format": 1,
        "admin_port": 9900,
        "ports": {"production": 8002},
        "servers": [
            {
                **{
                    k: v for k, v in vars(ONE).items() if k not in {"answer_within_s", "memory_bytes", "logs"}
                },
            }
        ],
        "shares": {"production": {"flight_delay": {"1": 100}}},
    }
    (tmp_path / "state.json").write_text(json.dumps(old))
    state = load(tmp_path / "state.json")
    assert state.servers == (ONE,)
    assert state.routed("production", "flight_delay") == Routing({1: 100}, fallback=1)


def test_a_canary_is_stood_in_for_and_whoever_is_relied_on_is_not() -> None:
    state = State().with_server(ONE).with_server(TWO)
    state = state.with_routing("production", "flight_delay", Routing({1: 90, 2: 10}, fallback=1))
    assert (state.ports_of(ONE), state.ports_of(TWO)) == ((9001,), (9002, 9001))


def test_what_is_gone_stands_in_for_nobody_and_gets_no_copies() -> None:
    state = State().with_server(ONE).with_server(TWO)
    last = state.with_routing("production", "flight_delay", Routing({2: 100}, fallback=1))
    assert last.without(ONE).routed("production", "flight_delay") == Routing({2: 100}, fallback=2)
    copied = state.with_routing("production", "flight_delay", Routing({1: 100}, fallback=1, mirror=(2, 50)))
    assert copied.without(TWO).routed("production", "flight_delay") == Routing({1: 100}, fallback=1)


@pytest.mark.parametrize(
    ("split", "asked", "before", "found"),
    [
        ({1: 100}, None, None, 1),
        ({1: 90, 2: 10}, None, None, 1),
        ({1: 10, 2: 90}, None, 1, 1),  # who was relied on stays
        ({2: 100}, None, 1, 2),
        ({2: 100}, 1, 1, 1),
        ({1: 50, 2: 50}, None, None, 1),
    ],
)
def test_who_stands_in(split: dict[int, int], asked: int | None, before: int | None, found: int) -> None:
    assert fallback_of(split, asked, before) == found


def test_free_ports_are_kept_and_taken_ones_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
        busy = taken.getsockname()[1]
        probe.close()
        state = State(free, {"staging": busy}, (ONE, Launched(**{**vars(TWO), "port": free})))
        chosen = state.with_free_ports()
    assert chosen.admin_port == free
    assert chosen.ports["staging"] != busy
    ports = [chosen.admin_port, *chosen.ports.values(), *(server.port for server in chosen.servers)]
    assert len(set(ports)) == len(ports) == 5


def test_a_new_port_is_not_one_that_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(9900, {"staging": 8001}).with_server(ONE)
    assert state.free_port() not in {9900, 8001, ONE.port}
    assert is_free(state.free_port())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "cds.json"
    write_whole(path, "old")
    inode = path.stat().st_ino
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_ino != inode  # watchers only see a rename
    assert [entry.name for entry in tmp_path.iterdir()] == ["cds.json"]


def test_what_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"nowhere/state\.json: cannot be written"):
        save(tmp_path / "nowhere" / "state.json", State())


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, entered = threading.Event(), []

    def second() -> None:
        inside.wait(10)
        with exclusive(tmp_path / "lock"):
            entered.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive(tmp_path / "lock"):
        inside.set()
        thread.join(0.2)
        entered.append("first")
    thread.join(10)
    assert entered == ["first", "second"]


def test_a_lock_that_stays_taken_is_an_error_in_words(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(ResourceError, match="another process has changed"),
        exclusive(tmp_path / "lock", patience_s=0.1),
    ):
        pytest.fail("entered twice")


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "lock"):
        _ = 1 / 0
    with exclusive(tmp_path / "lock", patience_s=0.1):
        pass


def test_the_format_is_in_the_file(tmp_path: Path) -> None:
    save(tmp_path / "state.json", State())
    assert f'"format": {serving_state.FORMAT}' in (tmp_path / "state.json").read_text()
