"""The way from a laptop to a Service inside the cluster: through the API server, as ``kubectl port-forward`` goes."""

import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx

from gitops_runtime_auth.errors import AuthError, ConfigurationError, UnreachableError
from gitops_runtime_auth.kube.api import RealCluster
from gitops_runtime_auth.kube.cluster import Object

if TYPE_CHECKING:
    from ssl import SSLContext

_FAREWELL = 4.0
"""Seconds for a connection to end: websocket-client waits 3 for the other side's farewell."""


def pod_behind(cluster: RealCluster, namespace: str, service: str, port: int) -> tuple[str, int]:
    """Return a ready pod of a Service and the pod's port behind the Service's ``port``.

    Raises ConfigurationError when there is no such Service, port or pod, RbacError when it may not be read.
    """
    found = cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}")
    remedy = "Correct global.external-arg-cd.server (kubectl get svc -A | grep argocd-server), or give check --server."
    if found is None:
        raise ConfigurationError(f"There is no Service {service} in namespace {namespace}.", remedy)
    ports = [p for p in found["spec"].get("ports") or [] if p["port"] == port]
    if not ports or not found["spec"].get("selector"):
        raise ConfigurationError(f"Service {service} in namespace {namespace} has no port {port} or no pods.", remedy)
    query = urlencode({"labelSelector": ",".join(f"{k}={v}" for k, v in found["spec"]["selector"].items())})
    pods = (cluster.get(f"/api/v1/namespaces/{namespace}/pods?{query}") or {}).get("items") or []
    for pod in pods:
        number = _port_of(pod, ports[0].get("targetPort", port))
        if number and _ready(pod):
            return pod["metadata"]["name"], number
    raise UnreachableError(
        f"No pod behind Service {service} in namespace {namespace} is ready.",
        f"See why: kubectl -n {namespace} get pods; kubectl -n {namespace} describe svc {service}.",
    )


def _ready(pod: Object) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False  # on its way out: it stays ready until it has ended
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _port_of(pod: Object, target: int | str) -> int | None:
    if isinstance(target, int):
        return target
    declared = (p for c in pod["spec"]["containers"] for p in c.get("ports") or [])
    return next((p["containerPort"] for p in declared if p.get("name") == target), None)


class Tunnel:
    """A listener on the loopback interface; each connection to it is one to a pod's port. Use as a context.

    ``find`` names the pod and its port. It is asked for each connection: a pod that was replaced doesn't end the
    tunnel, as it does kubectl's.
    """

    def __init__(self, cluster: RealCluster, namespace: str, find: Callable[[], tuple[str, int]]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._find = find
        self.pod = ""
        self._connections: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "Tunnel":
        """Start listening. Raises UnreachableError when the API server refuses to forward, and what ``find`` raises."""
        try:
            _end(self._forward()[0])
        except ConnectionError:
            self._listener.close()
            raise UnreachableError(
                f"No port-forward to pod {self.pod} can be opened.",
                "See whether you may (kubectl auth can-i create pods/portforward in its namespace), or give --server.",
            ) from None
        except AuthError:
            self._listener.close()
            raise
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        until = time.monotonic() + _FAREWELL
        for thread in self._connections:
            thread.join(max(0.0, until - time.monotonic()))

    def _forward(self) -> tuple[Any, int]:
        self.pod, port = self._find()
        path = f"/api/v1/namespaces/{self._namespace}/pods/{self.pod}/portforward?ports={port}"
        return self._cluster.portforward(path), port

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed: the tunnel has ended
            thread = threading.Thread(target=self._serve, args=(near,), daemon=True)
            self._connections = [t for t in self._connections if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                handle, port = self._forward()
            except (ConnectionError, AuthError):
                return  # what stands at the near end sees a closed connection
            far = handle.socket(port)
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()
            _end(handle)


def _end(handle: Any) -> None:
    """Close a port-forward. The client's own thread does it, unless a broken connection has ended that thread."""
    handle.close()
    until = time.monotonic() + _FAREWELL
    while handle.websocket.sock is not None and time.monotonic() < until:
        time.sleep(0.02)
    if handle.websocket.sock is not None:
        handle.websocket.shutdown()


def _pump(source: Any, sink: Any) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # either end has gone: so has the connection


class Rerouted(httpx.BaseTransport):
    """Connects to the tunnel, yet speaks to, and verifies, the host that the URL names."""

    def __init__(self, verify: "SSLContext", port: int) -> None:
        self._inner = httpx.HTTPTransport(verify=verify)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.BaseTransport."""
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """See httpx.BaseTransport."""
        self._inner.close()
