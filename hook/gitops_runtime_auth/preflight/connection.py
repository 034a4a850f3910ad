"""The way from here to Argo CD, and what is trusted and sent on it: as the hook does, but for where it begins."""

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
from gitops_runtime_auth.preflight.laptop import Laptop


@dataclass(frozen=True)
class Reached:
    """What answered."""

    argocd: ArgoCD
    version: str
    distrusted: AuthError | None = None
    """Why its certificate can't be trusted; then nothing but its version was asked."""


def endpoint(laptop: Laptop, server: Mapping[str, Any], url: str, path: str) -> tuple[Endpoint, str]:
    """Return where Argo CD is and a note on the way taken. A Service of the cluster is reached by port-forward.

    ``server`` is the values' block, ``url`` what the chart made of it, ``path`` the user's spelling of it. Raises
    ConfigurationError when there is no such Service, UnreachableError when there is no way to it.
    """
    address, dial, way = laptop.options.server.rstrip("/") or url, None, ""
    service = service_of(url, laptop.namespace, from_url=bool(server.get("url")))
    if service is not None and not laptop.options.server:
        services.require(laptop.cluster, service, path)
        flags = laptop.options.cluster_flags("--context")
        dial = ("127.0.0.1", laptop.stack.enter_context(PortForward(service, flags, laptop.deadline)))
        way = f" (by port-forward to Service {service})"
    found = Endpoint(
        address,
        insecure_skip_verify=bool(server.get("insecureSkipVerify")),
        headers=_headers(laptop, server),
        client_cert=_client_certificate(laptop, server),
        values_path=path,
        dial=dial,
    )
    ca, origin = _trusted(laptop, server)
    return replace(found, ca=ca, ca_origin=origin), way


def reach(laptop: Laptop, where: Endpoint) -> Reached:
    """Ask Argo CD for its version. Raises what the request does.

    When its certificate can't be trusted, it is asked once more without any trust, and without headers and client
    certificate, which are credentials: so that the certificate is named as what is wrong, and not the address.
    """
    argocd = connect(laptop, where)
    try:
        return Reached(argocd, argocd.version())
    except WrongServerError as e:
        if where.insecure_skip_verify or not where.url.startswith("https:"):
            raise
        bare = Endpoint(where.url, insecure_skip_verify=True, values_path=where.values_path, dial=where.dial)
        try:
            version = connect(laptop, bare).version()
        except AuthError:
            raise e from None
        return Reached(argocd, version, distrusted=e)


def connect(laptop: Laptop, where: Endpoint) -> ArgoCD:
    """Return a client whose connections end with the run."""
    argocd = ArgoCD(Transport(where), laptop.deadline, laptop.timing)
    laptop.stack.callback(argocd.close)
    return argocd


def _trusted(laptop: Laptop, server: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the certificates to trust besides the public CAs, and their place: --ca-file, else what the values name.

    A Secret that is not there or may not be read leaves the public CAs; the name of its place stays for the message.
    """
    if laptop.options.ca_file:
        try:
            pem = laptop.options.ca_file.read_text(encoding="ascii", errors="replace")
        except OSError as e:
            problem = f"The file {laptop.options.ca_file} can't be read ({e.strerror})."
            raise ConfigurationError(problem, "Correct --ca-file.") from None
        return pem, str(laptop.options.ca_file)
    for kind, name in (("ConfigMap", "caConfigMapKeyRef"), ("Secret", "caSecretKeyRef")):
        ref = server.get(name) or {}
        if ref.get("name") and ref.get("key"):
            origin = f'{kind} "{ref["name"]}", key "{ref["key"]}"'
            try:
                return laptop.value(kind, ref["name"], ref["key"]) or None, origin
            except AuthError:
                return None, f"{origin} (which you may not read)"
    return None, ""


def _headers(laptop: Laptop, server: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    name = (server.get("headersSecretRef") or {}).get("name")
    if not name:
        return ()
    found = laptop.data("Secret", name)
    if not found:
        raise _missing(laptop, name)
    return tuple((header, value.strip()) for header, value in sorted(found.items()))


def _client_certificate(laptop: Laptop, server: Mapping[str, Any]) -> Path | None:
    """Write the client certificate to a folder of this user's alone, because TLS takes it from files only."""
    name = (server.get("clientCertSecretRef") or {}).get("name")
    if not name:
        return None
    found = laptop.data("Secret", name)
    if not found:
        raise _missing(laptop, name)
    folder = Path(laptop.stack.enter_context(tempfile.TemporaryDirectory()))
    for file in ("tls.crt", "tls.key"):
        (folder / file).write_text(found.get(file, ""), encoding="utf-8")
    return folder


def _missing(laptop: Laptop, name: str) -> MissingSecretError:
    return MissingSecretError(
        f'Secret "{name}" in namespace {laptop.namespace} does not exist or is empty.',
        "Create it, or correct the reference under server in your values.",
    )
