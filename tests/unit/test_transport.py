"""One exchange with Argo CD: which answers heal, which are final, and what each is called."""

import ssl
import time
from collections.abc import Iterator

import httpx
import pytest

from gitops_runtime_auth.argocd import http as transport
from gitops_runtime_auth.argocd import refusal as reasons
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    KeyRefusedError,
    TemporaryError,
    UnreachableError,
    WrongServerError,
)


def send(answer: httpx.Response | Exception, **how: object) -> transport.Answer:
    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    inner = Transport(Server("https://argocd-server"), inner=httpx.MockTransport(handler))
    return inner.send("GET", "/api/v1/account/admin", timeout=1, bearer="canary", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_busy_answers_heal(status: int) -> None:
    with pytest.raises(TemporaryError) as busy:
        send(httpx.Response(status, headers={"Retry-After": "7"}))
    assert busy.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, 14, TemporaryError),
        (500, 4, TemporaryError),
        (500, 2, AnswerError),
        (409, 10, TemporaryError),  # many write argocd-secret at once (UpdateAccount, util/settings/accounts.go)
        (409, 6, AnswerError),
    ],
)
def test_failures_heal_with_a_transient_grpc_code_only(status: int, code: int, error: type[AuthError]) -> None:
    with pytest.raises(error):
        send(httpx.Response(status, json={"code": code, "message": "x"}))


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_other_refusals_are_final(status: int) -> None:
    with pytest.raises(AnswerError) as refused:
        send(httpx.Response(status, json={"message": "permission denied", "code": 7}))
    assert (refused.value.status, refused.value.reason) == (status, "permission denied")


def test_what_was_never_looked_at_is_told_from_what_may_have_been() -> None:
    for status, sent in ((429, False), (503, True), (504, True)):
        with pytest.raises(TemporaryError) as busy:
            send(httpx.Response(status))
        assert busy.value.sent is sent


def test_an_answer_that_trickles_in_ends_with_the_timeout() -> None:
    def trickle() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    with pytest.raises(UnreachableError, match="in time"):
        send(httpx.Response(200, content=trickle()))


@pytest.mark.parametrize("cause", [ssl.SSLEOFError(8, "EOF"), ssl.SSLZeroReturnError(6, "closed")])
def test_a_connection_that_ends_in_its_handshake_heals(cause: ssl.SSLError) -> None:
    error = httpx.ConnectError("handshake")
    error.__cause__ = cause
    with pytest.raises(UnreachableError) as lost:
        send(error)
    assert not lost.value.sent


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, text="<html>Sign in"), "a web page"),
        (httpx.Response(404, text="404 page not found"), "not JSON"),
        (httpx.Response(307, headers={"Location": "https://other/x?token=canary"}), "redirects to https://other/x;"),
    ],
)
def test_what_is_not_argocd_is_named(answer: httpx.Response, words: str) -> None:
    with pytest.raises(WrongServerError) as wrong:
        send(answer)
    assert words in wrong.value.problem
    assert "canary" not in wrong.value.problem


def test_a_redirect_is_never_followed() -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://thief/"})

    inner = Transport(Server("https://argocd-server"), inner=httpx.MockTransport(handler))
    with pytest.raises(WrongServerError):
        inner.send("POST", "/api/v1/session", timeout=1, body={"password": "canary"})
    assert asked == ["argocd-server"]


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("no"), False),
        (httpx.ConnectTimeout("no"), False),
        (httpx.ReadTimeout("no"), True),
        (httpx.RemoteProtocolError("no"), True),
        (httpx.ReadError("no"), True),
    ],
)
def test_a_request_that_may_have_arrived_is_told_from_one_that_did_not(error: Exception, sent: bool) -> None:
    with pytest.raises(UnreachableError) as lost:
        send(error)
    assert lost.value.sent is sent


def test_an_endless_answer_is_cut_off() -> None:
    with pytest.raises(WrongServerError, match="more than 8 MB"):
        send(httpx.Response(200, content=b" " * (transport.MAX_ANSWER + 1)))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("invalid session: account x does not have token with id y", "the key has been revoked"),
        ("Account x is disabled", "the account is disabled"),
        ("account 'x' does not have apiKey capability", "the account has no apiKey capability"),
        ("no session information", "the token is not one that Argo CD can read"),
        ("canary-secret", reasons.UNKNOWN_REASON),
    ],
)
def test_a_refusal_is_told_in_our_own_words(message: str, reason: str) -> None:
    with pytest.raises(KeyRefusedError) as refused:
        send(httpx.Response(401, json={"message": message, "code": 16}))
    assert refused.value.reason == reason
    assert "canary" not in f"{refused.value.problem} {refused.value.remedy} {refused.value!r}"
