"""What runs on is asked here how it is: ``/healthz``, ``/readyz`` (with the reason) and ``/metrics``."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from gitops_runtime_auth import log

PORT = 8080
NOT_CHECKED = "not checked yet"


class Health:
    """The state that probes report. Starts not ready; every change is logged once."""

    def __init__(self, stalls_after: float) -> None:
        self._stalls_after = stalls_after
        self._beat = time.monotonic()
        self._lock = threading.Lock()
        self.ready = False
        self.reason = NOT_CHECKED

    def beat(self) -> None:
        """Say that the main loop is alive; without a beat for ``stalls_after`` seconds /healthz fails."""
        self._beat = time.monotonic()

    def alive(self) -> bool:
        """Tell whether the main loop turned lately."""
        return time.monotonic() - self._beat < self._stalls_after

    def report(self, ready: bool, reason: str) -> bool:
        """Set the state; return whether it changed, in which case it is logged."""
        with self._lock:
            changed = (ready, reason) != (self.ready, self.reason)
            self.ready, self.reason = ready, reason
        if changed:
            (log.info if ready else log.warning)(reason, ready=ready)
        return changed


class _Server(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4 alike: the kubelet asks by whichever the pod has."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(health: Health, port: int = PORT, registry: CollectorRegistry = REGISTRY) -> ThreadingHTTPServer:
    """Serve the probes in the background and return the server (``server_port`` is the port)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    alive = health.alive()
                    self._answer(200 if alive else 503, "ok" if alive else "the main loop has stalled")
                case "/readyz":
                    self._answer(200 if health.ready else 503, health.reason)
                case "/metrics":
                    self._answer(200, generate_latest(registry).decode(), CONTENT_TYPE_LATEST)
                case _:
                    self._answer(404, "know /healthz, /readyz and /metrics")

        def _answer(self, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
            body = text.encode() + (b"" if text.endswith("\n") else b"\n")
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: nothing worth a line."""

    server = _Server(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
