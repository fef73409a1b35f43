"""The one comment of ours on a pull request (GitHub) or merge request (GitLab), updated in place."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.protocols import ResourceError

_SECONDS = 30.0
_PAGE = 100
_PAGES = 50  # of comments that are looked through


@dataclass(frozen=True)
class Posted:
    """Where the comment is, and whether it was there before."""

    address: str
    updated: bool


@dataclass(frozen=True)
class Forge:
    """Where comments are, and how it is asked; `headers` hold the token and are shown to nobody."""

    name: str
    comments: str  # below `api`: lists and creates
    one: str  # below `api`: {id} is updated
    api: str
    headers: Mapping[str, str]
    update: str  # PATCH or PUT

    def __repr__(self) -> str:
        return f"Forge({self.name}, {self.comments})"


def forge_of(environment: Mapping[str, str], number: int | None = None) -> Forge:
    """GitHub or GitLab, by the variables that their runners set; raises ResourceError naming what is missing.

    `number` of the pull request; default: that of the event, or of the merge request.
    """
    if environment.get("CI_API_V4_URL"):
        return _gitlab(environment, number)
    token = _needed(
        environment, "GITHUB_TOKEN", "pass it to this step: env: GITHUB_TOKEN: ${{ github.token }}"
    )
    repository = _needed(environment, "GITHUB_REPOSITORY", "it reads like 'owner/name'")
    pull = number or _pull_request(environment)
    return Forge(
        "GitHub",
        f"/repos/{repository}/issues/{pull}/comments",
        f"/repos/{repository}/issues/comments/{{id}}",
        environment.get("GITHUB_API_URL") or "https://api.github.com",
        {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        "PATCH",
    )


def _gitlab(environment: Mapping[str, str], number: int | None) -> Forge:
    token = _needed(environment, "GITLAB_TOKEN", "a project access token with the scope api")
    project = _needed(environment, "CI_PROJECT_ID", "GitLab's runners set it")
    request = number or _needed(environment, "CI_MERGE_REQUEST_IID", "run the job in merge request pipelines")
    notes = f"/projects/{project}/merge_requests/{request}/notes"
    return Forge(
        "GitLab", notes, f"{notes}/{{id}}", environment["CI_API_V4_URL"], {"PRIVATE-TOKEN": token}, "PUT"
    )


def post(forge: Forge, body: str, marker: str) -> Posted:
    """Update the comment that begins with `marker` and is ours, or make it; raises ResourceError."""
    import httpx

    transport = httpx.HTTPTransport(retries=2)
    with httpx.Client(
        base_url=forge.api, headers=forge.headers, timeout=_SECONDS, transport=transport
    ) as client:
        try:
            mine = _mine(client, forge, marker)
            if mine is None:
                answer = client.post(forge.comments, json={"body": body})
            else:
                answer = client.request(forge.update, forge.one.format(id=mine), json={"body": body})
            made = _checked(forge, answer)
        except httpx.HTTPError as error:
            # Not its text: it may hold the request's headers.
            raise ResourceError(
                f"{forge.name} could not be reached ({type(error).__name__}); try again"
            ) from None
    return Posted(str(made.get("html_url") or f"{forge.comments}/{made.get('id')}"), mine is not None)


def _mine(client: Any, forge: Forge, marker: str) -> str | None:
    """The id of our comment: somebody else's that begins alike is left alone."""
    us = _own_name(client)
    for comment in _comments(client, forge):
        user = comment.get("user") or comment.get("author") or {}
        name = user.get("login") or user.get("username")
        # A workflow's token may not ask who it is: then it is a bot.
        ours = name == us if us else user.get("type") == "Bot"
        if ours and str(comment.get("body", "")).startswith(marker):
            return str(comment["id"])
    return None


def _own_name(client: Any) -> str:
    answer = client.get("/user")
    if answer.status_code != 200:
        return ""
    told = answer.json()
    return str(told.get("login") or told.get("username") or "")


def _comments(client: Any, forge: Forge) -> Iterator[dict[str, Any]]:
    for page in range(1, _PAGES + 1):
        found = _checked(forge, client.get(forge.comments, params={"per_page": _PAGE, "page": page}))
        yield from found
        if len(found) < _PAGE:
            return


def _checked(forge: Forge, answer: Any) -> Any:
    if answer.is_success:
        return answer.json()
    hints = {
        401: "the token is not valid",
        403: "the token may not write comments: permissions: pull-requests: write",
        404: "there is no such pull request, or the token may not see it",
        422: "the comment is refused: is it too long?",
    }
    hint = hints.get(answer.status_code, "try again later")
    raise ResourceError(f"{forge.name} answered {answer.status_code} for {forge.comments}: {hint}")


def _pull_request(environment: Mapping[str, str]) -> int:
    path = _needed(environment, "GITHUB_EVENT_PATH", "or name the pull request with --pull-request")
    try:
        event = json.loads(Path(path).read_text())
        number = (event.get("pull_request") or event.get("issue") or {}).get("number") or event.get("number")
    except (OSError, ValueError, AttributeError) as error:
        raise ResourceError(f"the event in {path} cannot be read: {error}") from error
    if not isinstance(number, int):
        raise ResourceError("this event is of no pull request: run in 'on: pull_request', or name one")
    return number


def _needed(environment: Mapping[str, str], name: str, remedy: str) -> str:
    found = environment.get(name)
    if not found:
        raise ResourceError(f"{name} is not set: {remedy}")
    return found
