"""What a token says of itself."""

import base64
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.argocd.token import MAX_LENGTH, Claims, Kind, read
from tests.fakes.fuzz import JSON, TOKEN, unsigned

KEY = "x" * 32


def made(**claims: Any) -> Claims:
    found = read(jwt.encode(claims, KEY))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("subject", "kind", "account"),
    [
        ("admin:apiKey", Kind.API_KEY, "admin"),
        ("admin:login", Kind.SESSION, "admin"),
        ("proj:default:deployer", Kind.PROJECT_ROLE, ""),
        ("proj:login", Kind.SESSION, "proj"),
        ("a:b:apiKey", Kind.OTHER, ""),
        ("a:b:c:d", Kind.OTHER, ""),
        ("admin:other", Kind.OTHER, ""),
        ("admin", Kind.OTHER, ""),
        (":apiKey", Kind.OTHER, ""),
        (":login", Kind.OTHER, ""),
        ("", Kind.OTHER, ""),
    ],
)
def test_the_subject_tells_kind_and_account(subject: str, kind: Kind, account: str) -> None:
    claims = made(iss="argocd", sub=subject)
    assert (claims.kind, claims.account, claims.issuer) == (kind, account, "argocd")


def test_another_issuers_token_is_of_no_account() -> None:
    claims = made(iss="dex", sub="admin:apiKey", jti="k")
    assert (claims.kind, claims.account, claims.issuer, claims.key_id) == (Kind.OTHER, "", "dex", "k")


def test_the_times_and_the_id_are_read() -> None:
    claims = made(iss="argocd", sub="a:apiKey", jti="gra.1", exp=32503680000, nbf=5)
    assert (claims.key_id, claims.expires_at, claims.not_before) == ("gra.1", 32503680000, 5)
    claims = made(iss="argocd", sub="a:apiKey")
    assert (claims.key_id, claims.expires_at, claims.not_before) == ("", 0, 0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 0), (1, 1), (1.9, 1), (0, 1), (-1, 1), (1e12, 1), (999_999_999_999, 999_999_999_999), ("5", 1), ([], 1)],
)
def test_a_time_that_makes_no_sense_counts_as_set(value: object, seconds: int) -> None:
    claims = read(unsigned({"iss": "argocd", "exp": value}))
    assert claims is not None
    assert claims.expires_at == seconds


def part(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


HEAD = b'{"alg": "HS256"}'
DEEP, LONG = b"[" * 6000, b'{"exp": ' + b"9" * 5000 + b"}"


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b.c", "\0" * 9, "é.é.é", "[" * 9000]
    + [f"{part(DEEP)}.{part(b'{}')}.x", f"{part(HEAD)}.{part(DEEP)}.x", f"{part(HEAD)}.{part(LONG)}.x"]
    + [f"{part(HEAD)}.{part(payload)}.x" for payload in (b"[]", b"null", b"\xff", b'"\\ud800"')],
)
def test_what_is_no_token_has_no_claims(token: str) -> None:
    assert read(token) is None


def test_what_is_too_long_is_not_looked_at() -> None:
    def padded(length: int) -> str:
        short = unsigned({"iss": "argocd"})
        return short + "A" * (length - len(short))

    assert read(padded(MAX_LENGTH)) is not None
    assert read(padded(MAX_LENGTH + 1)) is None


@given(TOKEN | JSON.map(unsigned) | st.text() | st.binary().map(lambda b: b.decode("utf-8", "replace")))
def test_any_text_is_read_or_is_no_token(text: str) -> None:
    claims = read(text)
    assert claims is None or isinstance(claims.kind, Kind)


def test_the_kinds_are_told_in_words() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        "API_KEY": "an API key of an account",
        "SESSION": "a login session of an account",
        "PROJECT_ROLE": "a token of a project's role, which has no account",
        "OTHER": "not a token that Argo CD issues",
    }


def test_claims_do_not_change() -> None:
    claims = made(iss="argocd", sub="a:apiKey")
    assert hash(claims) == hash(made(iss="argocd", sub="a:apiKey"))
    assert MAX_LENGTH == 16384
