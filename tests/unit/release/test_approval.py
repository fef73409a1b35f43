from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlcicd_assets.release.approval import Approval, authorise_approval, needed, open_approval, seal_approval
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.verdict import Verdict, open_envelope, seal

KeyPair = tuple[bytes, bytes]
MakeVerdict = Callable[..., Verdict]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def approval(**changes: Any) -> Approval:
    return Approval.model_validate(
        {
            "model": "fraud_detector",
            "version": 3,
            "digest": "a" * 64,
            "decision": "approve",
            "by": "asha",
            "reason": "reviewed the slices",
            "at": NOON.isoformat(),
            "expires": (NOON + timedelta(days=7)).isoformat(),
            **changes,
        }
    )


@pytest.fixture
def risky(make_verdict: MakeVerdict) -> Verdict:
    return make_verdict(model="fraud_detector", risk="high")


def test_an_approved_version_may_go(ours: KeyPair, risky: Verdict) -> None:
    envelope = seal_approval(approval(), ours[0])

    assert authorise_approval(envelope, [ours[1]], verdict=risky, version=3, now=NOON) == approval()


@pytest.mark.parametrize("risk", ["low", "medium"])
def test_a_lower_risk_needs_no_person(ours: KeyPair, make_verdict: MakeVerdict, risk: str) -> None:
    verdict = make_verdict(risk=risk)

    assert not needed(verdict)
    assert authorise_approval(None, [ours[1]], verdict=verdict, version=1, now=NOON) is None


def test_a_high_risk_without_approval_is_refused_with_the_command(ours: KeyPair, risky: Verdict) -> None:
    assert needed(risky)
    with pytest.raises(Refused, match=r"nobody has approved it.*mlcicd approve fraud_detector 3"):
        authorise_approval(None, [ours[1]], verdict=risky, version=3, now=NOON)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decision": "reject", "reason": "unfair"}, "asha rejected it: unfair"),
        ({"model": "other"}, "for other version 3"),
        ({"version": 2}, "for fraud_detector version 2"),
        ({"digest": "b" * 64}, "another artifact"),
        ({"expires": NOON.isoformat()}, "expired"),
        ({"at": (NOON + timedelta(seconds=1)).isoformat()}, "in the future"),
    ],
)
def test_an_approval_of_something_else_is_refused(
    ours: KeyPair, risky: Verdict, changes: dict[str, Any], reason: str
) -> None:
    envelope = seal_approval(approval(**changes), ours[0])

    with pytest.raises(Refused, match=reason):
        authorise_approval(envelope, [ours[1]], verdict=risky, version=3, now=NOON)


def test_a_stranger_approves_nothing(ours: KeyPair, stranger: KeyPair, risky: Verdict) -> None:
    envelope = seal_approval(approval(), stranger[0])

    with pytest.raises(Refused, match="not trusted"):
        authorise_approval(envelope, [ours[1]], verdict=risky, version=3, now=NOON)


def test_neither_proof_stands_for_the_other(ours: KeyPair, risky: Verdict) -> None:
    with pytest.raises(Refused, match="verdict/v1"):
        open_approval(seal(risky, ours[0]), [ours[1]])
    with pytest.raises(Refused, match="approval/v1"):
        open_envelope(seal_approval(approval(), ours[0]), [ours[1]])


@settings(deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused(ours: KeyPair, data: st.DataObject) -> None:
    envelope = bytearray(seal_approval(approval(), ours[0]))
    envelope[data.draw(st.integers(0, len(envelope) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(Refused):
        open_approval(bytes(envelope), [ours[1]])


@pytest.mark.parametrize("field", ["at", "expires"])
@pytest.mark.parametrize("value", ["2026-01-31T12:00:00", "tomorrow", ""])
def test_a_time_without_offset_is_no_time(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        approval(**{field: value})
