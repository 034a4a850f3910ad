"""Describes how an Argo CD is reached: its address, what is trusted, and what is sent along."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Endpoint:
    """One address of one Argo CD. It can be hashed, because equal endpoints share their connections."""

    url: str
    """Full URL without a trailing slash, for example ``https://argocd-server/argocd``."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""
    ca: str | None = field(default=None, repr=False)
    """Certificates (PEM) to trust besides the public CAs. The server's own one is trusted whatever its names are."""
    ca_origin: str = ""
    """The place of ``ca`` in messages, for example ``Secret "argocd-secret", key "tls.crt"``."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further request headers, for an identity-aware proxy. Their values are credentials."""
    client_cert: Path | None = None
    """Folder with ``tls.crt`` and ``tls.key``, for an ingress that asks for a client certificate. The files may change
    at any time."""
    values_path: str = "global.external-arg-cd.server"
    """Where this server stands in the user's values; remedies name keys below it."""
    dial: tuple[str, int] | None = None
    """Host and port to connect to instead of the URL's, for a port-forward. The host of the URL is still the one in the
    request and in the certificate."""
