"""A TLS proxy that meets chosen requests with a fault, and remembers every request and every token it saw.

A connection is a step of its own (``argocd CONNECT``), so that it too can be broken: in its handshake.
"""

import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.fakes.faults import step_name

REPLACED: dict[str, tuple[int, dict[str, str], bytes]] = {
    "408": (408, {}, b"timeout"),
    "429": (429, {"Retry-After": "1"}, b"slow down"),
    "500": (500, {"Content-Type": "application/json"}, b'{"code":2,"message":"something unknown"}'),
    "500-unavailable": (500, {"Content-Type": "application/json"}, b'{"code":14,"message":"transport is closing"}'),
    "502": (502, {}, b"bad gateway"),
    "503": (503, {}, b"no healthy upstream"),
    "504": (504, {}, b"gateway timeout"),
    "html": (200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>"),
    "redirect": (302, {"Location": "https://sso.example.invalid/login"}, b""),
    "garbage": (200, {"Content-Type": "application/json"}, b"\xff\xfe{"),
    "list": (200, {"Content-Type": "application/json"}, b"[1]"),
}
"""Faults that answer in the server's place: status, headers, body."""

KILLS = ("kill-before", "kill-after")
BREAKS = ("reset", "lost", "truncated", "delay")
HANG = "hang"
"""The request is taken and never answered: the client's own timeout ends it."""
KINDS = (*KILLS, *BREAKS, *REPLACED, HANG)
HANDSHAKES = ("handshake", "handshake-reset")
"""Faults of a connection: closed (FIN, RST) when the client has begun to speak TLS."""
_CONNECT = "CONNECT"
_SETTLES = 1.0
"""Seconds for whoever follows a patched object (Argo CD its ConfigMap, a controller its Deployment): what the hook
asks after that is then the same in every run."""


def is_connection(step: str) -> bool:
    return step.endswith(f" {_CONNECT}")


class FaultProxy:
    """One proxy of one run. ``fault`` is (step, occurrence, kind); ``kill`` ends the hook's process."""

    def __init__(self, side: str, upstream: tuple[str, int], tls: ssl.SSLContext) -> None:
        self.side = side
        self.upstream = upstream
        self.fault: tuple[str, int, str] = ("", 0, "")
        self.kill: Callable[[], None] = lambda: None
        self.seen: list[str] = []
        self.sessions: list[str] = []
        self.keys: list[str] = []
        self.hit = False
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.proxy = self
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def comes(self, method: str, path: str = "") -> str:
        """Note a request, or a connection, and return the fault that meets it, if any."""
        step = step_name(self.side, method, path) if path else f"{self.side} {method}"
        with self._lock:
            self.seen.append(step)
            if (step, self.seen.count(step)) != self.fault[:2]:
                return ""
            self.hit = True
            return self.fault[2]

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(
            *self.upstream,
            timeout=60,
            context=ssl._create_unverified_context(),
        )
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        self._remember(method, path, content)
        kept = {k: v for k, v in response.getheaders() if k.lower() in ("content-type", "location", "retry-after")}
        return response.status, kept, content

    def _remember(self, method: str, path: str, content: bytes) -> None:
        if self.side == "argocd" and method == "POST":
            try:
                token = json.loads(content).get("token")
            except ValueError:
                return
            if token:
                (self.sessions if path.endswith("/session") else self.keys).append(token)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    proxy: FaultProxy

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Called in the connection's own thread, before the handshake."""
        kind = self.proxy.comes(_CONNECT)
        if kind not in HANDSHAKES:
            return super().finish_request(request, client_address)
        raw = socket.socket(fileno=request.detach())  # beneath TLS
        raw.recv(16384)
        if kind == "handshake-reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return raw.close()

    def shutdown_request(self, request: Any) -> None:
        """A connection whose handshake was broken is gone already."""
        if request.fileno() != -1:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed client is no error here."""


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = proxy.comes(self.command, self.path)
            if kind == "kill-before":
                proxy.kill()
                return self._reset()
            if kind == "reset":
                return self._reset()
            if kind in REPLACED:
                return self._answer(*REPLACED[kind])
            if kind == HANG:
                self.connection.recv(1)  # until the client hangs up
                return self._reset()
            if kind == "delay":
                time.sleep(2)
            hop = ("host", "connection", "content-length", "accept-encoding")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in hop}
            status, kept, content = proxy.forward(self.command, self.path, headers, body)
            if self.command == "PATCH":
                time.sleep(_SETTLES)
            if kind == "kill-after":
                proxy.kill()
                return self._reset()
            if kind == "lost":
                return self._reset()
            return self._answer(status, kept, content, cut=kind == "truncated")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

        def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) + (1 if cut else 0)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.wfile.flush()
            if cut:
                self._reset()

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
