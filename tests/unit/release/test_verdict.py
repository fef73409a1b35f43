import base64
import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlcicd_assets.release.envelope import PAYLOAD_TYPE, Refused, canonical, seal_statement
from mlcicd_assets.release.verdict import PREDICATE_TYPE, Verdict, authorise, open_envelope, seal

KeyPair = tuple[bytes, bytes]
MakeVerdict = Callable[..., Verdict]
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=30)
DIGEST = st.text("0123456789abcdef", min_size=64, max_size=64)
GATE = st.fixed_dictionaries(
    {
        "name": TEXT,
        "value": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "bound": TEXT,
        "passed": st.booleans(),
        "message": TEXT,
    }
)


@settings(deadline=None)
@given(model=TEXT, digest=DIGEST, gates=st.lists(GATE, max_size=4), risk=st.sampled_from(["low", "high"]))
def test_what_is_sealed_is_read_back(
    ours: KeyPair,
    make_verdict: MakeVerdict,
    model: str,
    digest: str,
    gates: list[dict[str, object]],
    risk: str,
) -> None:
    verdict = make_verdict(model=model, digest=digest, gates=gates, risk=risk)

    assert open_envelope(seal(verdict, ours[0]), [ours[1]]) == verdict


@settings(deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused(ours: KeyPair, make_verdict: MakeVerdict, data: st.DataObject) -> None:
    envelope = bytearray(seal(make_verdict(), ours[0]))
    place = data.draw(st.integers(0, len(envelope) - 1))
    envelope[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(Refused):
        open_envelope(bytes(envelope), [ours[1]])


@settings(deadline=None)
@given(data=st.data())
def test_a_cut_or_lengthened_envelope_is_refused(
    ours: KeyPair, make_verdict: MakeVerdict, data: st.DataObject
) -> None:
    envelope = seal(make_verdict(), ours[0])
    changed = data.draw(
        st.integers(0, len(envelope) - 1).map(lambda end: envelope[:end])
        | st.binary(min_size=1).map(lambda tail: envelope + tail)
    )

    with pytest.raises(Refused):
        open_envelope(changed, [ours[1]])


@settings(deadline=None)
@given(model=TEXT, digest=DIGEST)
def test_any_other_model_or_digest_is_refused(
    ours: KeyPair, make_verdict: MakeVerdict, model: str, digest: str
) -> None:
    verdict = make_verdict()
    envelope = seal(verdict, ours[0])

    if model != verdict.model:
        with pytest.raises(Refused, match="about the model"):
            authorise(envelope, [ours[1]], model=model, digest=verdict.digest)
    if digest != verdict.digest:
        with pytest.raises(Refused, match="about another artifact"):
            authorise(envelope, [ours[1]], model=verdict.model, digest=digest)


@settings(deadline=None)
@given(st.binary(max_size=400) | st.recursive(st.none() | st.booleans() | TEXT, st.lists).map(canonical))
def test_anything_else_is_refused_and_never_crashes(ours: KeyPair, junk: bytes) -> None:
    with pytest.raises(Refused):
        open_envelope(junk, [ours[1]])


def test_a_passing_verdict_is_authorised(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict()

    authorised = authorise(
        seal(verdict, ours[0]),
        [ours[1]],
        model="flight_delay",
        digest="a" * 64,
        required_gates={"roc_auc": ">=0.650"},
    )

    assert authorised == verdict
    assert authorised.passed


def test_sealing_is_deterministic(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    assert seal(make_verdict(), ours[0]) == seal(make_verdict(), ours[0])


def test_the_envelope_is_dsse_with_an_in_toto_statement(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    envelope = json.loads(seal(make_verdict(), ours[0]))
    statement = json.loads(base64.b64decode(envelope["payload"]))

    assert envelope["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "flight_delay", "digest": {"sha256": "a" * 64}}]
    assert statement["predicateType"] == PREDICATE_TYPE
    assert statement["predicate"]["passed"] is True


@pytest.mark.parametrize("envelope", [None, b""])
def test_no_envelope_names_what_to_materialize(ours: KeyPair, envelope: bytes | None) -> None:
    with pytest.raises(Refused, match=r"no signed envelope.*Materialize flight_delay/evaluation_report"):
        authorise(envelope, [ours[1]], model="flight_delay", digest="a" * 64)


def test_a_stranger_s_signature_is_refused(
    ours: KeyPair, stranger: KeyPair, make_verdict: MakeVerdict
) -> None:
    envelope = seal(make_verdict(), stranger[0])

    with pytest.raises(Refused, match="not trusted"):
        open_envelope(envelope, [ours[1]])
    assert open_envelope(envelope, [ours[1], stranger[1]]) == make_verdict()


def test_a_signature_moved_to_another_verdict_is_refused(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    bad = json.loads(seal(make_verdict(gates=[]), ours[0]))
    good = json.loads(seal(make_verdict(), ours[0]))

    with pytest.raises(Refused, match="signature does not match"):
        open_envelope(canonical({**bad, "payload": good["payload"]}), [ours[1]])


def test_the_same_envelope_spelt_differently_is_refused(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    respelt = json.dumps(json.loads(seal(make_verdict(), ours[0])), indent=1).encode()

    with pytest.raises(Refused, match="not as they were written"):
        open_envelope(respelt, [ours[1]])


def test_without_a_trusted_key_nothing_counts(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    with pytest.raises(Refused, match="no key is trusted"):
        open_envelope(seal(make_verdict(), ours[0]), [])


def test_an_unsigned_envelope_is_refused(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    envelope = {**json.loads(seal(make_verdict(), ours[0])), "signatures": []}

    with pytest.raises(Refused, match="no signature"):
        open_envelope(canonical(envelope), [ours[1]])


def test_another_payload_type_is_refused(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    envelope = {**json.loads(seal(make_verdict(), ours[0])), "payloadType": "text/plain"}

    with pytest.raises(Refused, match="text/plain"):
        open_envelope(canonical(envelope), [ours[1]])


def test_a_statement_of_another_kind_is_refused(ours: KeyPair) -> None:
    approval = seal_statement("https://example.org/other", "flight_delay", "a" * 64, {"ok": True}, ours[0])

    with pytest.raises(Refused, match=r"example\.org/other"):
        open_envelope(approval, [ours[1]])


def test_a_huge_or_deeply_nested_envelope_is_refused(ours: KeyPair) -> None:
    for hostile in (b"[" * (1 << 20), b"x" * (1 << 21)):
        with pytest.raises(Refused):
            open_envelope(hostile, [ours[1]])


def test_a_failed_gate_names_itself_its_value_and_its_bound(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    gates = [
        {"name": "roc_auc", "value": 0.61, "bound": ">= 0.65", "passed": False, "message": "too low"},
        {"name": "brier", "value": math.nan, "bound": "<= 0.2", "passed": False},
        {"name": "accuracy", "value": 0.9, "bound": ">= 0.5", "passed": True},
    ]
    verdict = make_verdict(gates=gates)

    with pytest.raises(Refused) as refused:
        authorise(seal(verdict, ours[0]), [ours[1]], model=verdict.model, digest=verdict.digest)

    assert "gate 'roc_auc' failed: value 0.61, bound >= 0.65 (too low)" in str(refused.value)
    assert "gate 'brier' failed: value missing, bound <= 0.2" in str(refused.value)
    assert "accuracy" not in str(refused.value)


def test_no_gates_at_all_is_no_pass(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(gates=[])

    assert not verdict.passed
    with pytest.raises(Refused, match="no gates"):
        authorise(seal(verdict, ours[0]), [ours[1]], model=verdict.model, digest=verdict.digest)


@pytest.mark.parametrize(
    ("required", "reason"),
    [
        ({"recall": ">= 0.5"}, r"'recall' is declared \(>= 0.5\) but the verdict does not have it"),
        ({"roc_auc": ">= 0.66"}, r"'roc_auc' was judged by >= 0.65, but >= 0.66 is declared"),
        ({"roc_auc": "> 0.65"}, "was judged by"),
    ],
)
def test_a_gate_declared_since_is_missed(
    ours: KeyPair, make_verdict: MakeVerdict, required: dict[str, str], reason: str
) -> None:
    verdict = make_verdict()

    with pytest.raises(Refused, match=reason):
        authorise(
            seal(verdict, ours[0]),
            [ours[1]],
            model=verdict.model,
            digest=verdict.digest,
            required_gates=required,
        )


def test_a_signed_verdict_that_contradicts_itself_is_refused(
    ours: KeyPair, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(gates=[])
    predicate = verdict.model_dump(mode="json", exclude={"model", "digest"})
    envelope = seal_statement(
        PREDICATE_TYPE, verdict.model, verdict.digest, {**predicate, "passed": True}, ours[0]
    )

    with pytest.raises(Refused, match="contradicts"):
        open_envelope(envelope, [ours[1]])


def test_a_signed_verdict_with_missing_or_unknown_fields_is_refused(ours: KeyPair) -> None:
    envelope = seal_statement(PREDICATE_TYPE, "m", "a" * 64, {"gates": [], "surprise": 1}, ours[0])

    with pytest.raises(Refused, match=r"not complete.*surprise"):
        open_envelope(envelope, [ours[1]])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gate_never_passes_without_a_number(make_verdict: MakeVerdict, value: float) -> None:
    with pytest.raises(ValidationError, match="cannot pass"):
        make_verdict(gates=[{"name": "roc_auc", "value": value, "bound": ">= 0", "passed": True}])


def test_a_wrong_signing_key_is_named_but_not_shown(make_verdict: MakeVerdict) -> None:
    with pytest.raises(ValueError, match="no unencrypted Ed25519") as caught:
        seal(make_verdict(), b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")

    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_trusted_key_that_is_none_is_refused(ours: KeyPair, make_verdict: MakeVerdict) -> None:
    with pytest.raises(Refused, match="trusted keys file"):
        open_envelope(seal(make_verdict(), ours[0]), [b"nonsense"])
