"""What a piece of work costs; no test here is about how fast it is."""

import subprocess
import sys

import numpy as np
import pytest

from mlcicd_assets.assets.metering import metered

_BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_processor_time_of_children_counts() -> None:
    with metered() as meter:
        subprocess.run([sys.executable, "-c", _BUSY], check=True)
    assert meter.cost.cpu_seconds >= 0.3
    assert meter.cost.wall_seconds > 0


def test_memory_is_seen_even_in_a_short_block() -> None:
    with metered() as meter:
        held = np.ones(25_000_000)  # 200 MB
        meter.look()
    assert held.nbytes / 1e6 < meter.cost.peak_memory_mb


def test_without_a_gpu_nothing_is_paid_for_one() -> None:
    with metered() as meter:
        pass
    assert meter.cost.gpu_seconds == 0


def test_a_block_that_fails_is_metered_and_still_fails() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), metered() as meter:
        raise RuntimeError("out of memory")
    assert meter.cost.peak_memory_mb > 0
