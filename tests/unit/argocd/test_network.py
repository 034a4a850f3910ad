"""The way through a proxy, with and without TLS to the server behind it."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitops_runtime_auth.errors import AuthError, ConfigurationError, UnreachableError, WrongServerError
from tests.unit.argocd.server import CA, PEM, Reply, closed_port, pem_of, serving, transport

LINE = "HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def proxy(target: int, status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that connects to ``target``, a port of the loopback, whatever host it is asked for."""
    listener = socket.create_server(("127.0.0.1", 0))
    heads: list[bytes] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(connection: socket.socket) -> None:
        with connection:
            heads.append(connection.recv(65536))
            connection.sendall(LINE.format(status).replace("Content-Length: 0\r\n", "").encode())
            if status != 200:
                return
            with socket.create_connection(("127.0.0.1", target)) as server:
                back = threading.Thread(target=pump, args=(server, connection), daemon=True)
                back.start()
                pump(connection, server)
                back.join(5)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_tls_goes_through_the_proxys_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    cert = CA.issue_cert("argocd.test")
    with serving(cert=cert) as served, proxy(served.port) as (address, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pässword@{address}")
        with transport("https://argocd.test", ca=PEM) as sender:
            assert sender.send("GET", "/api/version", timeout=5).status == 200
    assert heads[0].startswith(b"CONNECT argocd.test:443 ")
    assert b"Proxy-Authorization: Basic " + base64.b64encode("me:pässword".encode()) in heads[0]


def test_a_certificate_is_pinned_behind_a_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cert = CA.issue_cert("another.name")
    with serving(cert=cert) as served, proxy(served.port) as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        with transport("https://argocd.test", ca=pem_of(cert)) as sender:
            assert sender.send("GET", "/api/version", timeout=5).status == 200
        with (
            transport("https://argocd.test", ca=PEM) as sender,
            pytest.raises(WrongServerError, match=r"other host names: another\.name"),
        ):
            sender.send("GET", "/api/version", timeout=5)


def test_plain_http_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as served:
        monkeypatch.setenv("HTTP_PROXY", served.url)
        with transport("http://argocd.test/argocd") as sender:
            assert sender.send("GET", "/api/version", timeout=5).status == 200
        assert served.lines() == ["GET http://argocd.test/argocd/api/version"]


def test_a_port_forward_is_dialled_in_place_of_the_urls_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with serving(cert=CA.issue_cert("argocd.test")) as served:
        dial = ("127.0.0.1", served.port)
        with transport("https://argocd.test", ca=PEM, dial=dial) as sender:
            assert sender.send("GET", "/api/version", timeout=5).status == 200
        assert served.asked[0].headers["Host"] == "argocd.test"
        with transport("https://other.test", ca=PEM, dial=dial) as sender, pytest.raises(WrongServerError):
            sender.send("GET", "/api/version", timeout=5)


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "fd00::/8,[::1],*.localhost")
    with serving() as served, transport(f"http://argocd.localhost:{served.port}") as sender:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", served.port))])
        assert sender.send("GET", "/", timeout=5).status == 200


def test_a_no_proxy_that_makes_no_sense_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/99")
    with transport("https://argocd.test") as sender, pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        sender.send("GET", "/", timeout=5)


@pytest.mark.parametrize(
    ("status", "error"), [(403, WrongServerError), (407, WrongServerError), (502, UnreachableError)]
)
def test_a_proxy_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, status: int, error: type[AuthError]) -> None:
    with proxy(0, status) as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:canary@{address}")
        with transport("https://argocd.test") as sender, pytest.raises(error) as refused:
            sender.send("GET", "/", timeout=5)
    assert refused.value.problem == (
        f"The proxy http://{address} does not connect to https://argocd.test (HTTP {status})."
    )
    assert refused.value.remedy == (
        "Let the proxy allow it, or name the host in NO_PROXY (in the chart: proxy.noProxy)."
    )
    assert not getattr(refused.value, "sent", False)


def test_a_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:canary@127.0.0.1:{port}")
        with transport("https://argocd.test") as sender, pytest.raises(UnreachableError) as lost:
            sender.send("GET", "/", timeout=5)
    assert lost.value.problem == (
        f"Argo CD at https://argocd.test through the proxy http://127.0.0.1:{port} does not answer: nothing listens at"
        " that address (connection refused)."
    )
    assert lost.value.remedy.endswith("If it needs no proxy, name its host in NO_PROXY (in the chart: proxy.noProxy).")


def test_a_proxy_that_speaks_tls_needs_a_public_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Reply(), cert=CA.issue_cert("127.0.0.1")) as served:
        monkeypatch.setenv("HTTPS_PROXY", served.url)
        with transport("https://argocd.test", ca=PEM) as sender, pytest.raises(WrongServerError):
            sender.send("GET", "/", timeout=5)
        assert served.asked == []
