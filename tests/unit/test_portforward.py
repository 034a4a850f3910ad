"""The tunnel, with a pod played by a TLS server on the loopback interface."""

import http.server
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import ConfigurationError, UnreachableError, WrongServerError
from gitops_runtime_auth.preflight.portforward import Rerouted, Tunnel, pod_behind
from gitops_runtime_auth.retry import Deadline

AUTHORITY = trustme.CA()


class Pod(http.server.BaseHTTPRequestHandler):
    """Argo CD's version, and the Host header that it was asked under."""

    protocol_version = "HTTP/1.1"
    hosts: list[str] = []  # noqa: RUF012 (a handler is made per request)

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        body = json.dumps({"Version": "v3.6.1"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pod() -> Iterator[int]:
    Pod.hosts.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pod)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("argocd-server").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class Handle:
    """What the Kubernetes client hands out for a port-forward."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))

    def socket(self, _: int) -> socket.socket:
        return self._socket

    def close(self) -> None:
        self._socket.close()

    @property
    def websocket(self) -> Any:
        return SimpleNamespace(sock=None if self._socket.fileno() == -1 else self._socket)


class FakeCluster:
    def __init__(self, port: int = 0, objects: dict[str, Any] | None = None) -> None:
        self.port = port
        self.objects = objects or {}

    def portforward(self, path: str) -> Handle:
        if not self.port:
            raise ConnectionError
        assert path == "/api/v1/namespaces/argocd/pods/argocd-server-x/portforward?ports=8080"
        return Handle(self.port)

    def get(self, path: str) -> Any:
        return self.objects.get(path.partition("?")[0])


def through(cluster: Any, url: str) -> str:
    server, ca = Server(url), AUTHORITY.cert_pem.bytes().decode()
    with Tunnel(cluster, "argocd", lambda: ("argocd-server-x", 8080)) as tunnel:
        transport = Transport(server, ca, Rerouted(tls.context(server, ca), tunnel.port))
        try:
            argocd = ArgoCD(transport, Deadline(3))
            return argocd.version() and argocd.version()
        finally:
            transport.close()


def test_argocd_is_reached_under_the_name_that_the_hook_will_use(pod: int) -> None:
    assert through(FakeCluster(pod), "https://argocd-server") == "v3.6.1"
    assert set(Pod.hosts) == {"argocd-server"}


def test_the_certificate_is_verified_for_that_name(pod: int) -> None:
    with pytest.raises(WrongServerError, match="another host name"):
        through(FakeCluster(pod), "https://argocd-server.argocd")


def test_a_refused_port_forward_is_said_at_once() -> None:
    with pytest.raises(UnreachableError, match="argocd-server-x") as raised:
        through(FakeCluster(), "https://argocd-server")
    assert "--server" in raised.value.remedy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(9))


def test_a_tunnel_goes_on_to_the_pod_that_replaced_the_first() -> None:
    names = iter(["argocd-server-x", "argocd-server-x", "gone", "argocd-server-x"])

    class Restarted(FakeCluster):
        def portforward(self, path: str) -> Handle:
            if "/gone/" in path:
                raise ConnectionError
            return super().portforward(path)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        cluster: Any = Restarted(server.server_address[1])
        heard = []
        with Tunnel(cluster, "argocd", lambda: (next(names), 8080)) as tunnel:
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", tunnel.port), timeout=3) as near:
                    near.sendall(b"hello")
                    with suppress(ConnectionResetError):
                        heard.append(near.recv(9))
                        continue
                    heard.append(b"")
        server.shutdown()
    assert heard == [b"hello", b"", b"hello"]


def service(**port: Any) -> dict[str, Any]:
    return {"spec": {"selector": {"app": "x"}, "ports": [{"port": 443, **port}]}}


def a_pod(name: str, ready: str, **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"ports": [{"name": "server", "containerPort": 8080}]}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


SERVICE, PODS = "/api/v1/namespaces/argocd/services/argocd-server", "/api/v1/namespaces/argocd/pods"


@pytest.mark.parametrize(
    ("target", "port"), [({"targetPort": 9090}, 9090), ({"targetPort": "server"}, 8080), ({}, 443)]
)
def test_the_ready_pod_and_its_own_port_are_found(target: dict[str, Any], port: int) -> None:
    objects = {
        SERVICE: service(**target),
        PODS: {
            "items": [a_pod("sick", "False"), a_pod("going", "True", deletionTimestamp="now"), a_pod("well", "True")]
        },
    }
    cluster: Any = FakeCluster(objects=objects)
    assert pod_behind(cluster, "argocd", "argocd-server", 443) == ("well", port)


def test_what_is_missing_is_named() -> None:
    cluster: Any = FakeCluster()
    with pytest.raises(ConfigurationError, match="no Service argocd-server"):
        pod_behind(cluster, "argocd", "argocd-server", 443)
    cluster.objects[SERVICE] = service()
    with pytest.raises(ConfigurationError, match="no port 80"):
        pod_behind(cluster, "argocd", "argocd-server", 80)
    cluster.objects[PODS] = {"items": [a_pod("sick", "False")]}
    with pytest.raises(UnreachableError, match="No pod"):
        pod_behind(cluster, "argocd", "argocd-server", 443)
