"""`make bench`: every benchmark in turn, each a module of its own that prints its figures and its budget.

`python -m benchmarks NAME …` runs those named. Exits with 1 when a budget is missed.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks of this folder."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(chosen: list[str]) -> int:
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        sys.stderr.write(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(names())}\n")
        return 2
    missed = []
    for name in chosen or names():
        print(f"\n== {name}", flush=True)
        # A process each: what one imports or caches must not speed up the next.
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False
        ).returncode:
            missed.append(name)
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nevery budget kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
