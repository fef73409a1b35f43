"""What follows from what was seen: a request for a training, and alerts. All of it may be done again.

An episode asks once: its request has its fingerprint, and the store keeps what it ever kept. Where the
training was refused, failed, or gave a champion that does no better, a person is told, and nothing is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.episodes import Episode, advance, silent
from mlcicd_assets.ml.monitoring.signals import (
    CAUSES,
    FEATURE_DRIFT,
    PERFORMANCE,
    SCORE_DRIFT,
    TRAFFIC,
    TRAINABLE,
    Cause,
    Signal,
)
from resources.protocols import Alert, Alerts, KeptRequest, Request, Requests, Severity

_SEVERITY: Mapping[Cause, Severity] = {"drift": "warning", "performance": "critical", "traffic": "critical"}
_WORDS: Mapping[Cause, str] = {
    "drift": "what it is given or says has changed",
    "performance": "its labelled performance fell",
    "traffic": "users see errors or wait too long",
}
ASKED = 500  # of the newest requests, among which an episode's is looked for


@dataclass
class Consequences:
    """What one run did, for people."""

    episodes: list[Episode] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)


def follow(
    lane: ModelLane,
    known: Sequence[Episode],
    history: Sequence[Signal],
    champion: int,
    requests: Requests,
    alerts: Alerts,
) -> Consequences:
    """Advance every cause's episodes, and do what they ask for."""
    model, monitor = lane.model.name, lane.model.monitor
    done = Consequences()
    for cause in dict.fromkeys(CAUSES.values()):
        found = advance(
            known,
            history,
            champion=champion,
            cause=cause,
            rule=monitor.violations,
            recover=monitor.recover,
            model=model,
        )
        done.episodes += found
        current = next((one for one in found if one.open), None)
        if current is None:
            last = found[-1] if found else None
            _resolve(done, alerts, f"monitoring/{model}/{cause}", _ended(last, champion))
            _resolve(done, alerts, f"monitoring/{model}/{cause}/unhelped", _ended(last, champion))
        else:
            _stands(done, lane, current, history, requests, alerts)
    _silences(done, lane, history, champion, alerts)
    done.episodes.sort(key=lambda one: (one.began, one.cause, one.version))
    return done


def _stands(
    done: Consequences,
    lane: ModelLane,
    episode: Episode,
    history: Sequence[Signal],
    requests: Requests,
    alerts: Alerts,
) -> None:
    model = lane.model.name
    evidence = evidence_of(episode, history)
    said = f"{model} version {episode.version}: {_WORDS[episode.cause]} ({evidence['windows']})"
    request = _request(done, lane, episode, said, evidence, requests)
    _tell(
        done,
        alerts,
        Alert(
            cause=f"monitoring/{model}/{episode.cause}",
            state=f"version {episode.version}: {', '.join(episode.signals)}",
            severity=_SEVERITY[episode.cause],
            title=said,
            subject=f"model:{model}",
            owner=lane.model.owner,
            evidence=evidence,
            command=f"mlcicd monitor {model}",
        ),
    )
    problem = unhelped(episode, request)
    if problem:
        _tell(
            done,
            alerts,
            Alert(
                cause=f"monitoring/{model}/{episode.cause}/unhelped",
                state=f"version {episode.version}: {episode.began}",
                severity="critical",
                title=f"{model}: retraining did not help, a person is needed: {problem}",
                subject=f"model:{model}",
                owner=lane.model.owner,
                evidence=evidence,
                command=f"mlcicd monitor {model}",
            ),
        )


def _request(
    done: Consequences,
    lane: ModelLane,
    episode: Episode,
    said: str,
    evidence: Mapping[str, str | int | float | bool | None],
    requests: Requests,
) -> KeptRequest | None:
    """Ask for a training where the declaration wants it; what was asked before is found."""
    retrain = lane.model.retrain
    fingerprint = episode.fingerprint(lane.model.name)
    wanted = retrain is not None and (
        (episode.cause == "drift" and retrain.drift)
        or (episode.cause == "performance" and retrain.performance)
    )
    if wanted and not episode.unhelped and episode.cause in TRAINABLE:
        cause: Literal["drift", "performance"] = "drift" if episode.cause == "drift" else "performance"
        asked = Request(
            scope=f"model:{lane.model.name}",
            cause=cause,
            fingerprint=fingerprint,
            reason=said,
            evidence={**evidence, "violated": list(episode.violated), "signals": list(episode.signals)},
            by="monitoring",
        )
        if requests.add(asked):
            done.requested.append(said)
    kept = [one for one in requests.history(ASKED) if one.request.fingerprint == fingerprint]
    return kept[0] if kept else None


def unhelped(episode: Episode, request: KeptRequest | None) -> str:
    """Why no further training is to be expected to mend it; empty while one may."""
    if episode.unhelped:
        return f"version {episode.version} was trained for it, and was never well"
    if request is not None and request.state in {"failed", "refused"}:
        return f"its training was {request.state}: {request.answer or 'see the run'}"
    return ""


def evidence_of(episode: Episode, history: Sequence[Signal]) -> dict[str, str | int | float | bool | None]:
    """The newest violated value of each signal, with its bound, and which windows."""
    newest: dict[str, Signal] = {}
    for one in history:
        if (
            one.version == episode.version
            and CAUSES.get(one.name) == episode.cause
            and one.state == "violated"
        ):
            newest[one.name] = one
    shown: dict[str, str | int | float | bool | None] = {
        "version": episode.version,
        "windows": ", ".join(key.removesuffix("T00:00") for key in episode.violated),
    }
    for name, one in newest.items():
        shown[name] = one.reason
    return shown


def _ended(last: Episode | None, champion: int) -> str:
    if last is None:
        return "nothing is violated"
    if last.ending == "replaced":
        return f"version {champion} serves now"
    return f"recovered in {last.ended.removesuffix('T00:00')}"


def _silences(
    done: Consequences, lane: ModelLane, history: Sequence[Signal], champion: int, alerts: Alerts
) -> None:
    """What nobody has known anything of for too long."""
    model, limit = lane.model.name, lane.model.monitor.silence
    for name in (TRAFFIC, SCORE_DRIFT, FEATURE_DRIFT, PERFORMANCE):
        windows = silent(history, champion, name)
        cause = f"monitoring/{model}/{name}/silent"
        if windows < limit:
            _resolve(done, alerts, cause, "there is evidence again")
            continue
        why = [one.reason for one in history if one.name == name and one.version in {champion, 0}][-1]
        _tell(
            done,
            alerts,
            Alert(
                cause=cause,
                state="silent",
                severity="warning",
                title=f"{model}: nothing is known of {name.replace('_', ' ')} for {windows} windows: {why}",
                subject=f"model:{model}",
                owner=lane.model.owner,
                evidence={"windows": windows, "reason": why},
                command=f"mlcicd monitor {model}",
            ),
        )


def _tell(done: Consequences, alerts: Alerts, alert: Alert) -> None:
    alerts.raise_alert(alert)
    done.told.append(alert.title)


def _resolve(done: Consequences, alerts: Alerts, cause: str, reason: str) -> None:
    if alerts.resolve(cause, reason=reason):
        done.resolved.append(cause)
