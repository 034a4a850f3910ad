"""One exchange over a real connection: what goes out, how long it may take, and what it means when no answer comes."""

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import MAX_ANSWER
from gitops_runtime_auth.argocd.no_answer import explain
from gitops_runtime_auth.errors import (
    ConfigurationError,
    KeyRefusedError,
    TemporaryError,
    UnreachableError,
    WrongServerError,
)
from tests.fakes import LONG, SOON
from tests.unit.argocd.server import ARGOCD, CA, PEM, Reply, closed_port, refusal, serving, transport

PATH = "global.external-arg-cd.server"
CHECK = (
    f"Check that {PATH} (svc and port, or url) is Argo CD's address as seen from this namespace: kubectl get svc -A"
    " -l app.kubernetes.io/part-of=argocd."
)
DENIED = "A NetworkPolicy may also keep this pod from it: in the chart, networkPolicy.enabled allows what it needs."


def test_what_goes_out() -> None:
    headers = (("X-Proxy-Key", "canary"), ("User-Agent", "mine"))
    with serving() as served, transport(f"{served.url}/argocd", headers=headers) as sender:
        sender.send("POST", "/api/v1/session", timeout=5, body={"password": "pässword"})
        sender.send("DELETE", "/x", timeout=5, bearer="token")
        sender.send("GET", "/y", timeout=5, cookie="session")
        posted, deleted, got = served.asked
    assert served.lines() == ["POST /argocd/api/v1/session", "DELETE /argocd/x", "GET /argocd/y"]
    assert posted.body == {"password": "pässword"}
    assert deleted.body is None
    for asked in (posted, deleted, got):
        assert asked.headers["Content-Type"] == "application/json"
        assert asked.headers["Accept"] == "application/json"
        assert asked.headers["User-Agent"] == "mine"
        assert asked.headers["X-Proxy-Key"] == "canary"
    assert "Authorization" not in posted.headers
    assert deleted.headers["Authorization"] == "Bearer token"
    assert got.headers["Cookie"] == "argocd.token=session"
    assert "Authorization" not in got.headers


def test_what_comes_back() -> None:
    reply = Reply(json={"a": 1}, headers={"Date": "Wed, 25 Nov 2026 18:00:00 GMT"}, delay=0.1)
    with serving(reply) as served, transport(served.url) as sender:
        answer = sender.send("GET", "/", timeout=5)
    assert (answer.status, answer.json, answer.url) == (200, {"a": 1}, served.url)
    assert answer.date == 1795629600.0
    assert 0.1 <= answer.seconds < SOON


def test_the_time_of_connecting_is_not_in_the_answers_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, wrap, slow = socket.getaddrinfo, ssl.SSLContext.wrap_socket, 0.05

    def looks_up(*given: Any, **more: Any) -> Any:
        time.sleep(slow)
        return look_up(*given, **more)

    def wraps(*given: Any, **more: Any) -> Any:
        time.sleep(slow)
        return wrap(*given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", looks_up)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wraps)
    with serving(cert=CA.issue_cert("127.0.0.1")) as served, transport(served.url, ca=PEM) as sender:
        began = time.monotonic()
        answer = sender.send("GET", "/", timeout=5)
        whole = time.monotonic() - began
    assert answer.seconds <= whole - 2 * slow


def test_a_refusal_says_how_long_it_took() -> None:
    with (
        serving(refusal("token is revoked", delay=0.1)) as served,
        transport(served.url) as sender,
        pytest.raises(KeyRefusedError) as refused,
    ):
        sender.send("GET", "/", timeout=5)
    assert 0.1 <= refused.value.seconds < SOON


def test_the_clock_starts_before_the_first_byte_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a pause of this process would make a verdict seem faster than any."""
    write = socket.socket.send

    def slow(*args: object) -> int:
        count = write(*args)  # type: ignore[arg-type]
        time.sleep(0.1)
        return count

    with serving() as served, transport(served.url) as sender:
        monkeypatch.setattr(socket.socket, "send", slow)
        assert sender.send("GET", "/", timeout=5).seconds >= 0.1


def test_connections_are_kept_and_close_ends_them() -> None:
    with serving() as served, transport(served.url) as sender:
        for _ in range(2):
            sender.send("GET", "/", timeout=5)
        sender.close()
        sender.send("GET", "/", timeout=5)
        peers = [asked.peer for asked in served.asked]
    assert peers[0] == peers[1] != peers[2]


def test_a_balancers_cookie_is_kept_and_argocds_is_not() -> None:
    def setting(cookie: str) -> Reply:
        return Reply(json={}, headers={"Set-Cookie": cookie})

    replies = [setting("route=1; Path=/"), setting("argocd.token=canary; Path=/"), setting("argocd.token-1=c; Path=/x")]
    with serving({"*": [*replies, ARGOCD]}) as served, transport(served.url) as sender:
        for _ in range(4):
            sender.send("GET", "/x", timeout=5)
    assert [asked.headers.get("Cookie") for asked in served.asked] == [None, "route=1", "route=1", "route=1"]


@contextlib.contextmanager
def dribbling(head: bytes, rest: bytes = b"") -> Iterator[tuple[str, threading.Event]]:
    """Serve one connection: answer a request with ``rest``, then with ``head`` again and again, without an end.

    Yields the URL, and an event that is set once a request has arrived.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    reached, done = threading.Event(), threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                if connection.recv(65536):
                    reached.set()
                connection.sendall(rest)
                while not done.wait(0.02):
                    connection.sendall(head)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", reached
    finally:
        done.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        thread.join(5)
        listener.close()


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"a", b"HTTP/1.1 200 OK\r\nX-Long: "),
        (b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ],
)
def test_an_answer_that_trickles_in_ends_with_the_timeout(head: bytes, rest: bytes) -> None:
    for timeout in (0.1, 1.0):  # on a busy machine the first may be over before anything is sent
        with dribbling(head, rest) as (url, reached), transport(url) as sender:
            began = time.monotonic()
            with pytest.raises(UnreachableError) as lost:
                sender.send("GET", "/", timeout=timeout)
            assert timeout <= time.monotonic() - began < SOON
        if reached.is_set():
            break
    assert lost.value.problem == f"Argo CD at {url} does not answer in time."
    assert lost.value.sent
    assert lost.value.remedy == f"{CHECK} {DENIED}"


def test_a_silent_server_ends_with_the_timeout() -> None:
    with serving(Reply(delay=LONG)) as served, transport(served.url) as sender:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer in time"):
            sender.send("GET", "/", timeout=0.1)
        assert time.monotonic() - began < SOON


def test_a_handshake_that_stops_ends_with_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        transport(f"https://127.0.0.1:{listener.getsockname()[1]}", ca=PEM) as sender,
    ):
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer in time") as lost:
            sender.send("GET", "/", timeout=0.1)
        assert time.monotonic() - began < SOON
        assert not lost.value.sent


def test_a_name_that_is_looked_up_for_ever_ends_with_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(LONG) and [])
    with transport("http://argocd-server") as sender:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer in time") as lost:
            sender.send("GET", "/", timeout=0.1)
        assert time.monotonic() - began < SOON
        assert not lost.value.sent
    done.set()


def test_a_dns_that_gives_no_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with transport("http://argocd-server") as sender, pytest.raises(UnreachableError) as lost:
        sender.send("GET", "/", timeout=5)
    assert (
        lost.value.problem == "Argo CD at http://argocd-server does not answer: DNS gives no answer for its host name."
    )
    assert lost.value.remedy == f"{CHECK} {DENIED}"


def test_a_name_that_does_not_exist_is_told() -> None:
    with transport("http://argocd-server.nowhere.invalid") as sender, pytest.raises(UnreachableError) as lost:
        sender.send("GET", "/", timeout=5)
    assert lost.value.problem == (
        "Argo CD at http://argocd-server.nowhere.invalid does not answer: its host name is not known here (an Argo CD"
        " in core mode has no API server)."
    )
    assert lost.value.remedy == f"{CHECK} In another namespace it is NAME.NAMESPACE."
    assert not lost.value.sent


def test_nothing_that_listens_is_told_with_what_it_may_mean() -> None:
    with (
        closed_port() as port,
        transport(f"http://127.0.0.1:{port}") as sender,
        pytest.raises(UnreachableError) as lost,
    ):
        sender.send("GET", "/", timeout=5)
    assert lost.value.problem.endswith("does not answer: nothing listens at that address (connection refused).")
    assert lost.value.remedy == (
        "Wait until argocd-server's pods are ready (kubectl get pods -A -l app.kubernetes.io/name=argocd-server). An"
        f" Argo CD in core mode has no API server, and can't be used. {CHECK} {DENIED}"
    )
    assert not lost.value.sent
    assert lost.value.exit_code == 69


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def several(host: str, *args: object, **more: object) -> object:
        if host != "argocd-server":
            return look_up(host, *args, **more)  # type: ignore[arg-type]
        return [(2, 1, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with serving() as served, transport(f"http://argocd-server:{served.port}") as sender:
        assert sender.send("GET", "/", timeout=5).status == 200
    with (
        closed_port() as port,
        transport(f"http://argocd-server:{port}") as sender,
        pytest.raises(UnreachableError, match="nothing listens"),
    ):
        sender.send("GET", "/", timeout=5)


def test_a_request_whose_answer_is_lost_may_have_taken_effect() -> None:
    with (
        serving(Reply(raw=(b"HTTP/1.1 200 OK\r\n",))) as served,
        transport(served.url) as sender,
        pytest.raises(UnreachableError) as lost,
    ):
        sender.send("GET", "/", timeout=5)
    assert lost.value.sent
    assert lost.value.problem == f"Argo CD at {served.url} does not answer (RemoteProtocolError)."
    assert lost.value.remedy == CHECK


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("no"), False),
        (httpx.ConnectTimeout("no"), False),
        (httpx.PoolTimeout("no"), False),
        (httpx.ProxyError("no"), False),
        (httpx.ReadTimeout("no"), True),
        (httpx.WriteTimeout("no"), True),
        (httpx.ReadError("no"), True),
        (httpx.WriteError("no"), True),
    ],
)
def test_each_way_of_failing_says_whether_the_request_was_sent(error: Exception, sent: bool) -> None:
    explained = explain(error, Endpoint("https://a"), None)
    assert isinstance(explained, UnreachableError)
    assert explained.sent is sent


def test_an_endless_answer_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    exact, more = MAX_ANSWER, MAX_ANSWER + 1
    replies = [Reply(raw=(head % size + b" " * (size - 2) + b"{}",)) for size in (exact, more)]
    with serving({"*": replies}) as served, transport(served.url) as sender:
        assert sender.send("GET", "/", timeout=5).json == {}
        with pytest.raises(WrongServerError, match="answers with more than 8 MB"):
            sender.send("GET", "/", timeout=5)


def test_a_zipped_answer_is_read() -> None:
    reply = Reply(text=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
    with serving(reply) as served, transport(served.url) as sender:
        assert sender.send("GET", "/", timeout=5).json == {"a": 1}


def test_an_encoding_that_is_a_lie_is_told() -> None:
    with (
        serving(Reply(text="no zip at all", headers={"Content-Encoding": "gzip"})) as served,
        transport(served.url) as sender,
        pytest.raises(WrongServerError, match="answers in no known encoding"),
    ):
        sender.send("GET", "/", timeout=5)


def test_a_redirect_is_never_followed() -> None:
    with serving() as thief, serving(Reply(307, headers={"Location": f"{thief.url}/x"})) as served:
        with transport(served.url) as sender, pytest.raises(WrongServerError):
            sender.send("POST", "/api/v1/session", timeout=5, body={"password": "canary"})
        assert thief.asked == []


@pytest.mark.parametrize("url", ["ftp://a", "https://a:x", "https://a:99999", "https://[", "https://", "a"])
def test_what_is_no_address_is_told(url: str) -> None:
    with transport(url) as sender, pytest.raises(WrongServerError, match="is no address that can be used"):
        sender.send("GET", "/", timeout=1)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("X-Key", "canary\n", "is not a valid HTTP header"),
        ("X-Key", "canär", "is not a valid HTTP header"),
        ("X Key", "canary", "is not a valid HTTP header"),
        ("", "canary", "is not a valid HTTP header"),
        ("Authorization", "canary", "is one that this program sets itself"),
        ("content-type", "canary", "is one that this program sets itself"),
        ("Content-Length", "9", "is one that this program sets itself"),
        ("Transfer-Encoding", "chunked", "is one that this program sets itself"),
    ],
)
def test_headers_that_cannot_be_sent_are_told_without_their_value(name: str, value: str, wrong: str) -> None:
    with (
        transport("http://a", headers=(("X-Good", "1"), (name, value))) as sender,
        pytest.raises(ConfigurationError) as refused,
    ):
        sender.send("GET", "/", timeout=1)
    assert refused.value.problem == f'The header "{name}" for http://a {wrong}.'
    assert refused.value.remedy == (
        f"Correct the Secret that {PATH}.headersSecretRef names: each key is a header's name, each value one line."
    )


@pytest.mark.parametrize("how", [{"bearer": "canary\n"}, {"bearer": "canär"}, {"body": {"password": "\ud800canary"}}])
def test_a_credential_that_cannot_be_sent_is_told_without_it(how: dict[str, object]) -> None:
    with serving() as served, transport(served.url) as sender:
        with pytest.raises(ConfigurationError) as refused:
            sender.send("POST", "/", timeout=5, **how)  # type: ignore[arg-type]
        assert served.asked == []
    assert refused.value.problem == (
        f"The request to {served.url} can't be made: the user name, the password, the token or a header holds"
        " characters that can't be sent."
    )
    assert refused.value.remedy == "Correct it in its Secret, or in the values."
    assert "canary" not in f"{refused.value.problem}{refused.value.remedy}{refused.value!r}"
    assert refused.value.__cause__ is None


def test_a_busy_server_is_asked_again_later() -> None:
    with (
        serving(Reply(503, text="x", headers={"Retry-After": "7"})) as served,
        transport(served.url) as sender,
        pytest.raises(TemporaryError) as busy,
    ):
        sender.send("GET", "/", timeout=5)
    assert busy.value.retry_after == 7


def test_the_environments_ca_and_netrc_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("NETRC", f"{tmp_path}/netrc")
    with open(f"{tmp_path}/netrc", "w") as file:  # noqa: PTH123
        file.write("default login me password canary\n")
    with serving() as served, transport(served.url) as sender:
        sender.send("GET", "/", timeout=5)
        assert "Authorization" not in served.asked[0].headers
