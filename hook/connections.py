"""Connections of a process that runs on: opened once, used with a new deadline at each check."""

from dataclasses import replace

from hook import apiserver
from hook.apiserver import RealCluster
from hook.argocd import ArgoCD
from hook.cluster import Cluster
from hook.context import Context
from hook.metrics import MeasuredTransport
from hook.retry import Deadline
from hook.settings import Server
from hook.transport import Transport

_MOST = 4


class Connections:
    """Keeps a transport per server and CA, and the client of the Kubernetes API."""

    def __init__(self) -> None:
        self._transports: dict[tuple[Server, str | None], Transport] = {}
        self._cluster: RealCluster | None = None

    def serve(self, context: Context, seconds: float) -> Context:
        """Return ``context`` with ``seconds`` from now on, over these connections; mounted files are read anew."""
        deadline = Deadline(seconds)
        return replace(context, deadline=deadline, connect_argocd=self.argocd, connect_cluster=self.cluster)

    def argocd(self, server: Server, ca: str | None, deadline: Deadline) -> ArgoCD:
        """Return the client of an Argo CD."""
        if (server, ca) not in self._transports:
            if len(self._transports) >= _MOST:  # certificates that were renewed, servers that were left
                for transport in self._transports.values():
                    transport.close()
                self._transports.clear()
            self._transports[server, ca] = MeasuredTransport(server, ca)
        return ArgoCD(self._transports[server, ca], deadline)

    def cluster(self, deadline: Deadline) -> Cluster:
        """Return the client of the Kubernetes API. Raises ConfigurationError."""
        self._cluster = self._cluster or apiserver.connect(deadline)
        return self._cluster.within(deadline)
