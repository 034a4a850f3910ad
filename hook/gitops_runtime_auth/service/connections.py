"""The connections of a long-running process: opened once, used with a new deadline at each check."""

import time

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service.metrics import MeasuredTransport
from gitops_runtime_auth.timing import Timing


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
