"""Collects what one run of a command works with: settings, mounted files, the two APIs, the deadline."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config import document
from gitops_runtime_auth.config.settings import INITIAL_ADMIN_SECRET, Settings
from gitops_runtime_auth.connections import Connections
from gitops_runtime_auth.errors import ConfigurationError, MissingSecretError, UsageError
from gitops_runtime_auth.kube import events
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.kube.events import Pod
from gitops_runtime_auth.kube.secret import KeySecret, StoredKey
from gitops_runtime_auth.mounted import Mounted, text
from gitops_runtime_auth.release import Installation, Release, identity_of
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing

FILES = Path(os.environ.get("GITOPS_RUNTIME_AUTH_FILES", "/var/run/gitops-runtime-auth"))
"""Where the chart mounts the files. The variable is for a process outside a Pod."""


@dataclass
class Context:
    """One run of a command. Clients are made when they are first used, because each import takes time.

    At the end of its ``with`` block it closes the connections.
    """

    settings: Settings
    release: Release
    deadline: Deadline
    timing: Timing
    connections: Connections
    files: Path = FILES
    chart: str = ""
    """Name and version of the chart, for the label ``helm.sh/chart``."""
    pod: Pod = field(default=Pod("", ""))
    """This Pod, which the Events are about."""

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self.connections.close()

    def again(self, seconds: float) -> "Context":
        """Return this context with a deadline in ``seconds``, the same connections, and files that are read again."""
        return replace(self, deadline=Deadline(seconds))

    @cached_property
    def endpoint(self) -> Endpoint:
        """The Argo CD of the settings, with the mounted CA, headers and client certificate."""
        server = self.settings.server
        mounted = Mounted(self.files, insecure=server.insecure_skip_verify)
        return mounted.endpoint(server.url, server.ca_origin)

    @cached_property
    def argocd(self) -> ArgoCD:
        """A client of the Argo CD of the settings."""
        return self.connections.argocd(self.endpoint, self.deadline)

    @cached_property
    def cluster(self) -> Cluster:
        """A client of the cluster that this Pod runs in."""
        return self.connections.cluster(self.deadline)

    @cached_property
    def installation(self) -> Installation:
        """This release in this cluster, whose keys may be revoked. Asks the Kubernetes API once."""
        uid = self.connections.namespace_uid(self.release.namespace, self.deadline)
        return Installation(self.release, identity_of(uid))

    @cached_property
    def key_secret(self) -> KeySecret:
        """The Secret with the API key."""
        kept = self.settings.auth.credential.name
        return KeySecret(self.cluster, self.release, self.chart, self.settings.key_secret, never_deleted=kept)

    def emit(self, kind: events.Kind, reason: str, message: str) -> None:
        """Write an Event about this Pod. A failure is only logged."""
        events.emit(self.cluster, self.pod, self.release.namespace, kind, reason, message)

    def argocd_of(self, key: StoredKey, deadline: Deadline) -> ArgoCD:
        """Return a client of the Argo CD that made ``key``, with the CA that was trusted then."""
        if key.url == self.settings.server.url:
            return self.connections.argocd(self.endpoint, deadline)
        endpoint = Endpoint(key.url, key.insecure, key.ca or None, "the CA of an earlier configuration")
        return self.connections.argocd(endpoint, deadline)

    def stored_key(self, token: str, account: str) -> StoredKey:
        """Return ``token`` as a key of ``account`` at the Argo CD of the settings."""
        endpoint = self.endpoint
        return StoredKey.from_token(token, account, endpoint.url, endpoint.ca or "", endpoint.insecure_skip_verify)

    def credential(self) -> str:
        """Return the mounted password unchanged, or the mounted token without surrounding blanks.

        It is read at each call, because the Secret may have changed. Raises MissingSecretError.
        """
        auth = self.settings.auth
        value = text(self.files / "credential" / "value") or ""
        if auth.type == "token":
            value = value.strip()
        if not value:
            name, key, where = auth.credential.name, auth.credential.key, self.release.namespace
            known = " Argo CD asks people to delete it after the first login." if name == INITIAL_ADMIN_SECRET else ""
            raise MissingSecretError(
                f'Secret "{name}" in namespace {where} does not exist, or its key "{key}" is missing or empty.{known}',
                f"Create it (kubectl -n {where} create secret generic {name} --from-literal={key}=...), or correct"
                f" {auth.path}.{auth.type}SecretKeyRef.",
            )
        return value

    def await_credential(self) -> None:
        """Wait until the password or token is mounted, as ``_await`` does. Raises MissingSecretError."""
        self._await(self._missing_credential)

    def await_connection(self) -> None:
        """Wait until the request headers and the client certificate are mounted, as ``_await`` does.

        Raises MissingSecretError.
        """
        self._await(self._missing_for_connection)

    def _await(self, missing: Callable[[], MissingSecretError | None]) -> None:
        """Wait for a Secret that the values name, because somebody may be about to create it.

        The kubelet shows it in the mount within about a minute (its sync period). After ``hook.waitForSecrets`` seconds
        the error that ``missing`` returns is raised.
        """
        patience = self.deadline.at_most(self.settings.wait_for_secrets)
        told = False
        while (error := missing()) is not None:
            if not patience.left():
                raise error
            if not told:
                log.info(f"{error.problem} Waiting up to {patience.left():.0f} s for it.")
                told = True
            time.sleep(min(self.timing.look, patience.left()))

    def await_ca(self) -> bool:
        """Wait for the CA certificate if the values name one that does not exist; tell whether it appeared."""
        if self.endpoint.ca or not self.settings.server.ca_origin:
            return False
        patience = self.deadline.at_most(self.settings.wait_for_secrets)
        log.info(f"{self.settings.server.ca_origin} does not exist. Waiting up to {patience.left():.0f} s for it.")
        while patience.left():
            if text(self.files / "ca" / "ca.crt"):
                del self.endpoint  # endpoint and client are made again, with the certificate
                self.__dict__.pop("argocd", None)
                return True
            time.sleep(min(self.timing.look, patience.left()))
        return False

    def _missing_credential(self) -> MissingSecretError | None:
        try:
            self.credential()
        except MissingSecretError as e:
            return e
        return None

    def _missing_for_connection(self) -> MissingSecretError | None:
        server = self.settings.server
        for name, folder in ((server.headers_secret, "headers"), (server.client_cert_secret, "client-cert")):
            if name and not any((self.files / folder).glob("[!.]*")):
                return MissingSecretError(
                    f'Secret "{name}" in namespace {self.release.namespace} does not exist or is empty.',
                    "Create it, or correct the reference under server in your values.",
                )
        return None


def from_environment(environ: Mapping[str, str], timing: Timing, transport: type[Transport] = Transport) -> Context:
    """Return the context of a Pod that the chart made. Raises UsageError, ConfigurationError."""
    files = Path(environ.get("GITOPS_RUNTIME_AUTH_FILES") or FILES)
    loaded, content = document.load(files / "settings" / "settings.json")
    log.setup(loaded.log_level)
    missing = [name for name in ("RELEASE_NAME", "RELEASE_NAMESPACE") if not environ.get(name)]
    if missing:
        raise UsageError(
            f"The environment lacks {' and '.join(missing)}.", "Let the chart run this command: it sets them."
        )
    _require_same_settings(content, environ.get("SETTINGS_SHA256", ""))
    return Context(
        settings=loaded,
        release=Release(environ["RELEASE_NAME"], environ["RELEASE_NAMESPACE"]),
        deadline=Deadline(loaded.timeout),
        timing=timing,
        connections=Connections(timing, transport),
        files=files,
        chart=environ.get("CHART", ""),
        pod=Pod(environ.get("POD_NAME", ""), environ.get("POD_UID", "")),
    )


def _require_same_settings(content: bytes, wanted: str) -> None:
    """Raise ConfigurationError for settings that are not the ones that this Pod was made for.

    Otherwise somebody who may edit the ConfigMap could have the password sent to another server.
    """
    if hashlib.sha256(content).hexdigest() != wanted:
        raise ConfigurationError(
            "The settings in the ConfigMap are not the ones that this pod was made for, so nothing was sent anywhere.",
            "Run helm upgrade, which writes both again, and find out who edited the ConfigMap.",
        )
