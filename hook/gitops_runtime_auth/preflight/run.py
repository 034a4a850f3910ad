"""One run of ``check``, and what it reads from the cluster with the user's own kubeconfig."""

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gitops_runtime_auth.errors import AuthError, RbacError
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster, Object, configmap_path, secret_path
from gitops_runtime_auth.kube.stored import from_base64
from gitops_runtime_auth.preflight.options import CheckOptions, default_namespace
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing

_CLUSTER_PATIENCE = 10.0
"""Seconds of the whole run that may be spent on the Kubernetes API."""
_VERSION_PATIENCE = 1.0
"""Seconds for its version and APIs, without which the chart can be rendered, too."""


@dataclass
class CheckRun:
    """One run of ``check``: its options, its deadline, and the cluster of the kubeconfig."""

    options: CheckOptions
    timing: Timing
    deadline: Deadline
    stack: ExitStack = field(repr=False)
    """Closes connections, port-forwards and sessions at the end of the run."""

    @cached_property
    def namespace(self) -> str:
        """The release's namespace."""
        return default_namespace(self.options)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster of the kubeconfig. Raises ConfigurationError if there is none."""
        # With insecure-skip-tls-verify in a kubeconfig there is no warning, as there is none from kubectl.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        patience = self.deadline.at_most(_CLUSTER_PATIENCE)
        cluster = api.connect(patience, self.timing, self.options.kubeconfig, self.options.context or None)
        self.stack.callback(cluster.close)
        return cluster

    def helm_flags(self) -> list[str]:
        """Return the flags that describe the cluster to helm: its version and its APIs.

        Without them helm assumes the version of Kubernetes that was compiled into it, and no APIs of OpenShift or Flux.
        There are none if the cluster does not answer: the steps that need the cluster report that.
        """
        try:
            cluster = self.cluster.within(self.deadline.at_most(_VERSION_PATIENCE))
            version, groups = cluster.get("/version"), cluster.get("/apis")
        except AuthError:
            return []
        flags = ["--kube-version", str(version["gitVersion"])] if version and "gitVersion" in version else []
        names = [v["groupVersion"] for group in (groups or {}).get("groups") or [] for v in group["versions"]]
        return flags + (["--api-versions", ",".join(names)] if names else [])

    def object(self, path: str) -> Object | None:
        """Return an object, None if it does not exist or may not be read."""
        try:
            return self.cluster.get(path)
        except AuthError:
            return None

    def items(self, path: str) -> list[Object]:
        """Return the objects of a collection, an empty list if it may not be listed."""
        listed: list[Object] = (self.object(path) or {}).get("items") or []
        return listed

    def lacks(self, secret: str) -> bool:
        """Tell whether a Secret is known not to exist in the release's namespace."""
        try:
            return self.cluster.get(secret_path(self.namespace, secret)) is None
        except AuthError:
            return False

    def value(self, kind: str, name: str, key: str) -> str:
        """Return a value of a Secret or ConfigMap in the release's namespace, empty if there is none.

        Raises RbacError if it may not be read.
        """
        return self.data(kind, name).get(key, "")

    def data(self, kind: str, name: str) -> Mapping[str, str]:
        """Return the data of a Secret (in plain text) or ConfigMap, empty if it does not exist."""
        path = secret_path if kind == "Secret" else configmap_path
        try:
            found: Mapping[str, Any] = (self.cluster.get(path(self.namespace, name)) or {}).get("data") or {}
        except RbacError as e:
            raise RbacError(
                f'You may not read {kind} "{name}" in namespace {self.namespace} (the chart can all the same).',
                f"Use a kubeconfig that may (kubectl -n {self.namespace} auth can-i get {kind.lower()}/{name}), or give"
                " check the value in a file: --set-file KEY=FILE with the key of the plain-text value.",
            ) from e
        return {key: from_base64(value) if kind == "Secret" else str(value) for key, value in found.items()}
