"""Measuring what a piece of work costs: time, processor, GPU and memory, child processes included."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlcicd_assets.ml.training.cost import TrainingCost

_EVERY_S = 0.1
_NOTHING = TrainingCost(wall_seconds=0, cpu_seconds=0, gpu_seconds=0, peak_memory_mb=0)


@dataclass
class Meter:
    """Runs while the block does; `cost` holds the result after it."""

    _started: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=lambda: _own_cpu_seconds())
    _children: dict[int, float] = field(default_factory=lambda: _children()[0])
    _peak: float = 0.0
    cost: TrainingCost = _NOTHING

    def look(self) -> None:
        """Take a sample of memory."""
        self._peak = max(self._peak, _own_resident() + _children()[1])

    def stop(self) -> None:
        """Take the last sample, and the sum."""
        self.look()
        wall = time.perf_counter() - self._started
        # Workers that stay alive are not in what the kernel counts of ended children.
        living = sum(seconds - self._children.get(pid, 0.0) for pid, seconds in _children()[0].items())
        self.cost = TrainingCost(
            wall_seconds=round(wall, 3),
            cpu_seconds=round(_own_cpu_seconds() - self._cpu + living, 3),
            gpu_seconds=round(wall * _gpus_in_use(), 3),
            peak_memory_mb=round(self._peak / 1e6, 1),
        )


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure a block. Peak memory is sampled ten times a second: a shorter peak can be missed."""
    meter, over = Meter(), threading.Event()
    meter.look()

    def sample() -> None:
        while not over.wait(_EVERY_S):
            meter.look()

    sampler = threading.Thread(target=sample, name="meter", daemon=True)
    sampler.start()
    try:
        yield meter
    finally:
        over.set()
        sampler.join()
        meter.stop()


def _own_cpu_seconds() -> float:
    """Of this process and of the children that have ended and were waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _own_resident() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss)


def _children() -> tuple[dict[int, float], float]:
    """Processor seconds of each living child, and the bytes that they have resident together."""
    import psutil

    seconds, resident = {}, 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            times, memory = child.cpu_times(), child.memory_info()
        except psutil.Error:
            continue  # it ended while we looked
        seconds[child.pid] = times.user + times.system
        resident += memory.rss
    return seconds, resident


def _gpus_in_use() -> int:
    """GPUs on which this process has put something by torch; a held GPU is paid for as long as it is held."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return 0
    return sum(torch.cuda.max_memory_allocated(device) > 0 for device in range(torch.cuda.device_count()))
