"""What the ledger, the evaluation and the requests say, told in the story."""

from mlcicd_assets.demo_loop.stage import NotHappened, Stage
from mlcicd_assets.demo_loop.story import Story
from mlcicd_assets.demo_loop.watching import Watching


def tell_runs(stage: Stage, story: Story, after: int) -> None:
    """The requests with a higher number, and how few runs answered them."""
    asked = [one for one in stage.requests() if one.id > after]
    runs = {one.run for one in asked if one.run}
    causes = ", ".join(f"{one.request.scope} {one.request.cause}" for one in asked)
    story.tell("training", f"{len(asked)} requests ({causes}), {len(runs)} runs that answered them last")


def tell_evaluation(watching: Watching, story: Story) -> float | None:
    """The newest training against the champion; the least gain, None without a champion."""
    trained = watching.entries("trained")[-1]
    found = watching.evaluation(str(trained.details["run"]))
    split, holdout = found.training, found.holdout
    start, end = (holdout.start, holdout.end) if holdout else split.holdout
    story.tell(
        "training",
        f"trained on {split.train[0]:%Y-%m-%d} to {split.train[1]:%m-%d}, {split.train_rows:,} payments; "
        f"judged on {found.rows:,} labelled ones, {start:%Y-%m-%d} to {end:%m-%d}",
    )
    mine = (
        next((one for one in found.significance.metrics if one.decides), None) if found.significance else None
    )
    if mine is None or mine.champion is None or mine.gain_low is None or mine.gain_high is None:
        value = found.metrics["average_precision"]
        story.tell("training", f"average precision {value:.2f}; there is no champion yet")
        return None
    story.tell(
        "training",
        f"average precision {mine.value:.2f} against the champion's {mine.champion:.2f}: {mine.verdict} "
        f"(gain {mine.gain_low:+.2f} to {mine.gain_high:+.2f})",
    )
    return mine.gain_low


def tell_rollout(watching: Watching, story: Story, version: int) -> None:
    """The steps that the canary took; raises NotHappened where it took none."""
    seen: dict[str, None] = {}
    for one in watching.entries("rollout_routed"):
        share = (one.details.get("weights") or {}).get(str(version))
        if one.version == version and share:
            seen[f"{share} %"] = None
    if len(seen) < 2:
        raise NotHappened(f"the canary took these steps only: {', '.join(seen) or 'none'}")
    story.tell("release", f"canary: {', '.join(seen)} of the traffic, then all of it to version {version}")
