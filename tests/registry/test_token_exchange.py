"""The token conversation, without I/O: what is asked, and what is made of the answer."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import AuthError
from bundler.registry.auth.token_exchange import (
    DEFAULT_EXPIRY,
    BearerToken,
    Challenge,
    Credentials,
    TokenAnswer,
    TokenRequest,
    converse,
    parse_challenges,
)

ORIGIN = "https://registry.example:5000"
REALM = 'Bearer realm="https://registry.example:5000/token",service="the registry"'
SCOPE = "repository:app:pull"
USER = Credentials("carrier", "correct-horse")
NOBODY: frozenset[str] = frozenset()


def asked(
    header: str = REALM, credentials: Credentials | None = None, hosts: frozenset[str] = NOBODY
) -> TokenRequest:
    """What the conversation wants to know."""
    return next(converse(header, credentials, SCOPE, ORIGIN, hosts))


def told(
    body: bytes, status: int = 200, credentials: Credentials | None = None, header: str = REALM
) -> BearerToken:
    """What it makes of the answer."""
    talk = converse(header, credentials, SCOPE, ORIGIN, NOBODY)
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send(TokenAnswer(status, body))
    token: BearerToken = end.value.value
    return token


def at_once(header: str, credentials: Credentials | None) -> BearerToken:
    """The result without a question."""
    with pytest.raises(StopIteration) as end:
        asked(header, credentials)
    token: BearerToken = end.value.value
    return token


# --- challenges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/b",service="s"', [("bearer", {"realm": "https://a/b", "service": "s"})]),
        ("Basic realm=x", [("basic", {"realm": "x"})]),
        ('Basic realm="x", Bearer realm="y"', [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        ('BEARER REALM="y"', [("bearer", {"realm": "y"})]),
        (r'Bearer realm="a\"b\\c"', [("bearer", {"realm": r'a"b\c'})]),
        ('Bearer realm="a", scope="x:y:pull,push"', [("bearer", {"realm": "a", "scope": "x:y:pull,push"})]),
        ("Negotiate", [("negotiate", {})]),
        ('Negotiate, NTLM, Basic realm="x"', [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"})]),
        ('Negotiate YII+a/b==, Bearer realm="y"', [("negotiate", {}), ("bearer", {"realm": "y"})]),
        ('Basic realm="x", Negotiate', [("basic", {"realm": "x"}), ("negotiate", {})]),
        (', ,Bearer realm="a",, ,service="s" ,', [("bearer", {"realm": "a", "service": "s"})]),
        (
            'Basic realm="a, Bearer realm=b", Bearer realm="c"',
            [("basic", {"realm": "a, Bearer realm=b"}), ("bearer", {"realm": "c"})],
        ),
        ("", []),
        ('="', []),
    ],
)
def test_challenges_are_read_in_every_legal_form(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert list(parse_challenges(header)) == [Challenge(*pair) for pair in expected]


@given(st.text(max_size=200))
def test_any_header_is_read_in_the_end(header: str) -> None:
    assert all(challenge.scheme == challenge.scheme.lower() for challenge in parse_challenges(header))


def test_a_long_hostile_header_is_read_in_linear_time() -> None:
    assert list(parse_challenges('Bearer a="' + '\\"' * 200_000))
    assert list(parse_challenges("Bearer " + "a=b," * 100_000))
    assert list(parse_challenges("Negotiate " + "a" * 500_000 + "=" * 500_000 + "!"))
    assert list(parse_challenges("Negotiate" + ", " * 500_000 + '"'))


# --- questions ---------------------------------------------------------------------------------------


def test_a_token_is_asked_for_with_service_and_scope() -> None:
    request = asked()
    assert request.authorization == ""
    assert parse_qs(urlsplit(request.url).query) == {"service": ["the registry"], "scope": [SCOPE]}


def test_the_scope_that_the_registry_names_goes_before_ours() -> None:
    assert "scope=other" in asked(REALM + ',scope="other"').url


def test_a_realm_with_a_query_keeps_it() -> None:
    assert asked('Bearer realm="https://registry.example:5000/t?a=b"').url.startswith(
        "https://registry.example:5000/t?a=b&scope="
    )


def test_the_fragment_of_a_realm_does_not_swallow_the_question() -> None:
    url = asked('Bearer realm="https://registry.example:5000/t#top",service="s"').url
    assert (urlsplit(url).fragment, parse_qs(urlsplit(url).query)["service"]) == ("", ["s"])


def test_the_registrys_own_token_server_gets_user_and_password() -> None:
    encoded = asked(credentials=USER).authorization.removeprefix("Basic ")
    assert base64.b64decode(encoded) == b"carrier:correct-horse"


def test_a_token_server_elsewhere_gets_them_only_with_leave() -> None:
    """Case 80."""
    elsewhere = 'Bearer realm="https://tokens.example/t"'
    assert asked(elsewhere, USER).authorization == ""
    assert asked(elsewhere, USER, frozenset({"tokens.example"})).authorization.startswith("Basic ")
    assert asked('Bearer realm="https://registry.example/t"', USER).authorization == ""  # another port


@pytest.mark.parametrize("realm", ["https://registry.example:443/t", "https://REGISTRY.example/t"])
def test_credentials_go_to_the_same_origin_however_it_is_spelt(realm: str) -> None:
    talk = converse(f'Bearer realm="{realm}"', USER, SCOPE, "https://registry.example", frozenset())
    assert next(talk).authorization == USER.basic


def test_an_identity_token_is_sent_as_a_form_not_in_the_address() -> None:
    request = asked(credentials=Credentials(identity_token="very-secret"))
    assert parse_qs(request.form)["refresh_token"] == ["very-secret"]
    assert "very-secret" not in request.url


def test_an_identity_token_goes_nowhere_else() -> None:
    """Case 80."""
    request = asked('Bearer realm="https://tokens.example/t"', Credentials(identity_token="very-secret"))
    assert (request.form, request.authorization) == ("", "")


def test_a_bearer_token_of_the_user_is_sent_as_it_is() -> None:
    token = at_once(REALM, Credentials(bearer_token="mine"))
    assert token == BearerToken("Bearer mine", float("inf"))


def test_basic_needs_no_question() -> None:
    assert at_once('Basic realm="x"', USER).authorization == USER.basic


def test_bearer_goes_before_basic() -> None:
    assert asked(f'Basic realm="x", {REALM}', USER).url.startswith("https://registry.example:5000/token")


@pytest.mark.parametrize("credentials", [None, Credentials(bearer_token="mine")])
def test_basic_without_a_user_says_what_is_wanted(credentials: Credentials | None) -> None:
    with pytest.raises(AuthError, match="login required"):
        asked('Basic realm="x"', credentials)


@pytest.mark.parametrize(
    "realm",
    [
        "", "/token", "file:///etc/passwd", "http://registry.example:5000/token",
        "https://u:p@registry.example:5000/", "https://[", "https://h:0/",
    ],
)  # fmt: skip
def test_a_realm_that_can_not_be_used_is_an_error(realm: str) -> None:
    """Case 80."""
    with pytest.raises(AuthError) as error:
        asked(f'Bearer realm="{realm}"', USER)
    assert error.value.item == ORIGIN
    assert str(error.value).isprintable()


@pytest.mark.parametrize("header", ["Negotiate", "Digest realm=x", "\x1b[31m"])
def test_a_challenge_of_another_kind_is_an_error_that_shows_it(header: str) -> None:
    """Case 8."""
    with pytest.raises(AuthError, match="not a Basic or Bearer challenge") as error:
        asked(header, USER)
    assert str(error.value).isprintable()


# --- answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"token": "t"}', BearerToken("Bearer t", DEFAULT_EXPIRY)),
        (b'{"access_token": "t", "expires_in": 300}', BearerToken("Bearer t", 300.0)),
        (b'{"token": "t", "access_token": "u", "expires_in": 0}', BearerToken("Bearer t", DEFAULT_EXPIRY)),
        (b'{"token": "t", "expires_in": "300"}', BearerToken("Bearer t", DEFAULT_EXPIRY)),
        (b'{"token": "t", "expires_in": true}', BearerToken("Bearer t", DEFAULT_EXPIRY)),
        (b'{"token": "t", "expires_in": -5}', BearerToken("Bearer t", DEFAULT_EXPIRY)),
    ],
)
def test_a_token_is_read_under_both_names_with_or_without_expiry(body: bytes, token: BearerToken) -> None:
    """Case 9."""
    assert told(body) == token


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"token": 1}', b'{"token": "a b"}', b'{"token": "\\n"}', b"\xff"]
)
def test_an_answer_without_a_token_is_an_error(body: bytes) -> None:
    """Case 9."""
    talk = converse(REALM, None, SCOPE, ORIGIN, NOBODY)
    next(talk)
    with pytest.raises(AuthError, match="holds no token"):
        talk.send(TokenAnswer(200, body))


def test_a_refusal_elsewhere_tells_how_to_allow_credentials() -> None:
    talk = converse('Bearer realm="https://tokens.example/t"', USER, SCOPE, ORIGIN, NOBODY)
    next(talk)
    with pytest.raises(AuthError, match=r"--token-host tokens\.example"):
        talk.send(TokenAnswer(401, b""))


def test_secrets_are_not_in_the_text_of_credentials() -> None:
    assert "horse" not in f"{USER!r} {USER} {Credentials(identity_token='horse')}"
