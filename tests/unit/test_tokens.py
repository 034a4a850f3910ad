"""A user's token: a non-expiring API key of Argo CD's is taken, everything else is refused in two sentences."""

from typing import Any

import jwt
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from gitops_runtime_auth.argocd.token import read
from gitops_runtime_auth.commands.ensure import read_api_key
from gitops_runtime_auth.errors import ConfigurationError
from tests.unit.fakes.fuzz import JSON, TOKEN, told, unsigned

ANY = TOKEN | JSON.map(unsigned) | st.text() | st.binary().map(lambda b: b.decode("utf-8", "replace"))
VERDICTS = ("", "no JWT", "was not issued", "login session", "not an account's API key", "expires", "not valid yet")


def verdict(token: str) -> str:
    """Return why a token is refused, nothing when it is not."""
    try:
        claims = read_api_key(token, "the test")
    except ConfigurationError as e:
        told(e)
        return e.problem
    assert (claims.issuer, claims.capability, claims.expires_at) == ("argocd", "apiKey", 0)
    assert claims.account
    return ""


@given(ANY)
def test_any_token(token: str) -> None:
    why = verdict(token)
    assert not why or any(words in why for words in VERDICTS[1:])


@pytest.mark.parametrize("words", VERDICTS)
def test_the_tokens_that_are_tried_meet_every_verdict(words: str) -> None:
    """Or the test above would prove nothing about it."""
    found = find(
        st.text() if words == "no JWT" else TOKEN,
        lambda token: words in (why := verdict(token)) and bool(words) == bool(why),
        settings=settings(max_examples=10_000, database=None, derandomize=True),
    )
    assert isinstance(found, str)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "dex", "sub": "a:apiKey"}, "was not issued by Argo CD"),
        ({"iss": "argocd", "sub": "a:login"}, "login session"),
        ({"iss": "argocd", "sub": "a:other"}, "not an account's API key"),
        ({"iss": "argocd", "sub": "a"}, "was not issued"),
        ({"iss": "argocd", "sub": "a:apiKey", "exp": 32503680000}, "expires"),
        ({"iss": "argocd", "sub": "a:apiKey", "exp": 1}, "expires"),
        ({"iss": "argocd", "sub": "a:apiKey", "nbf": 32503680000}, "not valid yet"),
    ],
)
def test_tokens_that_will_not_do(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_api_key(jwt.encode(claims, "x" * 32), "the test")


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "x" * 20_000, "\0" * 9, "é.é.é", f"{'[' * 9000}"])
def test_tokens_that_are_none(token: str) -> None:
    assert read(token) is None


def test_an_account_name_may_hold_colons() -> None:
    claims = read(jwt.encode({"iss": "argocd", "sub": "a:b:apiKey"}, "x" * 32))
    assert claims is not None
    assert (claims.account, claims.capability) == ("a:b", "apiKey")
