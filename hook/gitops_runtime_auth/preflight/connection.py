"""Connects to Argo CD from a laptop, with the same certificates and headers as the hook."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.errors import AuthError, ConfigurationError, MissingSecretError, WrongServerError
from gitops_runtime_auth.preflight import services
from gitops_runtime_auth.preflight.forward import PortForward, service_of
from gitops_runtime_auth.preflight.run import CheckRun


@dataclass(frozen=True)
class Reached:
    """The Argo CD that answered."""

    argocd: ArgoCD
    version: str
    distrusted: AuthError | None = None
    """Why its certificate can't be trusted. If it can't, only the version was asked for."""


def endpoint(check: CheckRun, server: Mapping[str, Any], url: str, path: str) -> tuple[Endpoint, str]:
    """Return the endpoint of Argo CD, and a note how it is reached. A Service of the cluster needs a port-forward.

    ``server`` is the block in the values, ``url`` what the chart derived from it, ``path`` the user's spelling of it.
    Raises ConfigurationError if there is no such Service, UnreachableError if it can't be reached.
    """
    address, dial, way = check.options.server.rstrip("/") or url, None, ""
    service = service_of(url, check.namespace, from_url=bool(server.get("url")))
    if service is not None and not check.options.server:
        services.require(check.cluster, service, path)
        flags = check.options.cluster_flags("--context")
        dial = ("127.0.0.1", check.stack.enter_context(PortForward(service, flags, check.deadline)))
        way = f" (by port-forward to Service {service})"
    found = Endpoint(
        address,
        insecure_skip_verify=bool(server.get("insecureSkipVerify")),
        headers=_headers(check, server),
        client_cert=_client_certificate(check, server),
        values_path=path,
        dial=dial,
    )
    ca, origin = _trusted(check, server)
    return replace(found, ca=ca, ca_origin=origin), way


def reach(check: CheckRun, where: Endpoint) -> Reached:
    """Ask Argo CD for its version. Raises what the request does.

    If its certificate can't be trusted, it is asked once more without verification, and without headers and client
    certificate, which are credentials. If it answers then, the certificate is wrong, and not the address.
    """
    argocd = connect(check, where)
    try:
        return Reached(argocd, argocd.version())
    except WrongServerError as e:
        if where.insecure_skip_verify or not where.url.startswith("https:"):
            raise
        bare = Endpoint(where.url, insecure_skip_verify=True, values_path=where.values_path, dial=where.dial)
        try:
            version = connect(check, bare).version()
        except AuthError:
            raise e from None
        return Reached(argocd, version, distrusted=e)


def connect(check: CheckRun, where: Endpoint) -> ArgoCD:
    """Return a client whose connections are closed at the end of the run."""
    argocd = ArgoCD(Transport(where), check.deadline, check.timing)
    check.stack.callback(argocd.close)
    return argocd


def _trusted(check: CheckRun, server: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the certificates to trust besides the public CAs, and their place: --ca-file, else that in the values.

    If the Secret does not exist or may not be read, only the public CAs are trusted, and the place is for the message.
    """
    if check.options.ca_file:
        try:
            pem = check.options.ca_file.read_text(encoding="ascii", errors="replace")
        except OSError as e:
            problem = f"The file {check.options.ca_file} can't be read ({e.strerror})."
            raise ConfigurationError(problem, "Correct --ca-file.") from None
        return pem, str(check.options.ca_file)
    for kind, name in (("ConfigMap", "caConfigMapKeyRef"), ("Secret", "caSecretKeyRef")):
        ref = server.get(name) or {}
        if ref.get("name") and ref.get("key"):
            origin = f'{kind} "{ref["name"]}", key "{ref["key"]}"'
            try:
                return check.value(kind, ref["name"], ref["key"]) or None, origin
            except AuthError:
                return None, f"{origin} (which you may not read)"
    return None, ""


def _headers(check: CheckRun, server: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    name = (server.get("headersSecretRef") or {}).get("name")
    if not name:
        return ()
    found = check.data("Secret", name)
    if not found:
        raise _missing(check, name)
    return tuple((header, value.strip()) for header, value in sorted(found.items()))


def _client_certificate(check: CheckRun, server: Mapping[str, Any]) -> Path | None:
    """Write the client certificate to a folder that only this user can read, because Python's TLS needs files."""
    name = (server.get("clientCertSecretRef") or {}).get("name")
    if not name:
        return None
    found = check.data("Secret", name)
    if not found:
        raise _missing(check, name)
    folder = Path(check.stack.enter_context(tempfile.TemporaryDirectory()))
    for file in ("tls.crt", "tls.key"):
        (folder / file).write_text(found.get(file, ""), encoding="utf-8")
    return folder


def _missing(check: CheckRun, name: str) -> MissingSecretError:
    return MissingSecretError(
        f'Secret "{name}" in namespace {check.namespace} does not exist or is empty.',
        "Create it, or correct the reference under server in your values.",
    )
