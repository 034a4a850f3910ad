"""The connections of a long-running process: opened once, used with a new deadline at each check."""

import time
from dataclasses import dataclass
from pathlib import Path

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service.metrics import MeasuredTransport
from gitops_runtime_auth.timing import Timing


@dataclass(frozen=True)
class Mounted:
    """What the chart mounts for the connection to Argo CD, and whether certificates are checked at all.

    ``folder`` holds ``ca/ca.crt`` (or it is ``ca_file``), a file in ``headers/`` for each request header, and the
    client certificate in ``client-cert/tls.crt`` and ``tls.key``; only what the values name is there.
    """

    folder: Path
    ca_file: Path | None = None
    insecure: bool = False

    def endpoint(self, url: str) -> Endpoint:
        """Return the endpoint of the Argo CD at ``url`` with the files as they are now: mounts follow their Secrets."""
        ca, certificate = self.ca_file or self.folder / "ca" / "ca.crt", self.folder / "client-cert"
        headers = [(file.name, _text(file)) for file in sorted((self.folder / "headers").glob("[!.]*"))]
        return Endpoint(
            url=url.rstrip("/"),
            insecure_skip_verify=self.insecure,
            ca=_text(ca),
            ca_origin=f"The mounted CA certificate {ca}",
            headers=tuple((name, value.strip()) for name, value in headers if value is not None),
            client_cert=certificate if (certificate / "tls.crt").exists() else None,
        )


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not mounted, or its Secret has just gone
        return None


class Connections:
    """Keeps a transport per endpoint and one client of the Kubernetes API. For one thread.

    An endpoint holds the CA, headers and client certificate too, so renewed ones get a transport of their own. One
    that was not asked for during ``timing.idle_connection`` seconds, which is longer than any check, is closed.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._transports: dict[Endpoint, MeasuredTransport] = {}
        self._asked: dict[Endpoint, float] = {}
        self._cluster: Cluster | None = None

    def argocd(self, endpoint: Endpoint, deadline: Deadline, timing: Timing) -> ArgoCD:
        """Return a client of the Argo CD at ``endpoint``."""
        now = time.monotonic()
        for idle in [e for e, asked in self._asked.items() if e != endpoint and now - asked >= timing.idle_connection]:
            self._transports.pop(idle).close()
            del self._asked[idle]
        if endpoint not in self._transports:
            self._transports[endpoint] = MeasuredTransport(endpoint)
        self._asked[endpoint] = now
        return ArgoCD(self._transports[endpoint], deadline, timing)

    def cluster(self, deadline: Deadline, timing: Timing) -> Cluster:
        """Return a client of the Kubernetes API. Raises ConfigurationError outside a Pod."""
        if self._cluster is None:
            self._cluster = api.connect(deadline, timing)
        return self._cluster.within(deadline)

    def close(self) -> None:
        """Close all connections to Argo CD."""
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()
        self._asked.clear()
