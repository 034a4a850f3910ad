"""What each answer means: which ones heal, which are final, whose words they are, and what is never shown."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.argocd.answer import Answer, judge
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    KeyRefusedError,
    Refusal,
    TemporaryError,
    WrongServerError,
)
from tests.fakes.fuzz import JSON, told

HERE = Endpoint("https://a")
PATH = "global.external-arg-cd.server"
IN_FRONT = "Something in front of Argo CD at https://a answers (HTTP {}): a gateway, a service mesh or a proxy."


def judged(status: int, data: object = None, text: str | None = None, expected: int = 200, **headers: str) -> Answer:
    content = text.encode() if text is not None else json.dumps(data).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(httpx.Response(status, headers=sent), content, HERE, 0.25, expected)


def said(message: str, code: int = 16) -> dict[str, object]:
    return {"error": message, "code": code, "message": message}


def test_an_answer_is_returned() -> None:
    answer = judged(200, {"a": 1})
    assert answer == Answer(200, {"a": 1}, 0.25, None, "https://a")
    with pytest.raises(AttributeError):
        answer.status = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("Wed, 25 Nov 2026 18:00:00 GMT", 1795629600.0),
        ("Wed, 25 Nov 2026 18:00:00 -0000", 1795629600.0),
        ("yesterday", None),
        ("", None),
        ("Wed, 99 Nov 2026 18:00:00 GMT", None),
        ("Wed, 25 Nov 2026 18:00:00 +99999999999999999", None),
    ],
)
def test_the_date_is_the_servers(header: str, date: float | None) -> None:
    assert judged(200, {}, Date=header).date == date
    assert judged(303, text="", expected=303, Location="/", Date=header).date == date


@pytest.mark.parametrize(
    ("status", "sent"),
    [(408, True), (425, False), (429, False), (502, True), (503, True), (504, True)]
    + [(status, True) for status in range(520, 525)],
)
def test_busy_answers_heal(status: int, sent: bool) -> None:
    with pytest.raises(TemporaryError) as busy:
        judged(status, text="<html>", Retry_After="7")
    assert (busy.value.retry_after, busy.value.sent) == (7, sent)
    assert busy.value.problem == f"Argo CD at https://a is busy or restarting (HTTP {status})."
    assert busy.value.remedy == "Wait until Argo CD's pods are ready and try again."


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, 4, TemporaryError),
        (500, 8, TemporaryError),
        (500, 10, TemporaryError),
        (500, 14, TemporaryError),
        (500, 2, AnswerError),
        (409, 10, TemporaryError),  # many write argocd-secret at once (UpdateAccount, util/settings/accounts.go)
        (409, 6, AnswerError),
        (404, 14, AnswerError),
    ],
)
def test_failures_heal_with_a_transient_grpc_code_only(status: int, code: int, error: type[AuthError]) -> None:
    with pytest.raises(error):
        judged(status, said("x", code))


def test_an_argocd_that_cannot_read_its_settings_heals() -> None:
    """Whoever owns argocd-secret deletes it and makes it anew: Argo CD 3.6 answered so in between."""
    words = 'unable to load settings: error retrieving argocd-secret: secret "argocd-secret" not found'
    with pytest.raises(TemporaryError):
        judged(500, said(words, 13))


@pytest.mark.parametrize("status", [400, 404, 409, 418, 500, 599])
def test_other_refusals_of_argocd_are_final(status: int) -> None:
    with pytest.raises(AnswerError) as refused:
        judged(status, said("account already has token with id 'canary'", 2))
    assert (refused.value.status, refused.value.code, refused.value.refusal) == (status, 2, Refusal.KEY_ID_IN_USE)
    assert refused.value.problem == f"Argo CD at https://a answers HTTP {status}: the key id is in use."
    assert refused.value.remedy == "Look into the log of argocd-server for the reason."


def test_a_grpc_code_of_zero_is_one() -> None:
    with pytest.raises(AnswerError) as refused:
        judged(404, said("x", 0))
    assert refused.value.code == 0


@pytest.mark.parametrize(("status", "text"), [(500, "<html>"), (599, "x"), (500, '{"message": "x"}')])
def test_a_failure_in_unknown_words_is_final_too(status: int, text: str) -> None:
    with pytest.raises(AnswerError) as failed:
        judged(status, text=text)
    assert (failed.value.status, failed.value.code, failed.value.refusal) == (status, -1, Refusal.UNKNOWN)


@pytest.mark.parametrize("data", [{"message": "token is revoked"}, {"message": "no Route matched"}, [], None, "x"])
@pytest.mark.parametrize("status", [400, 404, 409])
def test_json_of_something_else_is_told(status: int, data: object) -> None:
    with pytest.raises(WrongServerError, match="answers JSON, but not what Argo CD's API answers"):
        judged(status, data)


def test_a_refused_token_is_told_in_our_own_words() -> None:
    words, date = "invalid session: account canary does not have token with id canary", "Wed, 25 Nov 2026 18:00:00 GMT"
    with pytest.raises(KeyRefusedError) as refused:
        judged(401, said(words), Date=date)
    assert (refused.value.refusal, refused.value.seconds) == (Refusal.KEY_REVOKED, 0.25)
    assert refused.value.date == 1795629600.0
    assert refused.value.problem == "Argo CD at https://a refuses the token: the key has been revoked."
    assert refused.value.remedy == (
        "Make a new key in Argo CD (argocd account generate-token) and store it in the Secret."
    )


def test_a_verdict_on_a_token_in_new_words_is_argocds_all_the_same() -> None:
    with pytest.raises(KeyRefusedError) as refused:
        judged(401, said("invalid session: canary"))
    assert refused.value.refusal is Refusal.UNKNOWN
    assert "canary" not in f"{refused.value.problem}{refused.value.remedy}{refused.value!r}"


@pytest.mark.parametrize("message", ["settings are not available while verifying the token", "token is not valid yet"])
def test_no_verdict_on_a_token_heals(message: str) -> None:
    with pytest.raises(TemporaryError, match="can't judge the token just now") as busy:
        judged(401, said(f"invalid session: {message}"))
    assert busy.value.sent
    assert busy.value.remedy == "Wait until Argo CD's pods are ready and their clocks agree, and try again."


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "Jwt is missing"),
        (401, "<html>401 Authorization Required"),
        (401, '{"message": "Unauthorized"}'),
        (401, '{"message": "token is revoked"}'),
        (401, '{"message": "token is revoked", "code": 7}'),
        (401, '{"message": "Unauthorized", "code": 16}'),
        (401, '{"message": "Invalid username or password", "code": 401}'),
        (401, "[]"),
        (403, "RBAC: access denied"),
        (403, "<html>403 Forbidden"),
        (403, '{"message": "permission denied"}'),
        (403, '{"message": "permission denied", "code": 16}'),
        (407, "proxy wants a password"),
    ],
)
def test_a_gateways_refusal_is_no_verdict(status: int, text: str) -> None:
    with pytest.raises(WrongServerError) as wrong:
        judged(status, text=text)
    assert wrong.value.problem == (
        f"{IN_FRONT.format(status)} Argo CD itself did not see the request, so this says nothing about the password or"
        " key."
    )
    assert wrong.value.remedy == (
        "Let requests from this namespace pass there (Istio: an AuthorizationPolicy), give what it asks for in"
        f" {PATH}.headersSecretRef, or set {PATH}.svc to Argo CD's own Service."
    )
    assert wrong.value.exit_code == 78


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("permission denied: accounts, get, x", Refusal.PERMISSION_DENIED),
        ('secrets "x" is forbidden', Refusal.UNKNOWN),
    ],
)
def test_argocds_own_403_is_told_from_a_gateways(message: str, reason: Refusal) -> None:
    with pytest.raises(AnswerError) as denied:
        judged(403, said(message, 7))
    assert (denied.value.status, denied.value.code, denied.value.refusal) == (403, 7, reason)


@pytest.mark.parametrize(
    ("status", "text", "what"),
    [
        (200, "<html>Sign in", "a web page (HTTP 200)"),
        (404, "404 page not found", "something that is not JSON (HTTP 404)"),
        (499, "x" * 199 + "<", "a web page (HTTP 499)"),
        (499, "x" * 200 + "<", "something that is not JSON (HTTP 499)"),
        (200, "", "something that is not JSON (HTTP 200)"),
        (200, "[" * 100_000, "something that is not JSON (HTTP 200)"),
        (404, "No required SSL certificate was sent", "something that is not JSON (HTTP 404)"),
    ],
)
def test_what_is_not_argocd_is_named(status: int, text: str, what: str) -> None:
    with pytest.raises(WrongServerError) as wrong:
        judged(status, text=text)
    assert wrong.value.problem == f"https://a answers with {what}, not with Argo CD's API."
    assert wrong.value.remedy == (
        f"Point {PATH} at Argo CD itself (Service argocd-server and its rootpath), not at an SSO proxy, a login page or"
        " another service."
    )


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other/x?token=canary", "https://other/x"),
        ("https://other/x#canary", "https://other/x"),
        ("https://canary:canary@other/x", "https://other/x"),
        ("https://canary@canary@other/x", "https://other/x"),
        ("/login\x1b[31m\x9b2J", "/login[31m2J"),
        ("https://other/" + "x" * 300, "https://other/" + "x" * 186),
        ("https://other/a@b", "https://other/a@b"),
        ("https://other/x?a\nb=canary", "https://other/x"),
    ],
)
def test_a_redirects_target_is_cleaned_before_it_is_shown(location: str, shown: str) -> None:
    response = httpx.Response(302, headers=[(b"Location", location.encode("latin-1"))])
    with pytest.raises(WrongServerError) as wrong:
        judge(response, b"", HERE, 0.0, 200)
    assert wrong.value.problem == f"https://a redirects to {shown}; credentials are never sent along."
    assert wrong.value.remedy == (
        f"Set {PATH} so that it names the final address: https (port 443) instead of http, and the rootpath that Argo"
        " CD is configured with."
    )


def test_a_redirect_may_be_what_is_expected() -> None:
    assert judged(303, text="", expected=303, Location="/") == Answer(303, None, 0.25, None, "https://a")
    with pytest.raises(WrongServerError, match="redirects to"):
        judged(302, text="", expected=303, Location="/")
    with pytest.raises(WrongServerError, match="redirects to"):
        judged(303, text="", Location="/")


def test_another_success_than_the_expected_one_is_none() -> None:
    with pytest.raises(WrongServerError, match="answers JSON, but not what"):
        judged(204, {})
    with pytest.raises(WrongServerError, match="answers JSON, but not what"):
        judged(200, {}, expected=303)


@pytest.mark.parametrize("data", [None, [1], "x", 1])
def test_an_answer_that_is_no_object_is_told(data: object) -> None:
    with pytest.raises(WrongServerError) as wrong:
        judged(200, data).object()
    assert wrong.value.problem == "https://a answers JSON, but not what Argo CD's API answers."
    assert wrong.value.remedy == (
        "Point the server's url (or svc, port and rootpath) at Argo CD (2.14 or later) itself."
    )


@pytest.mark.parametrize("value", [None, "", 1, ["x"]])
def test_a_string_must_be_there(value: object) -> None:
    with pytest.raises(WrongServerError):
        judged(200, {"token": value}).string("token")
    with pytest.raises(WrongServerError):
        judged(200, {}).string("token")
    assert judged(200, {"token": "x"}).string("token") == "x"


OBJECTS = st.dictionaries(st.sampled_from(["message", "code", "error"]), JSON | st.integers(0, 17))
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Location", "Date"]), st.text("09ah:/x\x7f, GMT", max_size=30)
)


@given(st.integers(200, 599), (JSON | OBJECTS).map(json.dumps) | st.text(), HEADERS, st.sampled_from([200, 303]))
def test_any_answer_is_one_or_an_error_of_two_sentences(
    status: int, content: str, headers: dict[str, Any], expected: int
) -> None:
    error: AuthError | None = None
    try:
        answer = judge(httpx.Response(status, headers=headers), content.encode("utf-8", "replace"), HERE, 0.0, expected)
    except AuthError as e:
        error = e
    if error is None:
        assert answer.status == expected
        return
    told(error)
    assert f"{error.problem}{error.remedy}".isprintable()
