"""Serves the HTTP endpoints of the long-running commands: ``/healthz``, ``/readyz`` and ``/metrics``.

Every Pod that reaches the port may ask. So ``/readyz`` says only whether the process is ready, and a category if it is
not; the full reason, which names server and account, is written to the log and an Event.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError, ConfigurationError, RefusedError, RetryableError
from gitops_runtime_auth.timing import Timing

PORT = 8080
MOST_CONNECTIONS = 16
"""Connections that are served at the same time. Kubelet and Prometheus need two or three."""
_PLAIN = "text/plain; charset=utf-8"


class Status(Enum):
    """Whether the process is ready, and a category if it is not. The value is the answer of ``/readyz``."""

    READY = "ready"
    NOT_CHECKED = "not ready: not checked yet"
    REFUSED = "not ready: refused"
    UNREACHABLE = "not ready: unreachable"
    MISCONFIGURED = "not ready: configuration"
    STANDING_BY = "not ready: standing by"
    FAILED = "not ready: failed"


@dataclass(frozen=True)
class Verdict:
    """The result of a check."""

    status: Status
    reason: str
    remedy: str = ""
    again_soon: bool = False
    """Whether the next check should not wait for the interval."""
    warn: bool = False
    """Whether the key works, but will soon expire, so that a Warning is sent."""

    @property
    def ready(self) -> bool:
        """Whether the key works."""
        return self.status is Status.READY


def status_of(error: AuthError) -> Status:
    """Return the status of a process whose last check ended in ``error``."""
    match error:
        case RetryableError():
            return Status.UNREACHABLE
        case RefusedError():
            return Status.REFUSED
        case ConfigurationError():
            return Status.MISCONFIGURED
        case _:
            return Status.FAILED


class Health:
    """The state that the endpoints report, at first not checked. Every change is logged once.

    Only the main loop writes it; the threads that answer requests read single attributes.
    """

    def __init__(self, stalls_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stalls_after = stalls_after
        self._clock = clock
        self._turned = clock()
        self.status = Status.NOT_CHECKED
        self.reason = ""

    @property
    def ready(self) -> bool:
        """Whether the last check succeeded."""
        return self.status is Status.READY

    def beat(self) -> None:
        """Note that the main loop runs; ``/healthz`` fails if this is not called for ``stalls_after`` seconds."""
        self._turned = self._clock()

    def alive(self) -> bool:
        """Tell whether ``beat`` was called within the last ``stalls_after`` seconds."""
        return self._clock() - self._turned < self._stalls_after

    def report(self, status: Status, reason: str) -> bool:
        """Set the state, log it if it changed, and return whether it did. ``reason`` is a full sentence."""
        if (status, reason) == (self.status, self.reason):
            return False
        self.status, self.reason = status, reason
        (log.info if self.ready else log.warning)(reason, ready=self.ready)
        return True


class Server(ThreadingHTTPServer):
    """Serves each connection in a thread, and limits their number and how long each may last.

    ``ThreadingHTTPServer`` limits neither, and a timeout for single reads does not stop a client that sends a byte now
    and then. A new connection beyond MOST_CONNECTIONS closes the oldest one, so that idle connections of a client do
    not block the kubelet's probe.
    """

    daemon_threads = True
    request_queue_size = 64
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler], longest_request: float) -> None:
        self._longest_request = longest_request
        self._open: dict[Any, float] = {}
        """Open connections, with the (monotonic) time at which each is closed."""
        self._changed = threading.Condition()
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        """Listen on IPv6 and IPv4, because the kubelet uses the one that the Pod has."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 (as the base class calls it)
        """Accept a new connection, or return False, which closes it, if there are too many and the oldest does not end.

        The oldest one ends at once unless its answer is just being made; for that this waits a fifth of its time.
        """
        with self._changed:
            if len(self._open) >= MOST_CONNECTIONS:
                self._end(min(self._open, key=self._open.__getitem__))
            if not self._changed.wait_for(lambda: len(self._open) < MOST_CONNECTIONS, self._longest_request / 5):
                return False
            self._open[request] = time.monotonic() + self._longest_request
            return True

    def service_actions(self) -> None:
        """Close connections that last too long. The accepting loop calls this at each turn."""
        with self._changed:
            for connection, ends_at in self._open.items():
                if ends_at <= time.monotonic():
                    self._end(connection)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection, then close it, because a new one may get its file descriptor."""
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify_all()
        super().shutdown_request(request)

    def _end(self, connection: Any) -> None:
        with suppress(OSError):  # the client has closed it already
            connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads or writes it, which then ends

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (as the base class calls it)
        """Log that a client closed the connection, for which the base class prints a traceback."""
        log.debug("A connection to the HTTP endpoints ended early.")


def handler(health: Health, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers requests with the state in ``health`` and the metrics in ``registry``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    alive = health.alive()
                    self._answer(200 if alive else 503, "ok" if alive else "the main loop has stalled")
                case "/readyz":
                    status = health.status
                    self._answer(200 if status is Status.READY else 503, status.value)
                case "/metrics":
                    self._answer(200, generate_latest(registry).decode(), CONTENT_TYPE_LATEST)
                case _:
                    self._answer(404, "not found: there are /healthz, /readyz and /metrics")

        def _answer(self, status: int, text: str, content_type: str = _PLAIN) -> None:
            body = text.encode() + (b"" if text.endswith("\n") else b"\n")
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing, because there is a probe every few seconds."""

    return Handler


def serve(health: Health, port: int, timing: Timing, registry: CollectorRegistry = REGISTRY) -> Server:
    """Serve the endpoints in the background and return the server, whose ``server_port`` is the port."""
    server = Server(port, handler(health, registry), timing.probe_request)
    look = timing.probe_request / 10
    threading.Thread(target=server.serve_forever, args=(look,), daemon=True, name="endpoints").start()
    return server
