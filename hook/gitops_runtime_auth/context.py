"""What a command of the product runs with: settings, mounted files, the two APIs and the deadline."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config import settings
from gitops_runtime_auth.config.settings import Server, Settings
from gitops_runtime_auth.errors import MissingSecretError, UsageError
from gitops_runtime_auth.kube import api as apiserver
from gitops_runtime_auth.kube.cluster import Cluster
from gitops_runtime_auth.kube.secret import Entry
from gitops_runtime_auth.release import Owner, fingerprint
from gitops_runtime_auth.retry import Deadline

FILES = Path(os.environ.get("GITOPS_RUNTIME_AUTH_FILES", "/var/run/gitops-runtime-auth"))
"""Where the chart mounts the files; the variable lets a process outside a pod be given its own (tests)."""
CLUSTER_CA = apiserver.SERVICE_ACCOUNT / "ca.crt"


@dataclass
class Context:
    """One run of a command. Clients are made when first used; tests hand in their own."""

    settings: Settings
    owner: Owner
    deadline: Deadline
    files: Path = FILES
    chart: str = ""
    pod: tuple[str, str] = ("", "")
    """Name and uid of this pod, for Events."""
    consumers: tuple[str, ...] = ()
    """Deployments that take the key by environment."""
    connect_cluster: Callable[[Deadline], Cluster] = field(default=apiserver.connect)
    connect_argocd: Callable[[Server, str | None, Deadline], ArgoCD] = field(
        default=lambda server, ca, deadline: ArgoCD(Transport(server, ca), deadline)
    )

    @cached_property
    def ca(self) -> str | None:
        """The mounted CA certificate of Argo CD (PEM), None when there is none."""
        return tls.read_ca(self.files / "ca" / "ca.crt")

    @cached_property
    def argocd(self) -> ArgoCD:
        """The Argo CD of the settings."""
        return self.connect_argocd(self.settings.server, self.ca, self.deadline)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster that this pod runs in."""
        return self.connect_cluster(self.deadline)

    @property
    def argocd_namespace(self) -> str:
        """Argo CD's namespace as far as it is known, for remedies and for ``hook.enableApiKey``."""
        return self.settings.server.namespace or self.owner.namespace

    def argocd_of(self, entry: Entry) -> ArgoCD:
        """Return the Argo CD that ``entry``'s key was made in."""
        if entry.url == self.settings.server.url:
            return self.argocd
        return self.connect_argocd(Server(entry.url, entry.insecure), entry.ca or None, self.deadline)

    def entry(self, token: str, account: str) -> Entry:
        """Return ``token`` with the server of the settings."""
        server = self.settings.server
        return Entry(token, account, server.url, self.ca or "", server.insecure_skip_verify)

    def credential(self) -> str:
        """Return the mounted password (as it is) or token (without the blanks that pasting adds).

        Read at each call: the mount follows its Secret. Raises MissingSecretError.
        """
        auth = self.settings.auth
        try:
            value = (self.files / "credential" / "value").read_bytes().decode("utf-8", "replace")
        except OSError:
            value = ""
        if auth.type == "token":
            value = value.strip()
        if not value:
            ref = auth.ref
            name, key = (ref.name, ref.key) if ref else ("", auth.type)
            raise MissingSecretError(
                f'Secret "{name}" in namespace {self.owner.namespace} does not exist, or its key "{key}" is missing'
                " or empty.",
                f"Create it (kubectl -n {self.owner.namespace} create secret generic {name}"
                f" --from-literal={key}=...), or correct"
                f" global.external-arg-cd.auth.{auth.type}SecretKeyRef.",
            )
        return value


def from_environment(
    environ: Mapping[str, str] = os.environ, files: Path = FILES, cluster_ca: Path = CLUSTER_CA
) -> Context:
    """Build the context of a pod that the chart made. Raises UsageError, ConfigurationError."""
    loaded = settings.load(files / "settings" / "settings.json")
    log.setup(loaded.log_level)
    try:
        identity = fingerprint(cluster_ca.read_bytes())
    except OSError as e:
        raise UsageError(
            f"The cluster's CA {cluster_ca} can't be read ({e.strerror}).",
            "Run this in a pod whose ServiceAccount token is mounted, as the chart does.",
        ) from None
    names = ("RELEASE_NAME", "RELEASE_NAMESPACE")
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise UsageError(
            f"The environment lacks {' and '.join(missing)}.", "Run this through the chart, which sets them."
        )
    return Context(
        settings=loaded,
        owner=Owner(identity, environ["RELEASE_NAMESPACE"], environ["RELEASE_NAME"]),
        deadline=Deadline(loaded.timeout),
        files=files,
        chart=environ.get("CHART", ""),
        pod=(environ.get("POD_NAME", ""), environ.get("POD_UID", "")),
        consumers=tuple(filter(None, environ.get("CONSUMERS", "").split(","))),
    )
