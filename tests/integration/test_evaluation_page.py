"""The evaluation page in a real browser: nothing overflows, is fetched or runs; both themes can be read."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import decide
from mlcicd_assets.reports.evaluation import render_evaluation
from tests.fakes.evaluations import declaration
from tests.fakes.whole_evaluations import multiclass, regression, whole

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--enable-logging=stderr",
        "--hide-scrollbars",
    ),
)
DARK, LIGHT = "0", "1"
# Shows the page in a frame as wide as a phone or a desktop, and writes down what it finds there.
LOOK = Path(__file__).with_name("evaluation_page.html")


@dataclass(frozen=True)
class Seen:
    """What the browser found, what it asked the server for, and what it complained about."""

    found: dict[str, Any]
    asked: list[str]
    console: list[str]


class Server(ThreadingHTTPServer):
    """Serves a folder on a free port of this machine, and writes down what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "site"
    folder.mkdir()
    found = Server(folder)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def look(server: Server, tmp_path: Path, evaluation: Evaluation, width: int, theme: str) -> Seen:
    """Open the page of an evaluation."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install -y chromium")
    about = declaration()
    page = render_evaluation(evaluation, decide(about, evaluation), about, ["Ada: <script>no</script>"])
    folder = tmp_path / "site"
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "look.html").write_text(
        LOOK.read_text(encoding="utf-8").replace("WIDTH", str(width)), encoding="utf-8"
    )
    options = [f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={theme}"]
    address = f"http://127.0.0.1:{server.server_address[1]}/look.html"
    done = subprocess.run(
        [CHROMIUM, *QUIET, *options, "--window-size=1400,900", "--timeout=20000", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr
    assert told[1], done.stderr
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Seen(json.loads(unescape(told[1])), server.asked, console)


@pytest.mark.parametrize(
    "evaluation", [whole(), multiclass(), regression()], ids=["binary", "multiclass", "regression"]
)
def test_on_a_phone_nothing_overflows_and_tables_scroll_within_themselves(
    server: Server, tmp_path: Path, evaluation: Evaluation
) -> None:
    seen = look(server, tmp_path, evaluation, 390, LIGHT)

    assert seen.found["width"] == 390
    assert seen.found["content"] <= 390
    assert seen.found["outside"] == []
    assert seen.found["scrolling"] > 0 or evaluation.slices is None


def test_the_page_fetches_nothing_runs_nothing_and_complains_of_nothing(
    server: Server, tmp_path: Path
) -> None:
    seen = look(server, tmp_path, whole(), 1200, LIGHT)

    assert seen.found["title"].startswith("shop_risk")
    assert seen.found["fetched"] == []
    assert {path for path in seen.asked if path != "/favicon.ico"} == {"/look.html", "/page.html"}
    assert seen.found["scripts"] == 0
    assert [line for line in seen.console if "favicon" not in line] == []


def test_both_themes_are_drawn_and_can_be_read(server: Server, tmp_path: Path) -> None:
    light = look(server, tmp_path, whole(), 1200, LIGHT).found
    dark = look(server, tmp_path, whole(), 1200, DARK).found

    assert light["ground"] == "rgb(246, 247, 249)"
    assert dark["ground"] == "rgb(20, 23, 28)"
    for found in (light, dark):
        assert found["text"] == found["ink"]  # pictures follow the theme
        assert found["contrast"][0] >= 4.5, found["contrast"]  # WCAG 2.2, 1.4.3
    assert light["line"] != dark["line"]
