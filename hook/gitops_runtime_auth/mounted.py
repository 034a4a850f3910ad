"""Reads the files that the chart mounts, again at each use, because their Secrets may change."""

from dataclasses import dataclass
from pathlib import Path

from gitops_runtime_auth.argocd.endpoint import Endpoint


@dataclass(frozen=True)
class Mounted:
    """The files that the chart mounts for the connection to Argo CD, and whether certificates are checked at all.

    ``folder`` contains ``ca/ca.crt`` (unless ``ca_file`` is given), a file in ``headers/`` for each request header, and
    the client certificate in ``client-cert/tls.crt`` and ``tls.key``. Files that the values do not name are missing.
    """

    folder: Path
    ca_file: Path | None = None
    insecure: bool = False

    def endpoint(self, url: str, ca_origin: str | None = None) -> Endpoint:
        """Return the endpoint of the Argo CD at ``url``, with the present content of the files.

        ``ca_origin`` is the place of the CA certificate in the user's values, empty if they name none. Whoever does not
        know the values leaves it out; then messages name the file.
        """
        ca, certificate = self.ca_file or self.folder / "ca" / "ca.crt", self.folder / "client-cert"
        headers = [(file.name, text(file)) for file in sorted((self.folder / "headers").glob("[!.]*"))]
        return Endpoint(
            url=url.rstrip("/"),
            insecure_skip_verify=self.insecure,
            ca=text(ca),
            ca_origin=f"The mounted CA certificate {ca}" if ca_origin is None else ca_origin,
            headers=tuple((name, value.strip()) for name, value in headers if value is not None),
            client_cert=certificate if (certificate / "tls.crt").exists() else None,
        )


def text(file: Path) -> str | None:
    """Return the text of a mounted file, None if there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not mounted, or its Secret was just deleted
        return None
