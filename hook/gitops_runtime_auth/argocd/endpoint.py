"""Where an Argo CD is reached, and what is trusted and sent on the way there."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Endpoint:
    """One address of one Argo CD. Two equal endpoints may share their connections, so this can be hashed."""

    url: str
    """Full URL without a trailing slash, for example ``https://argocd-server/argocd``."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""
    ca: str | None = field(default=None, repr=False)
    """Certificates (PEM) that are trusted besides the public CAs. One that is the server's own is trusted whatever
    names it has."""
    ca_origin: str = ""
    """How messages name the place of ``ca``, for example ``Secret "argocd-secret", key "tls.crt"``."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further request headers, which an identity-aware proxy may want. Their values are credentials."""
    client_cert: Path | None = None
    """Folder with ``tls.crt`` and ``tls.key``, which an ingress may want. The files may change at any time."""
    values_path: str = "global.external-arg-cd.server"
    """Where the user's values describe this server; remedies name keys below it."""
    dial: tuple[str, int] | None = None
    """Host and port to connect to in place of the URL's, for a port-forward. All else is still about the URL: its host
    stands in the request and in the certificate."""
