"""Keeps the connections of a process open, for use with a new deadline at each run or check."""

import time

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.kube import api, namespace
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing


class Connections:
    """Keeps one transport per endpoint, and one client of the Kubernetes API. Use it in one thread only.

    The CA, headers and client certificate are part of an endpoint, so renewed ones get another transport. A transport
    that was not used for ``timing.idle_connection`` seconds, which is longer than any check, is closed.
    """

    def __init__(self, timing: Timing, transport: type[Transport]) -> None:
        self._timing = timing
        self._transport = transport
        self._transports: dict[Endpoint, Transport] = {}
        self._asked: dict[Endpoint, float] = {}
        self._cluster: Cluster | None = None
        self._uids: dict[str, str] = {}

    def argocd(self, endpoint: Endpoint, deadline: Deadline) -> ArgoCD:
        """Return a client of the Argo CD at ``endpoint``."""
        now, longest = time.monotonic(), self._timing.idle_connection
        for idle in [e for e, asked in self._asked.items() if e != endpoint and now - asked >= longest]:
            self._transports.pop(idle).close()
            del self._asked[idle]
        if endpoint not in self._transports:
            self._transports[endpoint] = self._transport(endpoint)
        self._asked[endpoint] = now
        return ArgoCD(self._transports[endpoint], deadline, self._timing)

    def cluster(self, deadline: Deadline) -> Cluster:
        """Return a client of the Kubernetes API. Raises ConfigurationError outside a Pod."""
        if self._cluster is None:
            self._cluster = api.connect(deadline, self._timing)
        return self._cluster.within(deadline)

    def namespace_uid(self, name: str, deadline: Deadline) -> str:
        """Return the UID of a namespace. It is read once, because a keeper needs it even when its Role is deleted.

        Raises RbacError, and NamespaceGoneError if there is no such namespace.
        """
        if name not in self._uids:
            self._uids[name] = namespace.uid(self.cluster(deadline), name)
        return self._uids[name]

    def close(self) -> None:
        """Close all connections."""
        if self._cluster is not None:
            self._cluster.close()
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()
        self._asked.clear()
