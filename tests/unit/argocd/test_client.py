"""The calls of the account API: what they ask, what they make of the answers, and what they repeat."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import jwt
import pytest

from gitops_runtime_auth.argocd.client import Account, ArgoCD, Key
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.errors import (
    AnswerError,
    KeyRefusedError,
    Refusal,
    TemporaryError,
    UnreachableError,
    WrongServerError,
)
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON
from tests.unit.argocd.server import ARGOCD, LOGIN, QUICK, VERSION, Reply, Served, client, closed_port, refusal, serving

ADMIN = "GET /api/v1/account/admin"
BUSY = Reply(503, text="busy")
SESSION = Reply(json={"token": "session"})
OUT = Reply(303, text="", headers={"Location": "/login"})


def key_of(account: str, key_id: str, kind: str = "apiKey") -> str:
    return jwt.encode({"iss": "argocd", "sub": f"{account}:{kind}", "jti": key_id}, "x" * 32)


def shown(**more: object) -> Reply:
    return Reply(json={"name": "admin", "enabled": True, "capabilities": ["login", "apiKey", "login"], **more})


def test_the_address_is_told() -> None:
    assert ArgoCD(Transport(Endpoint("https://a/b")), Deadline(1), Timing()).url == "https://a/b"


def test_close_ends_the_connections() -> None:
    with serving() as served, client(served) as argocd:
        argocd.version()
        argocd.close()
        argocd.version()
        assert len({asked.peer for asked in served.asked}) == 2


def test_the_version_is_printable_and_short() -> None:
    with serving(Reply(json={"Version": "v3.6.1\x1b[31m" + "x" * 60})) as served, client(served) as argocd:
        assert argocd.version() == "v3.6.1[31m" + "x" * 30
        assert served.lines() == [VERSION]
        assert "Authorization" not in served.asked[0].headers


def test_what_says_no_version_is_not_argocd() -> None:
    with serving(Reply(json={"version": "1"})) as served, client(served) as argocd, pytest.raises(WrongServerError):
        argocd.version()


def test_now_is_by_argocds_clock() -> None:
    dated = Reply(json={"Version": "v3"}, headers={"Date": "Wed, 25 Nov 2026 18:00:00 GMT"})
    later = Reply(json={"Version": "v3"}, headers={"Date": "Wed, 25 Nov 2026 19:00:00 GMT"})
    with serving({"*": [ARGOCD, dated, ARGOCD, later]}) as served, client(served) as argocd:
        assert time.time() <= argocd.now() <= time.time()
        argocd.version()
        assert time.time() <= argocd.now() <= time.time()
        argocd.version()
        first = argocd.now()
        assert 1795629600 <= first < 1795629600 + LONG
        time.sleep(0.05)
        assert 0.05 <= argocd.now() - first < LONG
        argocd.version()
        assert 1795629600 <= argocd.now() < 1795629600 + LONG
        argocd.version()
        assert 1795633200 <= argocd.now() < 1795633200 + LONG


def test_a_refused_keys_answer_tells_the_time_too() -> None:
    dated = refusal("token is revoked", headers={"Date": "Wed, 25 Nov 2026 18:00:00 GMT"})
    with serving({ADMIN: [dated, refusal("token is revoked")]}) as served, client(served) as argocd:
        for _ in range(2):
            with pytest.raises(KeyRefusedError):
                argocd.account("admin", "x")
            assert 1795629600 <= argocd.now() < 1795629600 + LONG


def test_an_account_is_read() -> None:
    tokens = [
        {"id": "a", "issuedAt": "1700000000", "expiresAt": "1800000000"},
        {"id": "b", "issuedAt": 1600000000},
        {"id": "c", "issuedAt": "9" * 19, "expiresAt": "9" * 20},
        {"id": "d", "issuedAt": "-1", "expiresAt": "x"},
        {"id": 1},
        {},
        "x",
    ]
    with serving({ADMIN: shown(tokens=tokens)}) as served, client(served) as argocd:
        account = argocd.account("admin", "bearer")
        assert served.asked[0].headers["Authorization"] == "Bearer bearer"
    keys = (Key("a", 1700000000, 1800000000), Key("b", 1600000000, 0), Key("c", int("9" * 19), 0), Key("d", 0, 0))
    assert account == Account("admin", True, frozenset({"login", "apiKey"}), keys)
    assert account.has_key("a")
    assert not account.has_key("e")
    assert (account.issued_at("b"), account.issued_at("e")) == (1600000000, 0)


def test_an_account_that_is_disabled_and_has_nothing() -> None:
    with serving({ADMIN: Reply(json={"name": "admin"})}) as served, client(served) as argocd:
        assert argocd.account("admin", "bearer") == Account("admin", False, frozenset(), ())


@pytest.mark.parametrize("enabled", ["true", 1, None])
def test_only_true_is_enabled(enabled: object) -> None:
    with serving({ADMIN: Reply(json={"name": "admin", "enabled": enabled})}) as served, client(served) as argocd:
        assert not argocd.account("admin", "bearer").enabled


@pytest.mark.parametrize("wrong", [{"name": 1}, {"capabilities": {"a": 1}}, {"tokens": "x"}])
def test_an_account_of_another_form_is_not_argocds(wrong: dict[str, object]) -> None:
    with serving({ADMIN: shown(**wrong)}) as served, client(served) as argocd, pytest.raises(WrongServerError):
        argocd.account("admin", "bearer")


def test_names_and_ids_are_escaped() -> None:
    with serving(Reply(json={})) as served, client(served) as argocd:
        with pytest.raises(WrongServerError):
            argocd.account("a/b c", "x")
        argocd.delete_key("a/b", "k/1?x", "x")
    assert served.lines() == ["GET /api/v1/account/a%2Fb%20c", "DELETE /api/v1/account/a%2Fb/token/k%2F1%3Fx"]


@pytest.mark.parametrize(
    ("bearer", "listed", "refused"),
    [
        (key_of("admin", "k"), ["k"], False),
        (key_of("admin", "k"), ["other"], True),
        (key_of("admin", "k"), [], True),
        (key_of("admin", "k", "login"), ["other"], False),
        (key_of("operator", "k"), ["other"], False),
        ("no token", ["other"], False),
    ],
)
def test_an_anonymous_answer_does_not_prove_a_key(bearer: str, listed: list[str], refused: bool) -> None:
    """With users.anonymous.enabled and a reading default role, Argo CD answers 200 whatever the token is."""
    with serving({ADMIN: shown(tokens=[{"id": key} for key in listed])}) as served, client(served) as argocd:
        if not refused:
            assert argocd.account("admin", bearer).name == "admin"
            return
        with pytest.raises(KeyRefusedError) as anonymous:
            argocd.account("admin", bearer)
    assert anonymous.value.refusal is Refusal.KEY_REVOKED
    assert anonymous.value.problem == (
        f"Argo CD at {served.url} does not accept the token, and answers as to an anonymous user."
    )
    assert anonymous.value.remedy == (
        "Make a new key in Argo CD (argocd account generate-token) and store it in the Secret."
    )


def test_an_account_that_may_not_read_itself_is_taken_for_an_anonymous_one() -> None:
    denied = refusal("permission denied: accounts, get, admin", 403, 7)
    with serving({ADMIN: denied}) as served, client(served) as argocd:
        for bearer in (key_of("admin", "k"), key_of("admin", "k", "login")):
            with pytest.raises(KeyRefusedError) as anonymous:
                argocd.account("admin", bearer)
            assert anonymous.value.refusal is Refusal.UNKNOWN
        with pytest.raises(AnswerError) as others:
            argocd.account("admin", key_of("operator", "k"))
        assert others.value.refusal is Refusal.PERMISSION_DENIED


def test_another_failure_of_the_account_stays_what_it_is() -> None:
    with serving({ADMIN: refusal("account 'admin' does not exist", 404, 5)}) as served, client(served) as argocd:
        with pytest.raises(AnswerError) as missing:
            argocd.account("admin", key_of("admin", "k"))
        assert (missing.value.refusal, missing.value.status) == (Refusal.ACCOUNT_MISSING, 404)


CALLS: dict[str, tuple[str, Reply, Callable[[ArgoCD], object]]] = {
    "version": (VERSION, ARGOCD, lambda a: a.version()),
    "account": (ADMIN, shown(), lambda a: a.account("admin", "x")),
    "delete": ("DELETE /api/v1/account/admin/token/k", Reply(json={}), lambda a: a.delete_key("admin", "k", "x")),
    "can-i": (
        "GET /api/v1/account/can-i/applications/get/*/*",
        Reply(json={"value": "yes"}),
        lambda a: a.may_see_applications("x"),
    ),
    "logout": ("GET /auth/logout", OUT, lambda a: a.logout("x")),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_heals_is_asked_again(name: str) -> None:
    line, good, call = CALLS[name]
    with serving({line: [BUSY, refusal("x", 500, 14), good]}) as served, client(served) as argocd:
        call(argocd)
        assert served.lines() == [line] * 3


@pytest.mark.parametrize("name", [name for name in CALLS if name != "logout"])
def test_the_deadline_ends_what_does_not_heal(name: str) -> None:
    line, _, call = CALLS[name]
    with serving({line: BUSY}) as served, client(served, 0.2) as argocd:
        began = time.monotonic()
        with pytest.raises(TemporaryError):
            call(argocd)
        took = time.monotonic() - began
        assert took < SOON
        assert len(served.asked) > 2


def test_the_last_try_outlasts_the_deadline() -> None:
    with serving(Reply(delay=LONG)) as served, client(served, 0.0, replace(QUICK, last_try=0.2)) as argocd:
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            argocd.version()
        assert 0.18 < time.monotonic() - began < SOON
    assert Timing().last_try == 1.0


def test_a_request_takes_no_longer_than_timing_says() -> None:
    timing = Timing(request=0.1, first_retry=LONG)
    with serving(Reply(delay=LONG)) as served, client(served, 5.0, timing) as argocd:
        argocd._calls.deadline = Deadline(1.0)
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            argocd.version()
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize(("value", "may"), [("yes", True), ("no", False), (True, False), (None, False)])
def test_the_role_is_asked_for(value: object, may: bool) -> None:
    line, _, _ = CALLS["can-i"]
    with serving({line: Reply(json={"value": value})}) as served, client(served) as argocd:
        assert argocd.may_see_applications("bearer") is may
        assert served.asked[0].headers["Authorization"] == "Bearer bearer"


CREATE = "POST /api/v1/account/admin/token"


def test_a_key_is_created() -> None:
    with serving({CREATE: Reply(json={"token": "key"})}) as served, client(served) as argocd:
        assert argocd.create_key("admin", "gra.1", "bearer") == "key"
        assert served.asked[0].body == {"name": "admin", "id": "gra.1", "expiresIn": 0}
        assert served.asked[0].headers["Authorization"] == "Bearer bearer"


def test_a_creation_that_was_certainly_not_taken_is_asked_again() -> None:
    replies = [Reply(429, text="slow"), Reply(425, text="early"), Reply(json={"token": "key"})]
    with serving({CREATE: replies}) as served, client(served) as argocd:
        assert argocd.create_key("admin", "gra.1", "bearer") == "key"
        assert len(served.asked) == 3
    with closed_port() as port, client(Served(port, False, {}), 0.1) as argocd, pytest.raises(UnreachableError) as lost:
        argocd.create_key("admin", "gra.1", "bearer")
    assert not lost.value.sent


@pytest.mark.parametrize("reply", [BUSY, Reply(raw=(b"HTTP/1.1 200 OK\r\n",)), refusal("conflict", 409, 10)])
def test_a_creation_whose_answer_is_lost_is_not_repeated(reply: Reply) -> None:
    with serving({CREATE: [reply, Reply(json={"token": "key"})]}) as served, client(served) as argocd:
        with pytest.raises((TemporaryError, UnreachableError)) as lost:
            argocd.create_key("admin", "gra.1", "bearer")
        assert lost.value.sent
        assert len(served.asked) == 1


def test_a_refused_creation_says_why() -> None:
    with serving({CREATE: refusal("account 'admin' does not have apiKey capability", 500, 2)}) as served:
        with client(served) as argocd, pytest.raises(AnswerError) as refused:
            argocd.create_key("admin", "gra.1", "bearer")
        assert refused.value.refusal is Refusal.NO_API_KEY_CAPABILITY


def test_a_key_that_is_gone_already_is_revoked() -> None:
    line = CALLS["delete"][0]
    with serving({line: refusal("token with id 'k' does not exist", 404, 5)}) as served, client(served) as argocd:
        argocd.delete_key("admin", "k", "x")
        assert served.lines() == [line]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal("account 'admin' does not exist", 404, 5), AnswerError),
        (Reply(404, json={"message": "no Route matched"}), WrongServerError),
        (Reply(404, text="404 page not found"), WrongServerError),
        (refusal("permission denied", 403, 7), AnswerError),
    ],
)
def test_a_key_is_not_taken_for_revoked_by_another_404(reply: Reply, error: type[Exception]) -> None:
    with serving({CALLS["delete"][0]: reply}) as served, client(served) as argocd, pytest.raises(error):
        argocd.delete_key("admin", "k", "x")


def test_a_session_is_ended_by_its_cookie() -> None:
    with serving({"GET /auth/logout": OUT}) as served, client(served) as argocd:
        argocd.logout("session")
        assert served.asked[0].headers["Cookie"] == "argocd.token=session"
        assert "Authorization" not in served.asked[0].headers


@pytest.mark.parametrize("reply", [Reply(302, text="", headers={"Location": "/login"}), Reply(json={})])
def test_only_a_303_ends_a_session(reply: Reply) -> None:
    with serving({"GET /auth/logout": reply}) as served, client(served) as argocd, pytest.raises(WrongServerError):
        argocd.logout("session")


def test_a_session_is_ended_after_the_deadline_too() -> None:
    with serving({"GET /auth/logout": [BUSY, OUT]}) as served, client(served, 0.0) as argocd:
        argocd.logout("session")
        assert len(served.asked) == 2


def test_a_logout_is_tried_for_ten_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    from gitops_runtime_auth.argocd import client as module

    given: list[Deadline] = []
    monkeypatch.setattr(module, "retry", lambda deadline, *_: given.append(deadline))
    with serving() as served:
        for seconds in (100.0, 9.5, 2.0):
            with client(served, seconds) as argocd:
                argocd.logout("session")
    assert [round(deadline.seconds) for deadline in given] == [10, 10, 3]


def sessions(out: Reply = OUT) -> dict[str, list[Reply] | Reply]:
    return {VERSION: ARGOCD, LOGIN: SESSION, "GET /auth/logout": out}


def test_what_cannot_be_ended_is_no_error() -> None:
    with serving({"GET /auth/logout": [OUT, Reply(json={})]}) as served, client(served) as argocd:
        argocd.end("session")
        argocd.end("session")
        assert served.lines() == ["GET /auth/logout"] * 2


def test_a_session_lasts_for_a_block() -> None:
    with serving(sessions()) as served, client(served) as argocd:
        with argocd.session("admin", "pw", again_in_doubt=False) as session:
            assert session == "session"
            assert served.lines() == [VERSION, LOGIN]
        assert served.lines() == [VERSION, LOGIN, "GET /auth/logout"]
        assert served.asked[2].headers["Cookie"] == "argocd.token=session"


def test_a_session_ends_when_its_block_fails() -> None:
    with serving(sessions()) as served, client(served) as argocd:
        with pytest.raises(KeyError), argocd.session("admin", "pw", again_in_doubt=False):
            raise KeyError("x")
        assert served.lines()[-1] == "GET /auth/logout"


def test_a_session_that_cannot_be_ended_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with (
        serving(sessions(Reply(200, json={}))) as served,
        client(served) as argocd,
        caplog.at_level(logging.WARNING),
        argocd.session("admin", "pw", again_in_doubt=False),
    ):
        pass
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("The login session could not be ended (")
    assert record.getMessage().endswith(") It expires within a day.")


@pytest.mark.parametrize("again", [True, False])
def test_a_session_hands_its_doubt_on(again: bool) -> None:
    script = sessions() | {LOGIN: [BUSY, SESSION]}
    with serving(script) as served, client(served, timing=QUICK) as argocd:
        try:
            with argocd.session("admin", "pw", again_in_doubt=again):
                pass
        except AnswerError:
            assert not again
        assert served.lines().count(LOGIN) == (2 if again else 1)
