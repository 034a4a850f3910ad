"""A TLS proxy that meets chosen requests with a fault.

A connection is a step of its own (``argocd CONNECT``), so that it too can be broken: in its handshake.
"""

import http.client
import json
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults.traffic import CONNECT, HANDSHAKES, HANG, LOST, NO_FAULT, REPLACED, Fault, Traffic, step_name

_SETTLES = 1.0
"""Seconds for whoever follows a patched object (Argo CD its ConfigMap, a controller its Deployment): what the hook
asks after that is then the same in every run."""
_KEPT_HEADERS = ("content-type", "location", "retry-after", "date")
_HOPS = ("host", "connection", "content-length", "accept-encoding")
_SESSION, _NAMESPACE = "argocd POST /api/v1/session", "kubernetes GET /namespace"


class FaultProxy:
    """A listening port of the loopback that leads to one server. ``traffic`` is the present run's."""

    def __init__(self, side: str, upstream: tuple[str, int], tls: ssl.SSLContext) -> None:
        self.side = side
        self.upstream = upstream
        self.traffic = Traffic()
        self.asks_for = ("", "")
        """A request header, name and value, without which a login page is shown, as identity-aware proxies do."""
        self.namespace: dict[str, Any] = {}
        """Fields that are laid over the metadata of the namespace, as Kubernetes shows it."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection to the server behind, whose certificate is not looked at."""
        return http.client.HTTPSConnection(*self.upstream, timeout=300, context=ssl._create_unverified_context())


class Between:
    """The two proxies between the processes of a release and the servers; the ports stay, the traffic is a run's."""

    def __init__(
        self,
        argocd: tuple[str, int],
        kubernetes: tuple[str, int],
        tls: ssl.SSLContext,
        argocds_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.argocd = FaultProxy("argocd", argocd, argocds_tls or tls)
        self.kubernetes = FaultProxy("kubernetes", kubernetes, tls)

    def begin(self, fault: Fault = NO_FAULT, traffic: Traffic | None = None) -> Traffic:
        """Begin a run: what comes from now on is noted in the traffic that is returned."""
        self.argocd.traffic = self.kubernetes.traffic = traffic = traffic or Traffic(fault)
        return traffic

    def close(self) -> None:
        """Stop listening."""
        self.argocd.close()
        self.kubernetes.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    proxy: FaultProxy

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Called in the connection's own thread, before the handshake."""
        kind = self.proxy.traffic.comes(f"{self.proxy.side} {CONNECT}")
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer is 0.04 s late
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.proxy = self.server.proxy
        self.traffic = self.proxy.traffic  # what a killed process had under way is not the next run's

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        step = step_name(self.proxy.side, self.command, self.path)
        kind = self.traffic.comes(step)
        if kind == "kill-before":
            self.traffic.kill()
            return self._reset()
        if kind == "reset":
            return self._reset()
        if kind in REPLACED:
            return self._answer(*REPLACED[kind])
        name, value = self.proxy.asks_for
        if name and self.headers.get(name) != value:
            return self._answer(*REPLACED["html"])
        if kind == HANG:
            self.connection.recv(1)  # until the client hangs up
            return self._reset()
        if kind == "delay":
            time.sleep(2)
        return self._forward(step, kind, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

    def _forward(self, step: str, kind: str, body: bytes) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOPS}
        connection, began = self.proxy.connect(), time.monotonic()
        try:
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            kept = {k: v for k, v in response.getheaders() if k.lower() in _KEPT_HEADERS}
            if "watch=true" in self.path.lower():
                return self._stream(response, kept)
            content = response.read()
        finally:
            connection.close()
        late = 0.0
        if self.proxy.side == "argocd":
            late = self.traffic.logged_in(began, response.status) if step == _SESSION else self.traffic.answered()
            if self.command == "POST":
                self.traffic.remember(self.path, content)
        if step == _NAMESPACE and self.proxy.namespace and response.status == 200:
            content = _laid_over(content, self.proxy.namespace)
        if self.command == "PATCH":
            time.sleep(_SETTLES)
        if late not in (0.0, LOST):
            time.sleep(late)
        if kind == "kill-after":
            self.traffic.kill()
        if kind in ("kill-after", "lost") or late == LOST:
            return self._reset()
        return self._answer(response.status, kept, content, cut=kind == "truncated")

    def _stream(self, response: http.client.HTTPResponse, headers: dict[str, str]) -> None:
        """Hand a watch on as it comes, in chunks as the API server does, until either side ends it."""
        self.close_connection = True
        self._head(response.status, {**headers, "Connection": "close", "Transfer-Encoding": "chunked"})
        content = b"any"
        while content:
            content = response.read1(65536)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
        self._head(status, {**headers, "Content-Length": str(len(content) + (1 if cut else 0))})
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.wfile.flush()
        if cut:
            self._reset()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        dated = any(name.lower() == "date" for name in headers)
        (self.send_response_only if dated else self.send_response)(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _laid_over(content: bytes, metadata: dict[str, Any]) -> bytes:
    found = json.loads(content)
    return json.dumps({**found, "metadata": {**found["metadata"], **metadata}}).encode()
