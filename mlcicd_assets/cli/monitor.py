"""`mlcicd monitor`: how a model does in production, as monitoring last saw it; runs nothing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import session_of

if TYPE_CHECKING:
    from mlcicd_assets.ml.monitoring.episodes import Episode
    from mlcicd_assets.ml.monitoring.signals import Signal

_MARKS = {"ok": "ok", "violated": "VIOLATED", "waiting": "waiting", "not enough evidence": "unknown"}
_OF_WINDOWS = ("performance", "labels", "feature_drift", "score_drift", "error_rate")


def monitor(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A declared model.")],
    windows: Annotated[int, typer.Option("--windows", min=1, help="How many of the newest windows.")] = 7,
    as_of: Annotated[str, typer.Option("--as-of", help="Windows over by then: 2026-04-10T00:00.")] = "",
    as_json: Json = False,
) -> None:
    """Show each signal's newest state, the newest windows, and the episodes."""
    from mlcicd_assets.assets.monitoring.kept import episodes, history
    from mlcicd_assets.ml.monitoring.windows import window_length
    from mlcicd_assets.release.run_files import champion_pointer

    session = session_of(context)
    lane = session.model(model)
    champion = int(session.ledger.pointer(champion_pointer(lane.model.name)) or 0)
    window = lane.model.monitor.window
    signals = history(session.lake, model, until=_until(as_of, window), length=window_length(window))
    found = episodes(session.lake, model)
    if as_json:
        print_json(_as_json(model, champion, signals, found, windows))
        return
    _show(model, champion, signals, found, windows)


def _until(as_of: str, window: str) -> str | None:
    """The newest window that was over then; raises BadParameter for a text that is no moment."""
    from datetime import datetime

    from mlcicd_assets.ml.monitoring.windows import last_spans, window_length

    if not as_of:
        return None
    try:
        return last_spans(datetime.fromisoformat(as_of), window_length(window), 1)[0].key
    except ValueError:
        raise typer.BadParameter(f"--as-of reads like 2026-04-10T00:00, not {as_of!r}") from None


def _as_json(
    model: str, champion: int, signals: "list[Signal]", found: "list[Episode]", windows: int
) -> dict[str, Any]:
    from dataclasses import asdict

    from mlcicd_assets.ml.monitoring.episodes import latest

    newest = sorted({one.window for one in signals})[-windows:]
    return {
        "model": model,
        "champion": champion or None,
        "signals": {name: asdict(one) for name, one in latest(signals, champion).items()},
        "windows": [asdict(one) for one in signals if one.window in newest],
        "episodes": [
            {**asdict(one), "stands": one.open, "fingerprint": one.fingerprint(model)} for one in found
        ],
    }


def _show(model: str, champion: int, signals: "list[Signal]", found: "list[Episode]", windows: int) -> None:
    from mlcicd_assets.ml.monitoring.episodes import latest

    out = console()
    if not signals:
        typer.echo(f"{model}: nothing was looked at yet; materialize {model}/monitoring_report")
        return
    rows = [
        (
            one.name,
            _MARKS[one.state],
            _value(one),
            one.bound,
            one.window.removesuffix("T00:00"),
            one.reason,
        )
        for one in latest(signals, champion).values()
    ]
    title = f"{model}, champion version {champion}"
    out.print(table(title, ["signal", "state", "value", "bound", "window", "why"], rows))
    by_window: dict[tuple[str, int], dict[str, Signal]] = {}
    for one in signals:
        by_window.setdefault((one.window, one.version), {})[one.name] = one
    shown = sorted({window for window, _ in by_window})[-windows:]
    lines = [
        (
            window.removesuffix("T00:00"),
            str(version or "–"),
            str(mine["traffic"].rows) if "traffic" in mine else "",
            *(_cell(mine.get(name)) for name in _OF_WINDOWS),
        )
        for (window, version), mine in sorted(by_window.items())
        if window in shown
    ]
    heads = ["window", "version", "rows", *(name.replace("_", " ") for name in _OF_WINDOWS)]
    out.print(table(f"The newest {len(shown)} windows", heads, lines))
    for episode in found:
        ended = f"{episode.ending} {episode.ended.removesuffix('T00:00')}".strip()
        state = "stands" if episode.open else ended
        needs = "; retraining did not help, a person is needed" if episode.unhelped else ""
        typer.echo(
            f"episode: {episode.cause} of version {episode.version} since "
            f"{episode.began.removesuffix('T00:00')}, {state}{needs}"
        )


def _value(one: "Signal") -> str:
    if one.value is None:
        return "–"
    interval = f" ({one.low:.3g} to {one.high:.3g})" if one.low is not None and one.high is not None else ""
    return f"{one.value:.4g}{interval}"


def _cell(one: "Signal | None") -> str:
    if one is None:
        return ""
    value = "" if one.value is None else f"{one.value:.3g} "
    return f"{value}{_MARKS[one.state]}"
