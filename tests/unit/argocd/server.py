"""A small HTTP(S) server on the loopback: it gives the answers that it was told to give, and notes what it is asked."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import trustme

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.errors import KeyRefusedError
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing

CA = trustme.CA()
PEM = CA.cert_pem.bytes().decode()
QUICK = Timing(
    first_retry=0.01, longest_retry=0.02, request=5.0, fastest_verdict=0.05, overload_passes=0.05, jitter=60.0
)
"""Waits that are long enough to be told apart on a busy machine, and short enough to be waited for."""
VERSION = "GET /api/version"
LOGIN = "POST /api/v1/session"


@dataclass(frozen=True)
class Reply:
    """One answer. ``raw`` is sent as it is, piece by piece with ``pause`` seconds in between, instead of the rest.

    The server waits ``delay`` seconds before it. ``took`` are the seconds that ``client`` believes it took.
    """

    status: int = 200
    json: object = None
    text: str | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    took: float = 0.0
    raw: tuple[bytes, ...] = ()
    pause: float = 0.0

    def content(self) -> bytes:
        if self.text is None:
            return json.dumps(self.json).encode()
        return self.text if isinstance(self.text, bytes) else self.text.encode()


def refusal(message: str, status: int = 401, code: int = 16, **more: Any) -> Reply:
    """An answer in the words and the form of Argo CD's gRPC gateway."""
    return Reply(status, {"error": message, "code": code, "message": message}, **more)


ARGOCD = Reply(json={"Version": "v3.6.1+a1b2c3"})
WRONG = "Invalid username or password"


@dataclass
class Asked:
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: Any
    at: float
    peer: int


@dataclass
class Served:
    """A running server: its address, what it was asked, and what it answers (the last answer to a line repeats)."""

    port: int
    tls: bool
    replies: dict[str, list[Reply]]
    asked: list[Asked] = field(default_factory=list)
    took: float = 0.0
    """``Reply.took`` of the last answer."""

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    def bodies(self, line: str) -> list[Any]:
        return [asked.body for asked in self.asked if asked.line == line]

    def reply(self, line: str) -> Reply:
        replies = self.replies.get(line) or self.replies.get("*") or [ARGOCD]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        self.took = reply.took
        return reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # as Go's servers do
    served: Served

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        line = f"{self.command} {self.path}"
        self.served.asked.append(Asked(line, dict(self.headers), body, time.monotonic(), self.client_address[1]))
        reply = self.served.reply(line)
        time.sleep(reply.delay)
        if reply.raw:
            for piece in reply.raw:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(reply.pause)
            self.close_connection = True
            return
        content = reply.content()
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Clients that break off are what many of these tests are about."""

    def shutdown_request(self, request: Any) -> None:
        try:
            super().shutdown_request(request)
        except OSError:
            request.close()


@contextmanager
def serving(
    replies: dict[str, list[Reply] | Reply] | Reply | None = None,
    cert: trustme.LeafCert | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[Served]:
    """Serve ``replies`` by request line (``*`` for every other), over TLS with ``cert`` or ``context``."""
    given = {"*": replies} if isinstance(replies, Reply) else replies or {}
    script = {line: answer if isinstance(answer, list) else [answer] for line, answer in given.items()}
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    if cert is not None:
        context = server_context(cert)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served = Served(server.server_address[1], context is not None, script)
    handler.served = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def server_context(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


def pem_of(cert: trustme.LeafCert) -> str:
    return cert.cert_chain_pems[0].bytes().decode()


def client_files(cert: trustme.LeafCert, folder: Path) -> Path:
    """Write a client certificate as a Secret of type kubernetes.io/tls is mounted."""
    cert.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    cert.private_key_pem.write_to_path(str(folder / "tls.key"))
    return folder


@contextmanager
def transport(endpoint: Endpoint | str, **more: Any) -> Iterator[Transport]:
    made = Transport(Endpoint(endpoint, **more) if isinstance(endpoint, str) else endpoint)
    try:
        yield made
    finally:
        made.close()


class _Told(Transport):
    """Reports ``Reply.took`` instead of the measured time: tests need not wait, and a busy machine changes nothing."""

    def __init__(self, endpoint: Endpoint, served: Served) -> None:
        super().__init__(endpoint)
        self._served = served

    def send(self, method: str, path: str, **how: Any) -> Answer:
        try:
            return replace(super().send(method, path, **how), seconds=self._served.took)
        except KeyRefusedError as e:
            e.seconds = self._served.took
            raise


@contextmanager
def client(
    served: Served, seconds: float = 5.0, timing: Timing = QUICK, endpoint: Endpoint | None = None
) -> Iterator[ArgoCD]:
    """Yield a client with a deadline ``seconds`` from now."""
    made = ArgoCD(_Told(endpoint or Endpoint(served.url), served), Deadline(seconds), timing)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nothing listens, kept from others while the block runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
