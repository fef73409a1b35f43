"""What a training ran on: captured with each run, so that a difference can be named afterwards."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

# Those whose version may change a model's bytes; all others stand for themselves in the lock.
_DECISIVE = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "skl2onnx",
    "onnx",
    "onnxscript",
    "optuna",
    "polars",
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")


class Environment(BaseModel):
    """The machine and the software of one training."""

    model_config = ConfigDict(frozen=True)

    python: str
    platform: str  # "Linux-6.1-x86_64"
    cpu: str
    cores: int
    gpu: str = ""  # its name, where torch trained on one
    blas: list[str] = []  # "openblas 0.3.30 (Haswell)"
    threads: dict[str, str] = {}  # the environment variables that limit them
    lock: str = ""  # hex SHA-256 of the lock file; empty where there is none
    packages: dict[str, str] = {}

    def tags(self) -> dict[str, str]:
        """In the words of a run's tags."""
        return {
            "env.python": self.python,
            "env.platform": self.platform,
            "env.cpu": f"{self.cpu}, {self.cores} cores",
            "env.gpu": self.gpu or "none",
            "env.blas": "; ".join(self.blas) or "unknown",
            "env.lock": self.lock or "none",
        }


def capture(lock: bytes | None = None, variables: Mapping[str, str] | None = None) -> Environment:
    """Describe this process; `lock` is the lock file's content, `variables` the environment's."""
    import hashlib

    found = os.environ if variables is None else variables
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.release()}-{platform.machine()}",
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        gpu=_gpu(),
        blas=_blas(),
        threads={name: found[name] for name in _THREADS if name in found},
        lock=hashlib.sha256(lock).hexdigest() if lock else "",
        packages=_packages(),
    )


def differences(before: Environment | None, now: Environment) -> list[str]:
    """What is not as it was, one line each; `before` is None in records from before it was captured."""
    if before is None:
        return ["the environment of the recorded training is not known"]
    lines = [
        f"{name}: {old or 'none'} then, {new or 'none'} now"
        for name, old, new in (
            ("Python", before.python, now.python),
            ("platform", before.platform, now.platform),
            ("CPU", f"{before.cpu}, {before.cores} cores", f"{now.cpu}, {now.cores} cores"),
            ("GPU", before.gpu, now.gpu),
            ("BLAS", "; ".join(before.blas), "; ".join(now.blas)),
            ("lock file", before.lock[:12], now.lock[:12]),
        )
        if old != new
    ]
    return [*lines, *_changed(before.threads, now.threads), *_changed(before.packages, now.packages)]


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {before.get(name, 'not set')} then, {now.get(name, 'not set')} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    # Only where a training has imported torch: the import takes a second, and without it no GPU was used.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return str(torch.cuda.get_device_name(0))


def _blas() -> list[str]:
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    found = {
        f"{pool['internal_api']} {pool.get('version') or ''} ({pool.get('architecture') or 'any'})"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return sorted(found)


def _packages() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _DECISIVE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
