"""Who may sign what: the pipeline's keys, and people with keys of their own.

The pipeline's key proves that a decision went through the pipeline; only their own key proves a person.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mlcicd_assets.release.envelope import Refused, Sealed, open_statement, public_key
from mlcicd_assets.release.verdict import ApprovalPolicy, Verdict

_ADDRESS = re.compile(r"^(?P<name>[^<>]*)<(?P<address>[^<>]+)>$")


class Signatory(Protocol):
    """A person whose own key signs; `resources.protocols.Approver` is one."""

    @property
    def name(self) -> str:
        """A name, a handle or an e-mail address."""
        ...

    @property
    def key(self) -> bytes:
        """The public key, PEM."""
        ...

    @property
    def teams(self) -> Sequence[str]:
        """`team:risk`."""
        ...


@dataclass(frozen=True)
class Person:
    """A signatory as a server reads it from a file."""

    name: str
    key: bytes
    teams: tuple[str, ...] = ()


def read_signatories(content: bytes) -> list[Person]:
    """Read `[{"name": …, "key": PEM, "teams": […]}]`; raises Refused."""
    try:
        people = [
            Person(str(one["name"]), str(one["key"]).encode(), tuple(map(str, one["teams"])))
            for one in json.loads(content)
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"the file of approvers cannot be read ({type(error).__name__})") from error
    return people


@dataclass(frozen=True)
class Trust:
    """Whose signatures count."""

    keys: Sequence[bytes]  # the pipeline's, PEM
    approvers: Sequence[Signatory] = ()


def identity(name: str) -> str:
    """One spelling for one person: `Ada <Ada+work@Example.org>`, `ada@example.org` -> `ada@example.org`."""
    found = _ADDRESS.match(name.strip())
    text = " ".join((found["address"] if found else name).casefold().split()).removeprefix("@")
    local, at, domain = text.partition("@")
    return f"{local.split('+')[0]}@{domain}" if at else text


def same_person(one: str, other: str) -> bool:
    """Whether two names may mean one person: by address, by handle, or by the name before the address.

    For refusing only: where it is in doubt, two spellings are one person.
    """
    mine, theirs = _spellings(one), _spellings(other)
    if identity(one) == identity(other) or (mine["named"] and mine["named"] == theirs["named"]):
        return True
    # A handle alone is compared with whatever the other could be called by.
    return any(
        "@" not in identity(name) and identity(name) in set(spelt.values())
        for name, spelt in ((one, theirs), (other, mine))
    )


def _spellings(name: str) -> dict[str, str]:
    found = _ADDRESS.match(name.strip())
    named = " ".join(found["name"].casefold().split()).strip("\"'") if found else ""
    address = (found["address"] if found else name).strip().casefold().removeprefix("@")
    local = address.partition("@")[0]
    # GitHub's 1234+ada@users.noreply.github.com is the handle ada.
    return {"named": named, "local": local.partition("+")[0], "handle": local.rpartition("+")[2]}


def open_signed(envelope: bytes | None, trust: Trust, predicate_type: str) -> tuple[Sealed, Signatory | None]:
    """Prove the signature; returns what it says and the person who signed it; None is the pipeline.

    An approver's key that is the pipeline's as well proves no person. Raises Refused.
    """
    pipeline = {public_key(pem).keyid for pem in trust.keys}
    for approver in trust.approvers:
        if public_key(approver.key).keyid in pipeline:
            continue
        try:
            return open_statement(envelope, [approver.key], predicate_type), approver
        except Refused:
            continue
    return open_statement(envelope, trust.keys, predicate_type), None


def require_signatory(policy: ApprovalPolicy, signer: Signatory | None, by: str, what: str) -> None:
    """Refuse a decision whose signer does not have it to give; raises Refused."""
    if signer is not None and identity(signer.name) != identity(by):
        raise Refused(f"the {what} says {by!r}, but the key of {signer.name} signed it")
    if not policy.approvers:
        return
    named = ", ".join(policy.approvers)
    if signer is None:
        raise Refused(
            f"the {what} is signed by the pipeline's key, which proves no person; "
            f"one of {named} signs it with a key of their own (mlcicd keys new)"
        )
    allowed = {identity(name) for name in policy.approvers}
    if not allowed & {identity(signer.name), *(identity(team) for team in signer.teams)}:
        raise Refused(f"{signer.name} is not among the declared approvers: {named}")


def require_other_eyes(policy: ApprovalPolicy, verdict: Verdict, by: str, what: str) -> None:
    """Where four eyes are declared, refuse the author of the commit, or an author nobody knows."""
    if not policy.four_eyes:
        return
    if verdict.dirty or verdict.commit == "none" or not verdict.author:
        why = "it was trained from uncommitted changes" if verdict.dirty else "its commit names no author"
        raise Refused(f"four eyes are declared, and {why}: commit, and train again")
    if same_person(by, verdict.author):
        raise Refused(
            f"four eyes are declared, and {by} is the author of its commit: the {what} does not count"
        )
