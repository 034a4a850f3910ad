"""The laptop's view of the cluster and of Argo CD: what ``check`` reads, and the way it takes."""

import base64
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import SecretRef, Server
from gitops_runtime_auth.errors import AuthError, ConfigurationError, RbacError
from gitops_runtime_auth.kube import api as apiserver
from gitops_runtime_auth.kube.api import RealCluster
from gitops_runtime_auth.kube.cluster import secret_path
from gitops_runtime_auth.preflight.portforward import Rerouted, Tunnel, pod_behind
from gitops_runtime_auth.retry import Deadline

_CLUSTER_PATIENCE = 10.0
"""Seconds that the Kubernetes API gets, of the whole run's."""


@dataclass(frozen=True)
class Given:
    """The command line."""

    files: Sequence[str] = ()
    sets: Sequence[str] = ()
    strings: Sequence[str] = ()
    from_files: Sequence[str] = ()
    namespace: str = ""
    release: str = ""
    kubeconfig: str = ""
    kube_context: str | None = None
    server: str = ""
    """Argo CD's address as seen from here; empty: the one in the values, by port-forward if it is a Service."""
    ca_file: Path | None = None
    timeout: float = 30.0
    """Seconds for the whole run."""
    output: str = "table"


@dataclass
class Laptop:
    """Reads Secrets with a kubeconfig and connects to Argo CD, through the API server if need be."""

    given: Given
    deadline: Deadline
    stack: ExitStack
    """Ends connections and tunnels when the run ends."""
    namespace: str = ""
    _cluster: RealCluster | None = None
    _port: int = field(default=0, repr=False)

    def kubernetes(self) -> RealCluster:
        """Return the cluster of the kubeconfig. Raises ConfigurationError when there is none."""
        if self._cluster is None:
            # A kubeconfig may say insecure-skip-tls-verify: kubectl obeys without a word, and so do we.
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
            patience = Deadline(min(_CLUSTER_PATIENCE, self.given.timeout))
            self._cluster = apiserver.connect(patience, self.given.kubeconfig, self.given.kube_context)
        return self._cluster

    def read(self, ref: SecretRef) -> str:
        """Return the value of a Secret's key, empty when either does not exist."""
        try:
            secret: Any = self.kubernetes().get(secret_path(self.namespace, ref.name)) or {}
        except RbacError:
            raise RbacError(
                f"You may not read {ref} in namespace {self.namespace} (the chart can all the same).",
                f"Use a kubeconfig that may (kubectl auth can-i get secret/{ref.name} -n {self.namespace}), or give"
                " check the value itself: --set-file global.external-arg-cd.auth.password=FILE (or .token).",
            ) from None
        return base64.b64decode((secret.get("data") or {}).get(ref.key, "")).decode("utf-8", "replace")

    def connect(self, server: Server, ca: str | None) -> ArgoCD:
        """Return the Argo CD at ``server``, by the way that ``open_way`` made."""
        inner = Rerouted(tls.context(server, ca), self._port) if self._port else None
        argocd = ArgoCD(Transport(server, ca, inner), self.deadline)
        self.stack.callback(argocd.close)
        return argocd

    def trusted(self, server: Server) -> tuple[str | None, str]:
        """Return the CA to trust besides the public ones (PEM), and a note that names it."""
        if self.given.ca_file:
            pem = tls.read_ca(self.given.ca_file)
            if pem is None:
                raise ConfigurationError(f"The file {self.given.ca_file} does not exist.", "Correct --ca-file.")
            return pem, f" with {self.given.ca_file}"
        if server.ca_ref is None:
            return None, " with the public CAs"
        try:
            pem = self.read(server.ca_ref)
        except AuthError as e:
            return None, f" with the public CAs ({server.ca_ref} could not be read: {e.problem})"
        return pem or None, f" with {server.ca_ref}" if pem else " with the public CAs"

    def open_way(self, url: str, outside: bool) -> str:
        """Make ``connect`` reach ``url``, by a tunnel if it names a Service, and return a note on the way taken."""
        service = None if self.given.server else service_of(url, outside, self.namespace)
        if service is None:
            return ""
        cluster = self.kubernetes()
        tunnel = self.stack.enter_context(Tunnel(cluster, service[0], lambda: pod_behind(cluster, *service)))
        self._port = tunnel.port
        return f" (by port-forward to pod {service[0]}/{tunnel.pod})"


def service_of(url: str, outside: bool, namespace: str) -> tuple[str, str, int] | None:
    """Return namespace, name and port of the Service that ``url`` names, None when it is an outside address.

    ``outside`` says that the values give a URL, which may be either; ``server.svc`` is always a Service.
    """
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    if outside and ((labels[2:3] != ["svc"] and len(labels) > 1) or labels == ["localhost"] or ":" in labels[0]):
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (labels[1] if len(labels) > 1 else namespace), labels[0], port


def default_namespace(given: Given) -> str:
    """Return --namespace, else the kubeconfig context's, else ``default``, as kubectl and helm do."""
    if given.namespace:
        return given.namespace
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import list_kube_config_contexts

    try:
        contexts, current = list_kube_config_contexts(given.kubeconfig or None)
    except (ConfigException, OSError):
        return "default"
    if given.kube_context:
        current = next((c for c in contexts if c["name"] == given.kube_context), {})
    return str((current.get("context") or {}).get("namespace") or "default")
