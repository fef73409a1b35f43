"""The same inputs, the same model: seeds and settings while a model is fitted, put back afterwards."""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

# cuBLAS reads it when a process first uses it; without it, matrix products of one GPU differ from run to run.
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed Python, NumPy and, where it is loaded, torch; limit BLAS and OpenMP to `threads` (None: no limit).

    What the process had before is restored. torch uses deterministic algorithms only, and one thread, since
    its sums depend on their number (a network's own `threads` raises it).
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with ExitStack() as stack:
        stack.enter_context(_seeded(seed))
        torch = sys.modules.get("torch")  # an estimator that uses it has imported it
        if torch is not None:
            stack.enter_context(_torch(torch, seed))
        stack.enter_context(threadpool_limits(threads))
        yield


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)  # scikit-learn's fallback where no random_state is given
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _torch(torch: Any, seed: int) -> Iterator[None]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    strict = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    threads, workspace = torch.get_num_threads(), os.environ.get(_CUBLAS[0])
    os.environ.setdefault(*_CUBLAS)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.use_deterministic_algorithms(True)
            torch.set_num_threads(1)
            # TensorFloat-32 is less exact than what will serve: parity would not hold.
            cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = False, False, False
            yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=only_warns)
        torch.set_num_threads(threads)
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before
        if workspace is None:
            os.environ.pop(_CUBLAS[0], None)
