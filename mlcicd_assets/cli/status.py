"""`mlcicd status`: the data, the candidates, the champions, and what really serves."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.rollout import rollout_lines
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from rich.table import Table

    from mlcicd_assets.ml.catalogue import DataLane, ModelLane
    from mlcicd_assets.release.verdict import Verdict
    from resources.protocols import ModelVersion, ServingStatus

Report = dict[str, Any]


def status(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="One model and its dataset; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Show the data, the candidates, and what really serves."""
    report = gather(session_of(context), model)
    print_json(report) if as_json else _show(report)


def gather(session: Session, model: str | None = None) -> Report:
    """Everything that `status` shows, as plain data."""
    if model is None:
        models, datasets = session.catalogue.models, session.catalogue.datasets
    else:
        lane = session.model(model)
        models, datasets = {model: lane}, {lane.data.dataset.name: lane.data}
    serving = session.serving.status()
    return {
        "datasets": [dataset_report(session, found) for found in datasets.values()],
        "models": [_model(session, found, serving) for found in models.values()],
        "serving": {
            "running": serving.running,
            "addresses": dict(serving.addresses),
            "problems": list(serving.problems),
        },
    }


def dataset_report(session: Session, lane: "DataLane") -> Report:
    """What has landed and was kept of one dataset."""
    raw = session.lake.versions(lane.table("raw_data"))
    valid = session.lake.versions(lane.table("validated_data"))
    newest = max(valid, key=lambda partition: partition or "", default=None)
    version = valid.get(newest)
    return {
        "name": lane.dataset.name,
        "partitions": lane.dataset.partitions,
        "landed": _landed(session, lane),
        "raw_data": len(raw),
        "validated_data": len(valid),
        "newest": newest,
        "rows": sum(found.rows for found in valid.values()),
        "table_version": max((found.version for found in valid.values()), default=None),
        "data_version": version.content if version else None,
    }


def _landed(session: Session, lane: "DataLane") -> int:
    from resources.protocols import ResourceError

    template = lane.dataset.source.files
    if not template:  # a database or a function: nothing lands
        return 0
    if lane.dataset.partitions != "none":
        return len(session.landing.partitions(template))
    try:
        session.landing.find(template, None)
    except ResourceError:  # nothing has landed
        return 0
    return 1


def _model(session: Session, lane: "ModelLane", serving: "ServingStatus") -> Report:
    from mlcicd_assets.cli.proofs import champion_version
    from mlcicd_assets.cli.rollout import rollout_report

    name = lane.model.name
    champion = champion_version(session.ledger, name)
    versions = session.registry.versions(name)
    routes = dict(session.serving.routes("production", name)) if serving.running else {}
    return {
        "name": name,
        "candidate": _candidate(session, name, versions),
        "versions": [_version(version) for version in versions],
        "champion": champion,
        "production": {str(version): share for version, share in routes.items()},
        "moved_aliases": _moved(session, name, versions),
        "serves_champion": champion is not None and routes == {champion: 100},
        "rollout": rollout_report(session, name),
        "servers": [
            {
                "version": server.version,
                "environment": server.environment,
                "state": server.state,
                "weight": server.weight,
                "error": server.error,
            }
            for server in serving.servers
            if server.model == name
        ],
    }


def _moved(session: Session, model: str, versions: list["ModelVersion"]) -> list[str]:
    """The registry's aliases that do not stand where the ledger says."""
    from mlcicd_assets.release.lifecycle import deviations

    aliases = {alias: version.version for version in versions for alias in version.aliases}
    return [str(one) for one in deviations(session.ledger.entries(model), model, aliases)]


def _version(version: "ModelVersion") -> Report:
    return {
        "version": version.version,
        "digest": version.digest,
        "aliases": list(version.aliases),
        "lifecycle": version.tags.get("lifecycle", ""),
        "created": version.created,
    }


def _candidate(session: Session, model: str, versions: list["ModelVersion"]) -> Report | None:
    from mlcicd_assets.cli.proofs import candidate, read_verdict
    from mlcicd_assets.release.envelope import Refused

    trained = candidate(session.ledger, model)
    if trained is None:
        return None
    known = next((version for version in versions if version.digest == trained.digest), None)
    report: Report = {"digest": trained.digest, "run": trained.run_id, "failed_gates": []}
    report["version"] = known.version if known else None
    report["approval"] = "not needed"
    try:
        verdict = read_verdict(session, trained.run_id)
    except Refused as refused:
        return {**report, "verdict": "refused", "reason": str(refused)}
    if verdict is None:
        return {**report, "verdict": "missing", "reason": f"materialize {model}/evaluation_report"}
    report["verdict"] = "passed" if verdict.passed else "failed"
    report["failed_gates"] = [
        {"name": gate.name, "value": gate.value, "bound": gate.bound, "message": gate.message}
        for gate in verdict.gates
        if not gate.passed
    ]
    report["approval"] = _approval(session, verdict, known)
    return report


def _approval(session: Session, verdict: "Verdict", version: "ModelVersion | None") -> str:
    from mlcicd_assets.cli.proofs import awaits_person, fetched, prove_production
    from mlcicd_assets.release.envelope import Refused

    if not awaits_person(verdict):
        return "not needed"
    if version is None:
        return "needed once registered"
    with fetched(session, version) as found:
        if found.approval is None and found.override is None:
            return "pending"
        try:
            proven = prove_production(session, found, session.now())
        except Refused as refused:
            return f"refused: {refused}"
    if proven.approval:
        return f"approved by {proven.approval.by} until {proven.approval.expires}"
    used = proven.override
    return f"OVERRIDDEN by {used.by}: {used.reason}" if used else "not needed"


# -- for people -----------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    out = console()
    out.print(data_table(report["datasets"]))
    for model in report["models"]:
        out.print()
        out.print(f"[bold]{model['name']}[/]")
        for line in _model_lines(model):
            out.print(f"  {line}", markup=False)
        if model["versions"]:
            columns = ["  version", "digest", "aliases", "lifecycle", "registered"]
            out.print(table("", columns, [_version_row(version) for version in model["versions"]]))
    out.print()
    for line in _serving_lines(report["serving"]):
        out.print(line, markup=False)


def data_table(datasets: list[Report]) -> "Table":
    """The datasets, one a row."""
    columns = ["dataset", "landed", "raw", "validated", "newest", "rows", "data version"]
    return table("Data", columns, [_dataset_row(data) for data in datasets])


def _dataset_row(data: Report) -> list[object]:
    version = (
        f"{data['data_version'][:12]} (table {data['table_version']})" if data["data_version"] else "none"
    )
    newest = data["newest"] or ("all" if data["validated_data"] else "none")
    return [
        data["name"],
        data["landed"],
        data["raw_data"],
        data["validated_data"],
        newest,
        data["rows"],
        version,
    ]


def _version_row(version: Report) -> list[object]:
    return [
        f"  {version['version']}",
        version["digest"][:12],
        ", ".join(version["aliases"]),
        version["lifecycle"],
        version["created"],
    ]


def _model_lines(model: Report) -> list[str]:
    lines = [_candidate_line(model["name"], model["candidate"])]
    lines += [f"  {line}" for line in _gate_lines(model["candidate"])]
    if model["candidate"] and model["candidate"]["approval"] != "not needed":
        lines.append(f"approval: {model['candidate']['approval']}")
    lines.append(_champion_line(model))
    lines += [f"{told}; put back with: mlcicd repair {model['name']}" for told in model["moved_aliases"]]
    if model["rollout"] is not None:
        head, *more = rollout_lines(model["rollout"])
        lines += [head, *(f"  {line}" for line in more)]
    lines += [
        f"server of version {server['version']} ({server['environment']}) failed: {server['error']}"
        for server in model["servers"]
        if server["state"] == "failed"
    ]
    return lines


def failed_gates(session: Session, model: str) -> list[str]:
    """The gates that the last trained package failed, one line each."""
    return _gate_lines(_candidate(session, model, []))


def _gate_lines(candidate: Report | None) -> list[str]:
    return [
        f"gate {gate['name']}: {gate['message'] or _value(gate['value']) + ' is not ' + gate['bound']}"
        for gate in (candidate or {}).get("failed_gates", [])
    ]


def _value(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"


def _candidate_line(model: str, candidate: Report | None) -> str:
    if candidate is None:
        return f"candidate: none; materialize {model}/trained_model"
    registered = f", version {candidate['version']}" if candidate["version"] else ", not registered"
    why = f" ({candidate['reason']})" if candidate.get("reason") else ""
    return f"candidate: {candidate['digest'][:12]}, verdict {candidate['verdict']}{why}{registered}"


def _champion_line(model: Report) -> str:
    if model["champion"] is None:
        return "champion: none yet"
    if model["serves_champion"]:
        return f"champion: version {model['champion']}, all production traffic goes to it"
    routed = ", ".join(f"version {version} {share} %" for version, share in model["production"].items())
    if model["rollout"] and model["rollout"]["weights"] == model["production"]:
        return f"champion: version {model['champion']}, beside it a rollout: {routed}"
    return (
        f"champion: version {model['champion']}, but production serves {routed or 'nothing'}; "
        "repair with 'mlcicd serve start'"
    )


def _serving_lines(serving: Report) -> list[str]:
    if not serving["running"]:
        return ["serving: stopped; 'mlcicd serve start' brings it up", *serving["problems"]]
    return [*(f"{name}: {address}" for name, address in serving["addresses"].items()), *serving["problems"]]
