"""Connections of a process that runs on: opened once, used with a new deadline at each check."""

from dataclasses import replace

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.kube import api as apiserver
from gitops_runtime_auth.kube.api import RealCluster
from gitops_runtime_auth.kube.cluster import Cluster
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service.metrics import MeasuredTransport

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
