"""Every proof against everything that it may be confused with: forged, replayed, expired, foreign."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcicd_assets.release.approval import Approval, AwaitsApproval, seal_approval
from mlcicd_assets.release.authorisation import (
    Authorised,
    Proofs,
    authorise_artifact,
    authorise_production,
)
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.override import Override, seal_override
from mlcicd_assets.release.signatories import Trust
from mlcicd_assets.release.verdict import ApprovalPolicy, Verdict, seal
from tests.fakes.releases import key_pair

KeyPair = tuple[bytes, bytes]
MakeVerdict = Callable[..., Verdict]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MODEL, VERSION, DIGEST = "flight_delay", 3, "a" * 64
FAILED = [
    {"name": "roc_auc", "value": 0.61, "bound": ">= 0.65", "passed": False},
    {"name": "brier", "value": 0.3, "bound": "<= 0.25", "passed": False},
    {"name": "log_loss", "value": 0.5, "bound": "<= 0.7", "passed": True},
]


@dataclass(frozen=True)
class Person:
    name: str
    key: bytes
    teams: tuple[str, ...] = ()


ADA, BOB, PIPELINE = key_pair(11), key_pair(12), key_pair(1)
PEOPLE = (Person("Ada@example.org", ADA[1], ("team:risk",)), Person("bob@example.org", BOB[1]))
TRUST = Trust([PIPELINE[1]], PEOPLE)


def approval(key: KeyPair = PIPELINE, **changes: Any) -> bytes:
    made = {
        "model": MODEL,
        "version": VERSION,
        "digest": DIGEST,
        "decision": "approve",
        "by": "ada@example.org",
        "reason": "looked at it",
        "at": NOON.isoformat(),
        "expires": (NOON + timedelta(days=7)).isoformat(),
    }
    return seal_approval(Approval.model_validate({**made, **changes}), key[0])


def waiver(key: KeyPair = PIPELINE, **changes: Any) -> bytes:
    made = {
        "model": MODEL,
        "digest": DIGEST,
        "gates": ["roc_auc", "brier"],
        "by": "ada@example.org",
        "reason": "the old one is broken",
        "at": NOON.isoformat(),
        "expires": (NOON + timedelta(hours=4)).isoformat(),
    }
    return seal_override(Override.model_validate({**made, **changes}), key[0])


def production(proofs: Proofs, *, now: datetime = NOON, trust: Trust = TRUST, **changes: Any) -> Authorised:
    about: dict[str, Any] = {"model": MODEL, "digest": DIGEST, "version": VERSION, **changes}
    return authorise_production(proofs, trust, now=now, **about)


@pytest.fixture
def good(make_verdict: MakeVerdict) -> bytes:
    return seal(make_verdict(), PIPELINE[0])


@pytest.fixture
def risky(make_verdict: MakeVerdict) -> bytes:
    return seal(make_verdict(risk="high"), PIPELINE[0])


@pytest.fixture
def failed(make_verdict: MakeVerdict) -> bytes:
    return seal(make_verdict(gates=FAILED), PIPELINE[0])


# -- whose signature --------------------------------------------------------------------------------------


def policed(make_verdict: MakeVerdict, **policy: Any) -> bytes:
    asked = ApprovalPolicy(required=True, **policy)
    author = "Grace <grace@example.org>"
    return seal(make_verdict(approval=asked, author=author), PIPELINE[0])


@pytest.mark.parametrize("approvers", [("ada@example.org",), ("ADA+work@example.org",), ("team:risk",)])
def test_a_declared_approver_signs_with_a_key_of_their_own(
    make_verdict: MakeVerdict, approvers: tuple[str, ...]
) -> None:
    verdict = policed(make_verdict, approvers=approvers)

    found = production(Proofs(verdict, approval(ADA)))

    assert found.approval is not None
    assert found.approval.by == "ada@example.org"


@pytest.mark.parametrize(
    ("key", "changes", "reason"),
    [
        (PIPELINE, {}, "signed by the pipeline's key, which proves no person"),
        (BOB, {"by": "bob@example.org"}, "bob@example.org is not among the declared approvers"),
        (BOB, {}, "says 'ada@example.org', but the key of bob@example.org signed it"),
        (key_pair(13), {}, "not trusted"),
    ],
)
def test_where_approvers_are_declared_nobody_else_approves(
    make_verdict: MakeVerdict, key: KeyPair, changes: dict[str, Any], reason: str
) -> None:
    verdict = policed(make_verdict, approvers=("ada@example.org",))

    with pytest.raises(Refused, match=reason):
        production(Proofs(verdict, approval(key, **changes)))


def test_an_approver_whose_key_is_the_pipelines_proves_no_person(make_verdict: MakeVerdict) -> None:
    verdict = policed(make_verdict, approvers=("ada@example.org",))
    posing = Trust([PIPELINE[1]], [Person("ada@example.org", PIPELINE[1])])

    with pytest.raises(Refused, match="proves no person"):
        production(Proofs(verdict, approval()), trust=posing)


def test_what_is_declared_today_holds_beside_what_was_declared_then(risky: bytes) -> None:
    today = ApprovalPolicy(required=True, approvers=("bob@example.org",))

    assert production(Proofs(risky, approval())).approval
    with pytest.raises(Refused, match="proves no person"):
        production(Proofs(risky, approval()), declared=today)


def test_a_policy_that_was_dropped_since_still_holds_for_the_verdict(make_verdict: MakeVerdict) -> None:
    verdict = policed(make_verdict, approvers=("ada@example.org",))

    with pytest.raises(AwaitsApproval):
        production(Proofs(verdict), declared=ApprovalPolicy(required=False))


def test_an_approval_may_be_asked_for_at_any_risk(good: bytes) -> None:
    with pytest.raises(AwaitsApproval, match=r"a person's approval is declared.*nobody has approved"):
        production(Proofs(good), declared=ApprovalPolicy(required=True))


def test_high_risk_asks_whatever_the_policy_says(make_verdict: MakeVerdict) -> None:
    sealed = seal(make_verdict(risk="high", approval=ApprovalPolicy(required=False)), PIPELINE[0])

    with pytest.raises(AwaitsApproval):
        production(Proofs(sealed))


# -- four eyes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [
        "grace@example.org",
        "Grace@Example.ORG",
        "grace+x@example.org",
        "@grace",
        "grace",
        "G <grace@example.org>",
    ],
)
def test_the_author_of_the_commit_cannot_approve(make_verdict: MakeVerdict, by: str) -> None:
    verdict = policed(make_verdict, four_eyes=True)

    with pytest.raises(Refused, match=r"four eyes.*author of its commit"):
        production(Proofs(verdict, approval(by=by)))
    assert production(Proofs(verdict, approval())).approval


@pytest.mark.parametrize("changes", [{"author": ""}, {"dirty": True}, {"commit": "none"}])
def test_four_eyes_need_a_known_author_and_committed_code(
    make_verdict: MakeVerdict, changes: dict[str, Any]
) -> None:
    asked = ApprovalPolicy(required=True, four_eyes=True)
    verdict = make_verdict(**{"approval": asked, "author": "Grace <grace@example.org>", **changes})

    with pytest.raises(Refused, match="four eyes are declared, and"):
        production(Proofs(seal(verdict, PIPELINE[0]), approval()))


# -- the override -----------------------------------------------------------------------------------------


def test_an_override_lets_the_named_gates_pass_and_says_so(failed: bytes) -> None:
    found = production(Proofs(failed, override=waiver()))

    assert found.override is not None
    assert found.override.waived == "gate roc_auc, gate brier"
    assert not found.verdict.passed


def test_an_override_that_nothing_needs_is_not_used(good: bytes) -> None:
    assert production(Proofs(good, override=waiver())).override is None
    assert production(Proofs(good, override=b"damaged")).override is None


def test_a_gate_that_is_not_named_still_refuses(failed: bytes) -> None:
    with pytest.raises(Refused, match="gate 'brier' failed"):
        production(Proofs(failed, override=waiver(gates=["roc_auc"])))


def test_a_gate_that_is_declared_now_and_was_never_judged_can_be_waived_by_name(good: bytes) -> None:
    gates = {"calibration": "<= 0.1"}

    with pytest.raises(Refused, match="'calibration' is declared"):
        production(Proofs(good, override=waiver()), required_gates=gates)
    assert production(Proofs(good, override=waiver(gates=["calibration"])), required_gates=gates).override


@pytest.mark.parametrize(
    ("changes", "now", "reason"),
    [
        ({"model": "other"}, NOON, "for the model other"),
        ({"digest": "b" * 64}, NOON, "another artifact"),
        ({}, NOON + timedelta(hours=4), "expired"),
        ({}, NOON - timedelta(seconds=1), "in the future"),
    ],
)
def test_a_replayed_or_expired_override_is_refused(
    failed: bytes, changes: dict[str, Any], now: datetime, reason: str
) -> None:
    with pytest.raises(Refused, match=rf"roc_auc.*The override does not help: .*{reason}"):
        production(Proofs(failed, override=waiver(**changes)), now=now)


def test_a_strangers_override_is_refused(failed: bytes) -> None:
    with pytest.raises(Refused, match="not trusted"):
        production(Proofs(failed, override=waiver(key_pair(13))))


def test_approvers_and_four_eyes_hold_for_the_override_as_well(make_verdict: MakeVerdict) -> None:
    asked = ApprovalPolicy(required=True, four_eyes=True, approvers=("ada@example.org", "grace@example.org"))
    verdict = make_verdict(gates=FAILED, approval=asked, author="Ada <ada@example.org>")
    sealed = seal(verdict, PIPELINE[0])

    with pytest.raises(Refused, match="proves no person"):
        production(Proofs(sealed, override=waiver()))
    with pytest.raises(Refused, match="author of its commit"):
        production(Proofs(sealed, override=waiver(ADA)))


def test_an_approval_is_waived_only_where_the_override_says_so(risky: bytes) -> None:
    with pytest.raises(AwaitsApproval):
        production(Proofs(risky, override=waiver()))
    found = production(Proofs(risky, override=waiver(approval=True)))
    assert found.approval is None
    assert found.override


def test_a_rejection_after_the_override_stands(risky: bytes) -> None:
    rejected = approval(decision="reject", at=(NOON + timedelta(minutes=1)).isoformat(), reason="unfair")
    override = waiver(approval=True)

    with pytest.raises(Refused, match="rejected it after the override: unfair"):
        production(Proofs(risky, rejected, override), now=NOON + timedelta(minutes=2))


def test_no_override_stands_for_a_verdict(make_verdict: MakeVerdict, failed: bytes) -> None:
    everything = waiver(gates=["roc_auc", "brier", "log_loss"], approval=True)
    foreign = seal(make_verdict(gates=FAILED), key_pair(13)[0])
    empty = seal(make_verdict(gates=[]), PIPELINE[0])
    other = seal(make_verdict(gates=FAILED, digest="b" * 64), PIPELINE[0])

    for verdict in (None, b"", foreign, empty, other, waiver(), approval()):
        with pytest.raises(Refused):
            production(Proofs(verdict, override=everything))
    with pytest.raises(Refused):
        production(Proofs(failed, override=everything), digest="c" * 64)


def test_an_override_of_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="names the gates"):
        waiver(gates=[])


# -- every proof in every place ---------------------------------------------------------------------------

KINDS = ("none", "good", "foreign key", "other digest", "other model", "other kind", "damaged", "expired")


def envelope(kind: str, what: str, make_verdict: MakeVerdict) -> bytes | None:
    if kind == "none":
        return None
    if kind == "other kind":
        return waiver() if what == "approval" else approval()
    key = key_pair(13) if kind == "foreign key" else PIPELINE
    changes: dict[str, Any] = {"other digest": {"digest": "b" * 64}, "other model": {"model": "other"}}.get(
        kind, {}
    )
    if what == "verdict":
        return _damaged(seal(make_verdict(gates=FAILED, risk="high", **changes), key[0]), kind)
    if kind == "expired":
        changes["expires"] = (NOON + timedelta(seconds=1)).isoformat()
    made = approval(key, **changes) if what == "approval" else waiver(key, **changes)
    return _damaged(made, kind)


def _damaged(content: bytes, kind: str) -> bytes:
    return content.replace(b'"', b" ", 1) if kind == "damaged" else content


@settings(deadline=None, max_examples=200)
@given(verdict=st.sampled_from(KINDS), approved=st.sampled_from(KINDS), waived=st.sampled_from(KINDS))
def test_production_opens_for_three_good_proofs_and_nothing_less(
    make_verdict: MakeVerdict, verdict: str, approved: str, waived: str
) -> None:
    # A failed verdict of high risk: it takes verdict, approval and override, each good and in its place.
    proofs = Proofs(
        envelope(verdict, "verdict", make_verdict),
        envelope(approved, "approval", make_verdict),
        envelope(waived, "override", make_verdict),
    )
    good = verdict in {"good", "expired"} and approved == "good" and waived == "good"
    now = NOON + timedelta(seconds=2)

    if good:
        assert production(proofs, now=now).override
        return
    with pytest.raises(Refused):
        production(proofs, now=now)


def test_registration_and_staging_ask_no_person(risky: bytes, failed: bytes) -> None:
    about: dict[str, Any] = {"model": MODEL, "digest": DIGEST, "now": NOON}

    assert authorise_artifact(Proofs(risky), TRUST, **about).verdict.risk == "high"
    with pytest.raises(Refused, match="roc_auc"):
        authorise_artifact(Proofs(failed), TRUST, **about)
    assert authorise_artifact(Proofs(failed, override=waiver()), TRUST, **about).override


def test_a_version_that_was_approved_is_not_another(risky: bytes) -> None:
    with pytest.raises(Refused, match="for flight_delay version 3"):
        production(Proofs(risky, approval()), version=4)


def test_no_trust_no_release(risky: bytes) -> None:
    with pytest.raises(Refused, match="no key is trusted"):
        production(Proofs(risky, approval()), trust=replace(TRUST, keys=[]))
