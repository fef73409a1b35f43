"""`mlcicd pull`: brings the commit here that a request waits for."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from pathlib import Path

_RELOAD = """
mutation Reload($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on PythonError { message }
  }
}
"""
_LOCATION = "mlcicd"
_RELOAD_S = 120


def pull(
    context: typer.Context,
    reload: Annotated[
        str | None, typer.Option(help="Dagster's address: it loads the declarations anew.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the working tree forward to its remote branch; never backward, and never under a run."""
    from resources import PROJECT
    from resources.repository_git import WatchedRepository
    from resources.repository_pull import pull as go_forward

    session = session_of(context)
    _require_no_run(session)
    watched = WatchedRepository(session.environment, PROJECT, session.home.cache / "git")
    pulled = go_forward(watched.working_tree())
    if reload:
        reload_location(reload)
    if as_json:
        print_json({"branch": pulled.branch, "before": pulled.before, "after": pulled.after})
        return
    if pulled.before == pulled.after:
        typer.echo(f"{pulled.branch} is at {pulled.after[:12]} already")
    else:
        typer.echo(f"{pulled.branch} went forward from {pulled.before[:12]} to {pulled.after[:12]}")
    if reload:
        typer.echo(f"{reload} has loaded the declarations anew")


def reload_location(address: str) -> None:
    """Let Dagster's web server load the code location anew; raises ResourceError where it cannot."""
    import httpx

    from resources.protocols import ResourceError

    asked = {"query": _RELOAD, "variables": {"location": _LOCATION}}
    try:
        answer = httpx.post(f"{address.rstrip('/')}/graphql", json=asked, timeout=_RELOAD_S)
        found = answer.raise_for_status().json()["data"]["reloadRepositoryLocation"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise ResourceError(f"{address} did not reload ({told}): is Dagster's web server there?") from error
    inner = found.get("locationOrLoadError") or {}
    if found["__typename"] != "WorkspaceLocationEntry" or inner.get("__typename") == "PythonError":
        said = " ".join(str(inner.get("message") or found.get("message") or found["__typename"]).split())
        raise ResourceError(f"{address} could not load the declarations: {said[:500]}")


def _require_no_run(session: Session) -> None:
    """A run imports its code as it goes: files that change under it would mix two commits."""
    from mlcicd_assets.cli.init import dagster_home
    from resources.protocols import ResourceError

    going = _going(dagster_home(session))
    if going:
        raise ResourceError(f"run {going[0]} goes on, and would mix two commits: pull when it has ended")


def _going(folder: "Path") -> list[str]:
    import dagster as dg

    if not (folder / "dagster.yaml").is_file():
        return []  # nothing ever ran here
    started = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=started), limit=1)]
