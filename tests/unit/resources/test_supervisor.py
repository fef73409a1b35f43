"""supervisord's configuration, as supervisord itself reads it."""

import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from resources.processes import MARK
from resources.protocols import ResourceError
from resources.supervisor import Program, Supervisor, render


def read(folder: Path, programs: list[Program], socket: Path) -> Any:
    """What supervisord makes of the rendered file."""
    (folder / "logs").mkdir(parents=True)
    (folder / "supervisord.conf").write_text(render("identity", socket, programs))
    options = ServerOptions()
    options.realize(["-c", str(folder / "supervisord.conf")])
    return options


@pytest.mark.parametrize("name", ["plain", "with space", "a;b#c", "[x]*'\"", "größer"])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    program = Program("envoy", ["/opt/a b/envoy", "-c", "envoy/boot.json", "50%"], start_s=1)
    options = read(folder, [program], tmp_path / "s%k.sock")
    config = options.process_group_configs[0].process_configs[0]
    assert shlex.split(config.command) == list(program.command)
    assert config.directory == str(folder)
    assert config.stdout_logfile == str(folder / "logs" / "envoy.log")
    assert options.server_configs[0]["file"] == str(tmp_path / "s%k.sock")


def test_a_percent_sign_in_the_folder_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="takes no '%' in a path"):
        Supervisor(tmp_path / "100%").configure([])


def test_a_refusal_is_final_and_a_crash_is_not(tmp_path: Path) -> None:
    options = read(tmp_path, [Program("server", ["x"]), Program("envoy", ["y"], always=True)], tmp_path / "s")
    configs = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert 78 in configs["server"].exitcodes
    assert 1 not in configs["server"].exitcodes
    assert configs["server"].autorestart.__name__ == "RestartWhenExitUnexpected"
    assert configs["envoy"].autorestart.__name__ == "RestartUnconditionally"


@pytest.mark.parametrize("argument", ["a ;b", "a #b", "a\nb"])
def test_what_would_become_a_comment_is_refused(argument: str) -> None:
    with pytest.raises(ResourceError, match="choose another folder"):
        render("identity", Path("s"), [Program("a", [argument])])


def test_the_socket_stays_within_the_kernels_limit(tmp_path: Path) -> None:
    near, far = Supervisor(Path("/srv/serving")), Supervisor(tmp_path / ("x" * 120) / "serving")
    assert near.socket == Path("/srv/serving/supervisor.sock")
    assert len(os.fsencode(far.socket)) < 96
    assert far.socket != Supervisor(tmp_path / ("y" * 120) / "serving").socket


def test_secrets_of_the_caller_do_not_reach_the_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLCICD_SIGNING_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = Supervisor(tmp_path)._environment()
    assert "secret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment[MARK] == str(tmp_path)


def test_without_a_daemon_there_is_nothing_to_see(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert not supervisor.is_running()
    assert supervisor.processes() == {}
    assert supervisor.last_lines("envoy") == []
    with pytest.raises(ResourceError, match="supervisord does not answer"):
        supervisor.shutdown()
