"""Argo CD's own words, as its sources have them, and what each means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.argocd import refusal
from gitops_runtime_auth.argocd.refusal import refusal_of
from gitops_runtime_auth.errors import Refusal
from tests.fakes.fuzz import JSON

WORDS = [
    ("invalid session: account x does not have token with id gra.1", Refusal.KEY_REVOKED),
    ("token with id 'gra.1' does not exist", Refusal.KEY_REVOKED),
    ("failed to delete account x: token with id 'gra.1' does not exist", Refusal.KEY_REVOKED),
    ("invalid session: token is revoked, please re-login", Refusal.TOKEN_REVOKED),
    ("invalid session: JWT token for role 'r' issued at '1' does not exist in project 'p'", Refusal.TOKEN_REVOKED),
    ("invalid session: account x is disabled", Refusal.ACCOUNT_DISABLED),
    ("Account x is disabled", Refusal.ACCOUNT_DISABLED),
    ("invalid session: account x does not have 'apiKey' capability", Refusal.NO_API_KEY_CAPABILITY),
    (
        "failed to update account with new token: account 'x' does not have apiKey capability",
        Refusal.NO_API_KEY_CAPABILITY,
    ),
    ("invalid session: account x does not have 'login' capability", Refusal.NO_LOGIN_CAPABILITY),
    ("Account x does not have login capability", Refusal.NO_LOGIN_CAPABILITY),
    ("invalid session: rpc error: code = NotFound desc = account 'x' does not exist", Refusal.ACCOUNT_MISSING),
    ("account 'x' does not exist", Refusal.ACCOUNT_MISSING),
    ("invalid session: account password has changed since token issued", Refusal.PASSWORD_CHANGED),
    ("invalid session: token has invalid claims: token is expired", Refusal.EXPIRED),
    ("invalid session: Token is expired", Refusal.EXPIRED),
    ("invalid session: token is expired by 1h0m0s", Refusal.EXPIRED),
    ("token has expired", Refusal.EXPIRED),
    ("invalid session: token signature is invalid: signature is invalid", Refusal.FOREIGN_SIGNATURE),
    ("invalid session: failed to verify the token", Refusal.FOREIGN_SIGNATURE),
    ("no session information", Refusal.UNREADABLE_TOKEN),
    ("invalid session: token is malformed: could not base64 decode header", Refusal.UNREADABLE_TOKEN),
    ("invalid session: token contains an invalid number of segments", Refusal.UNREADABLE_TOKEN),
    ("invalid session: token is unverifiable: error", Refusal.UNREADABLE_TOKEN),
    ("invalid session: unexpected signing method: RS256", Refusal.UNREADABLE_TOKEN),
    (
        "invalid session: token does not have a unique identifier (jti claim) and cannot be validated",
        Refusal.UNREADABLE_TOKEN,
    ),
    ("invalid session: SSO is not configured", Refusal.UNREADABLE_TOKEN),
    ("Invalid username or password", Refusal.AMBIGUOUS_LOGIN),
    ("no credentials supplied", Refusal.BLANK_PASSWORD),
    ("Blank passwords are not allowed", Refusal.BLANK_PASSWORD),
    (
        "failed to update account with new token: account already has token with id 'password has changed since'",
        Refusal.KEY_ID_IN_USE,
    ),
    ("permission denied: accounts, get, x, sub: y, iat: 2026-01-01T00:00:00Z", Refusal.PERMISSION_DENIED),
]


@pytest.mark.parametrize(("words", "meant"), WORDS)
def test_each_refusal_is_told_by_its_words(words: str, meant: Refusal) -> None:
    assert refusal_of({"message": words, "error": "something else"}) is meant
    assert refusal_of({"error": words}) is meant


def test_every_reason_is_known_by_some_words() -> None:
    assert {meant for _, meant in WORDS} == set(Refusal) - {Refusal.UNKNOWN}


@pytest.mark.parametrize(
    "words",
    [
        "Jwt is missing",
        "Unauthorized",
        "the domain does not exist",
        "the file does not exist",
        "password expired",
        "my Invalid username or password",
        "RBAC: permission denied",
        "the service is disabled",
        "",
    ],
)
def test_a_gateways_words_are_not_taken_for_argocds(words: str) -> None:
    assert refusal_of({"message": words}) is Refusal.UNKNOWN


@given(JSON)
def test_any_json_is_some_reason(data: Any) -> None:
    assert refusal_of(data) is Refusal.UNKNOWN
    assert not refusal.is_temporary(data)
    assert not refusal.is_about_a_token(data)
    assert isinstance(refusal.grpc_code(data), int)


def test_only_the_start_of_a_long_text_is_read() -> None:
    assert refusal_of({"message": "x" * 983 + "token is revoked"}) is Refusal.TOKEN_REVOKED
    assert refusal_of({"message": "x" * 985 + "token is revoked"}) is Refusal.UNKNOWN


@pytest.mark.parametrize(("code", "known"), [(16, 16), (0, 0), (None, -1), (True, -1), ("16", -1), (7.0, -1)])
def test_the_grpc_code_is_a_number_or_none(code: object, known: int) -> None:
    assert refusal.grpc_code({"code": code}) == known


@pytest.mark.parametrize("data", [None, [], "x", {}, {"error": "x"}])
def test_what_has_no_code_is_not_argocds(data: object) -> None:
    assert refusal.grpc_code(data) == -1


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ("invalid session: settings are not available while verifying the token", True),
        ("invalid session: cannot access settings while verifying the token: EOF", True),
        ('invalid session: configmap "argocd-cm" not found', True),
        ('invalid session: secrets "argocd-secret" not found', True),
        ("invalid session: context deadline exceeded", True),
        ("invalid session: context canceled", True),
        ("invalid session: token has invalid claims: token is not valid yet", True),
        ("invalid session: Token used before issued", True),
        ("invalid session: token is revoked, please re-login", False),
        ('configmap "other" not found', False),
    ],
)
def test_a_refusal_without_a_verdict_is_temporary(words: str, passes: bool) -> None:
    assert refusal.is_temporary({"message": words}) is passes


@given(st.text())
def test_verdicts_on_tokens_are_known_by_how_they_begin(rest: str) -> None:
    assert refusal.is_about_a_token({"message": f"Invalid session{rest}"})
    assert not refusal.is_about_a_token({"message": f"x invalid session{rest}"})
