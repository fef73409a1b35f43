"""The stack after crashes, stops and beside others: with stand-ins for the model servers only."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from resources import processes
from resources.envoy_routes import Routing
from resources.protocols import LaunchRefused, Release, ResourceError, ServingStatus
from resources.serving_local import LocalServing

STAND_IN = "tests.fakes.model_server"
PROJECT = Path(__file__).parents[2]
Make = Callable[..., LocalServing]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes serving targets and takes everything of theirs down, whatever happened to them."""
    made: list[LocalServing] = []

    def begin(name: str = "home") -> LocalServing:
        serving = LocalServing(tmp_path / name / "serving", server_module=STAND_IN, ready_s=20)
        made.append(serving)
        return serving

    yield begin
    for serving in made:
        processes.end_all(serving.folder)
    assert [pid for serving in made for pid in processes.find(serving.folder)] == []


@pytest.fixture
def release(tmp_path: Path) -> Release:
    (tmp_path / "release" / "package").mkdir(parents=True)
    (tmp_path / "release" / "package" / "manifest.json").write_text("{}")
    (tmp_path / "release" / "verdict.json").write_text("{}")
    return Release(
        model="m",
        version=1,
        digest="a" * 64,
        package=tmp_path / "release" / "package",
        verdict=tmp_path / "release" / "verdict.json",
        environment="production",
    )


@pytest.fixture
def serving(make: Make, release: Release) -> LocalServing:
    """One version, with all of the traffic."""
    serving = make()
    serving.launch(release, [b"key"])
    serving.route("production", "m", {1: 100})
    assert answers(serving)
    return serving


def answers(serving: LocalServing) -> bool:
    url = f"{serving.status().addresses['production']}/v2/models/m/infer"
    try:
        return httpx.post(url, content=b"{}", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def until(done: Callable[[], bool], patience_s: float = 30.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def pid_of(serving: LocalServing, command: str) -> int:
    found = [
        pid
        for pid in processes.find(serving.folder)
        if command.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(found) == 1
    return found[0]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


# -- crashes ---------------------------------------------------------------------------------------------


def test_a_killed_proxy_is_restarted_with_its_routes(serving: LocalServing) -> None:
    before = pid_of(serving, "envoy/bootstrap.json")
    kill(before)
    until(lambda: answers(serving) and pid_of(serving, "envoy/bootstrap.json") != before)
    assert serving.routes("production", "m") == {1: 100}


def test_start_heals_after_the_supervisor_was_killed(serving: LocalServing) -> None:
    orphans = processes.find(serving.folder)
    kill(pid_of(serving, "supervisor.supervisord"))
    until(lambda: not serving.status().running)
    status = serving.start()
    assert status.running
    assert answers(serving)
    assert set(processes.find(serving.folder)).isdisjoint(orphans)
    assert len(processes.find(serving.folder)) == 3


@pytest.mark.parametrize("change", ["route", "mirror", "retire"])
def test_any_change_heals_after_the_supervisor_was_killed(
    serving: LocalServing, release: Release, change: str
) -> None:
    serving.launch(replace(release, version=2, digest="b" * 64), [b"key"])
    kill(pid_of(serving, "supervisor.supervisord"))
    until(lambda: not serving.status().running)
    changes: dict[str, Callable[[], None]] = {
        "route": lambda: serving.route("production", "m", {1: 50, 2: 50}),
        "mirror": lambda: serving.mirror("production", "m", 2),
        "retire": lambda: serving.retire("production", "m", 2),
    }
    changes[change]()
    assert serving.status().running
    assert answers(serving)
    assert [s.version for s in serving.status().servers] == ([1] if change == "retire" else [1, 2])


def test_a_change_starts_nothing_that_was_stopped(serving: LocalServing) -> None:
    serving.stop()
    with pytest.raises(ResourceError, match="run 'mlcicd serve start'"):
        serving.route("production", "m", {1: 100})
    assert processes.find(serving.folder) == []


def test_start_heals_after_everything_was_killed(serving: LocalServing) -> None:
    # As after a reboot: a stale socket, and a process number that belongs to somebody else by now.
    addresses = serving.status().addresses
    for pid in sorted(processes.find(serving.folder)):
        kill(pid)
    until(lambda: processes.find(serving.folder) == [])
    (serving.folder / "supervisord.pid").write_text(f"{os.getpid()}\n")
    serving.start()
    assert answers(serving)
    assert serving.status().addresses == addresses


def test_a_launch_that_was_killed_half_way_is_finished_by_the_next(
    serving: LocalServing, release: Release
) -> None:
    second = replace(release, version=2, digest="b" * 64)
    serving.launch(second, [b"key"])
    # As if the caller had died before the proxy learned of it.
    proxy = serving._proxy(serving._state())
    first = [serving._state().servers[0].backend]
    proxy.publish_routes("production", first, {"m": Routing({1: 100}, fallback=1)})
    proxy.publish_clusters(first)
    assert serving.launch(second, [b"key"]).state == "ready"
    serving.route("production", "m", {2: 100})
    assert answers(serving)


def test_a_version_whose_launch_was_killed_before_the_proxy_learned_of_it_gets_its_traffic(
    serving: LocalServing, release: Release
) -> None:
    serving.launch(replace(release, version=2, digest="b" * 64), [b"key"])
    proxy, second = serving._proxy(serving._state()), serving._state().servers[1]
    proxy.publish_clusters([serving._state().servers[0].backend])
    proxy.forget(second.backend)
    serving.route("production", "m", {2: 100})
    assert answers(serving)


# -- servers that do not come up -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "words"),
    [("refused", "refused: because it is its name"), ("crashing", "Traceback: it crashed")],
)
def test_a_launch_that_fails_says_the_servers_own_words(
    serving: LocalServing, release: Release, model: str, words: str
) -> None:
    with pytest.raises(LaunchRefused, match=words):
        serving.launch(replace(release, model=model), [b"key"])
    status = serving.status()
    assert [server.model for server in status.servers] == ["m"]
    assert not (serving.folder / "servers" / "production" / model / "1").exists()
    assert len(processes.find(serving.folder)) == 3
    assert answers(serving)


def test_a_launch_whose_files_are_missing_is_refused(serving: LocalServing, release: Release) -> None:
    shutil.rmtree(release.package)
    with pytest.raises(LaunchRefused, match="cannot be copied"):
        serving.launch(replace(release, version=2), [b"key"])
    assert [server.version for server in serving.status().servers] == [1]


@pytest.mark.parametrize("model", ["../../etc", "M", "", "a-b", "a b", "a\n[program:x]"])
def test_a_name_that_is_none_becomes_no_path(make: Make, release: Release, model: str) -> None:
    with pytest.raises(ResourceError, match="is no version of a model"):
        make().launch(replace(release, model=model), [b"key"])


@pytest.mark.parametrize(
    ("model", "words", "end"),
    [
        ("refused", "refused: because it is its name", "EXITED"),
        ("crashing", "Traceback: it crashed", "FATAL"),
    ],
)
def test_a_server_that_fails_at_a_restart_is_reported_and_not_tried_for_ever(
    make: Make, release: Release, model: str, words: str, end: str
) -> None:
    serving = make()
    serving.launch(release, [b"key"])
    serving.stop()
    state = (serving.folder / "state.json").read_text()
    (serving.folder / "state.json").write_text(state.replace('"model": "m"', f'"model": "{model}"'))
    status = serving.start()
    assert status.running
    assert [(server.state, server.error) for server in status.servers] == [("failed", words)]
    assert words in status.problems[0]
    until(lambda: serving._supervisor.processes()[f"production-{model}-1"].state == end)
    assert (serving.folder / "logs" / f"production-{model}-1.log").read_text().count(words) <= 4


def test_a_launch_refreshes_the_keys_that_are_trusted_at_the_next_start(
    serving: LocalServing, release: Release
) -> None:
    serving.launch(release, [b"another key"])
    kept = serving.folder / "servers" / "production" / "m" / "1" / "trusted.pem"
    assert kept.read_bytes() == b"another key\n"


# -- neighbours ------------------------------------------------------------------------------------------


def test_two_homes_do_not_collide(make: Make, serving: LocalServing, release: Release) -> None:
    other = make("other")
    other.launch(replace(release, digest="c" * 64), [b"key"])
    other.route("production", "m", {1: 100})
    assert set(ports(serving.status())).isdisjoint(ports(other.status()))
    other.stop()
    assert answers(serving)
    assert processes.find(other.folder) == []


def ports(status: ServingStatus) -> list[str]:
    return [*status.addresses.values(), *(server.address for server in status.servers)]


def test_a_port_that_was_taken_meanwhile_is_replaced(serving: LocalServing) -> None:
    before = serving.status().addresses
    serving.stop()
    taken = int(before["production"].rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", taken)):
        status = serving.start()
        assert status.addresses["production"] != before["production"]
        assert status.addresses["staging"] == before["staging"]
        assert answers(serving)


@pytest.mark.parametrize("name", ["a home with spaces", "x" * 120, "ünï'\"[x]*;#"])
def test_any_home_will_do(make: Make, release: Release, name: str) -> None:
    serving = make(name)
    serving.launch(release, [b"key"])
    serving.route("production", "m", {1: 100})
    assert answers(serving)
    serving.stop()
    assert not serving._supervisor.socket.exists()


def test_starting_from_many_processes_at_once_starts_one_stack(make: Make) -> None:
    serving = make()
    script = (
        "import sys; from pathlib import Path; from resources.serving_local import LocalServing\n"
        f"print(LocalServing(Path(sys.argv[1]), server_module={STAND_IN!r}).start().addresses['production'])"
    )
    command = [sys.executable, "-c", script, str(serving.folder)]
    started = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(outputs) == 1
    assert len(processes.find(serving.folder)) == 2


def test_the_stack_outlives_whoever_started_it_and_holds_nothing(make: Make, tmp_path: Path) -> None:
    serving, held = make(), tmp_path / "held by the caller"
    script = (
        "import os, sys; from pathlib import Path; from resources.serving_local import LocalServing\n"
        "os.set_inheritable(os.open(sys.argv[2], os.O_CREAT | os.O_RDWR), True)\n"
        f"LocalServing(Path(sys.argv[1]), server_module={STAND_IN!r}).start()"
    )
    command = [sys.executable, "-c", script, str(serving.folder), str(held)]
    # `run` returns at the end of the pipe only: the daemon must not hold that either.
    subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, timeout=60, start_new_session=True)
    assert held.exists()
    assert serving.status().running
    supervisor = pid_of(serving, "supervisor.supervisord")
    open_files = {str(entry.readlink()) for entry in Path(f"/proc/{supervisor}/fd").iterdir()}
    assert open_files.isdisjoint({str(held), str(serving.folder / "lock")})
    assert os.getsid(supervisor) != os.getsid(0)


def test_a_home_that_cannot_be_written_says_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    with pytest.raises(ResourceError, match=r"cannot be prepared .*set MLCICD_HOME"):
        make().start()


# -- draining --------------------------------------------------------------------------------------------


def test_retiring_waits_for_the_requests_that_are_under_way(serving: LocalServing, release: Release) -> None:
    url = f"{serving.status().addresses['production']}/v2/models/m/versions/1/infer"
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(httpx.post(url, content=b"{}", headers={"x-slow": "1.5"}, timeout=30).status_code)

    serving.launch(replace(release, version=2, digest="b" * 64), [b"key"])
    asking = threading.Thread(target=ask)
    asking.start()
    until(
        lambda: any(
            h.active for hosts in serving._proxy(serving._state()).hosts().values() for h in hosts.values()
        )
    )
    serving.route("production", "m", {2: 100})
    serving.retire("production", "m", 1)
    asking.join(30)
    assert statuses == [200]
    assert [server.version for server in serving.status().servers] == [2]


def test_a_rejected_route_leaves_everything_as_it_was(
    serving: LocalServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = serving.folder / "envoy" / "production.rds.json"
    before, state = routes.read_text(), (serving.folder / "state.json").read_text()
    monkeypatch.setattr("resources.envoy.Backend.cluster", "no_such_cluster")
    with pytest.raises(ResourceError, match="Envoy rejected"):
        serving._publish_routes(serving._state(), "production")
    monkeypatch.undo()
    assert (routes.read_text(), (serving.folder / "state.json").read_text()) == (before, state)
    assert serving.routes("production", "m") == {1: 100}
    assert answers(serving)
