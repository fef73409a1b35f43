import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.automation.hooks.signatures import Unproven, prove
from tests.fakes.hooks import NEW, NOW, OLD, STANDARD, github, standard


def test_github_s_own_example() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    }
    assert prove(headers, b"Hello, World!", ["It's a Secret to Everybody"], NOW).sender == "github"


def test_the_example_of_standard_webhooks() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the test vector of its libraries
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert prove(headers, b'{"test": 2432232314}', [secret], 1614265330).keys == (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
    )


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_two_secrets_hold_while_one_is_replaced(secret: str) -> None:
    proof = prove(github(b"{}", secret), b"{}", [NEW, OLD], NOW)

    assert proof.sender == "github"
    assert proof.keys == ("d-1", f"body {hashlib.sha256(b'{}').hexdigest()}")


def test_gitlab_s_token_and_its_signature() -> None:
    token = {"x-gitlab-token": NEW, "x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "u-1"}
    assert prove(token, b"{}", [NEW], NOW).keys[0] == "u-1"

    signed = {**standard(b"{}"), "x-gitlab-event": "Push Hook"}
    assert prove(signed, b"{}", [STANDARD], NOW).sender == "gitlab"


@pytest.mark.parametrize("at", [NOW - 301, NOW + 301])
def test_an_old_or_early_signature_is_refused(at: float) -> None:
    with pytest.raises(Unproven, match="300 s"):
        prove(standard(b"{}", at=at), b"{}", [STANDARD], NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "١"},
        {"webhook-timestamp": ""},
        {"webhook-id": ""},
        {"webhook-id": "x" * 1000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1a,aaaa v2,bbbb"},
    ],
)
def test_what_is_signed_cannot_be_exchanged(change: dict[str, str]) -> None:
    with pytest.raises(Unproven):
        prove({**standard(b"{}"), **change}, b"{}", [STANDARD], NOW)


def test_a_weaker_scheme_does_not_make_up_for_a_bad_signature() -> None:
    headers = {**standard(b"{}", "whsec_YWFhYQ=="), **github(b"{}"), "x-gitlab-token": NEW}

    with pytest.raises(Unproven):
        prove(headers, b"{}", [NEW], NOW)


@given(body=st.binary(max_size=200), other=st.binary(max_size=200), text=st.text(max_size=80))
def test_another_body_or_any_text_is_no_proof(body: bytes, other: bytes, text: str) -> None:
    if body != other:
        with pytest.raises(Unproven):
            prove(github(body), other, [NEW], NOW)
    for header in ("x-hub-signature-256", "x-gitlab-token", "webhook-signature"):
        with pytest.raises(Unproven):
            prove({"webhook-id": "a", "webhook-timestamp": str(int(NOW)), header: text}, body, [NEW], NOW)


def test_unsigned_is_refused() -> None:
    with pytest.raises(Unproven, match="not signed"):
        prove({}, b"{}", [NEW], NOW)
