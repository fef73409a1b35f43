"""The receiver as its own process: what was acknowledged outlives it, and secrets are nowhere."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from resources.inbox_sqlite import SqliteInbox
from tests.fakes.hooks import NEW, github

ROOT = Path(__file__).parents[2]
_ADDRESS = re.compile(r"http://[\d.:]+")


def test_a_delivery_that_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    # given a receiver
    environment = {**os.environ, "MLCICD_HOME": str(tmp_path / "home"), "MLCICD_HOOK_SECRET": NEW}
    command = [sys.executable, "-m", "mlcicd_assets.cli", "hooks", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        address = _ADDRESS.search(process.stdout.readline())
        assert address, process.stderr.read()
        body = b'{"ref": "refs/heads/main", "pusher": {"email": "canary@example.org"}}'
        headers = {"content-type": "application/json", **github(body)}

        # when it is killed as soon as it has acknowledged
        answer = httpx.post(f"{address[0]}/hooks/git", content=body, headers=headers, timeout=30)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=30)
    finally:
        watchdog.cancel()
        process.kill()

    # then the delivery waits for the trigger, and neither secret nor payload was written anywhere
    assert answer.status_code == 202
    assert [one.key for one in SqliteInbox(tmp_path / "home" / "inbox.db").waiting("git")] == ["d-1"]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (out, err, written.decode(errors="replace")):
        assert NEW not in text
        assert "canary" not in text
