"""`python -m mlcicd_assets.demo_loop`: the loop that closes by itself, shown."""

import argparse
import os
import shutil
import signal
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path

from mlcicd_assets.cli.output import console
from mlcicd_assets.demo_loop.picture import draw
from mlcicd_assets.demo_loop.play import ACTS, Play
from mlcicd_assets.demo_loop.stage import NotHappened, Stage
from mlcicd_assets.demo_loop.story import Story
from resources import home

_TITLE = "fraud_detector: thieves change their tactics, and the loop closes"
_MARK = ".mlcicd-loop"  # a folder with it was made by an earlier play, and may be emptied


def main(arguments: list[str] | None = None) -> int:
    """Play it; 0 where every act came to its end, 1 where one did not, 130 when interrupted."""
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGTERM, _interrupted)
    options = _options(arguments)
    folder = (options.folder or home(os.environ).path / "loop").absolute()
    try:
        _empty(folder)
    except NotHappened as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stage = Stage(folder)
    play = Play(stage, Story(console()), options.seed, quiet=options.quiet)
    code, problem = _played(play)
    _summary(play, _drawn(play, folder), problem)
    return code


def _interrupted(_number: int, _frame: object) -> None:
    """Whoever ends the play by SIGTERM gets everything ended, as by Ctrl-C."""
    raise KeyboardInterrupt


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlcicd_assets.demo_loop", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where it is played; emptied first. Default: MLCICD_HOME/loop"
    )
    parser.add_argument(
        "--quiet", type=int, default=2, choices=range(1, 9), help="weeks before anything changes"
    )
    parser.add_argument("--fast", dest="quiet", action="store_const", const=1, help="one quiet week only")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated town")
    return parser.parse_args(arguments)


def _empty(folder: Path) -> None:
    """What an earlier play left is removed, processes too; what is not ours stays. Raises NotHappened."""
    from resources import processes

    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise NotHappened(
                f"{folder} is not empty and was not made by an earlier play: give another --folder"
            )
        for place in (folder, folder / "home" / "serving"):  # of a play that was killed
            processes.end_all(place)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


def _played(play: Play) -> tuple[int, str]:
    """Exit code, and what went wrong. Every process is ended, whatever happens."""
    try:
        play.prepare()
        play.run()
    except NotHappened as error:
        return 1, str(error)
    except KeyboardInterrupt:
        return 130, "interrupted; 'make demo-loop' begins anew"
    finally:
        play.stage.close()
    return 0, ""


def _drawn(play: Play, folder: Path) -> list[Path]:
    if not play.living.history:
        return []
    until = datetime.combine(play.living.week.first + timedelta(days=7), datetime.min.time())
    return draw(play.living.history, play.story.marks, until, folder / "reports", _TITLE)


def _summary(play: Play, pictures: list[Path], problem: str) -> None:
    story, out = play.story, play.story.out
    out.print()
    for act in ACTS:
        done = act in story.acts
        out.print(
            f"{'✓' if done else '✗'} {act}", style="green" if done else "red", markup=False, soft_wrap=True
        )
    if problem:
        out.print(f"\n{problem}", style="bold red", markup=False, soft_wrap=True)
    out.print()
    for name, value in _facts(play, pictures):
        out.print(f"{name:<10} {value}", markup=False, soft_wrap=True)


def _facts(play: Play, pictures: list[Path]) -> list[tuple[str, str]]:
    answers = play.living.answers
    facts = [
        ("took", f"{play.story.seconds:.0f} s"),
        ("payments", f"{answers.total:,} answered over HTTP, {len(answers.failures)} requests failed"),
    ]
    facts += [("picture", str(path)) for path in pictures]
    home_ = play.stage.home
    return [*facts, ("look", f"MLCICD_HOME={home_} .venv/bin/mlcicd audit fraud_detector")]


if __name__ == "__main__":
    sys.exit(main())
