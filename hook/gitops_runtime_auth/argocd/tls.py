"""Configures TLS to Argo CD: which certificates are trusted, and which client certificate is sent."""

import base64
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gitops_runtime_auth.argocd import cause
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import ConfigurationError

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, as in OpenSSL's x509_vfy.h.
_WRONG_NAMES = (62, 64)
_MOST_NAMES = 10
"""Names of a certificate that a message shows."""


@dataclass(eq=False)
class UnknownLeafError(Exception):
    """The server's certificate has other ``names``, and is not itself among the given certificates."""

    names: tuple[str, ...]


class Peer(Protocol):
    """The part of Python's TLS connections that returns the other side's certificate."""

    def getpeercert(self, der: bool, /) -> object:
        """Return the certificate as bytes (DER), or its fields as a dictionary."""


def context(endpoint: Endpoint, *, check_names: bool = True) -> ssl.SSLContext:
    """Return the TLS context for ``endpoint``, which trusts the public CAs and ``ca``, or any certificate.

    Without ``check_names`` a certificate for any host is accepted, so that the caller must compare the certificate
    itself. Raises ConfigurationError if ``ca`` or the client certificate can't be used.
    """
    ctx = ssl.create_default_context()
    if endpoint.client_cert is not None:
        _show(ctx, endpoint.client_cert, endpoint.values_path)
    if endpoint.insecure_skip_verify:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        return ctx
    ctx.check_hostname = check_names
    # Argo CD's own certificate is self-signed and lacks extensions that the strict mode of Python 3.13 requires.
    ctx.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # The user may give the server's or an intermediate certificate instead of the root.
    ctx.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not ctx.cert_store_stats()["x509_ca"] and not _reads_when_needed():
        import certifi  # here, because it is seldom needed, and each import delays the hook

        ctx.load_verify_locations(certifi.where())
    if endpoint.ca and endpoint.ca.strip():
        try:
            ctx.load_verify_locations(cadata=endpoint.ca)
        except (ssl.SSLError, ValueError, TypeError):  # TypeError: not ASCII
            raise ConfigurationError(
                f"{endpoint.ca_origin or 'The CA file'} does not hold a PEM certificate.",
                f"Point {endpoint.values_path}.caSecretKeyRef (or caConfigMapKeyRef) at a key that holds one (tls.crt"
                " or ca.crt).",
            ) from None
    return ctx


def _show(ctx: ssl.SSLContext, folder: Path, values_path: str) -> None:
    """Load the client certificate. The empty password lets an encrypted key fail, instead of asking the terminal."""
    try:
        ctx.load_cert_chain(folder / "tls.crt", folder / "tls.key", password="")
    except OSError:  # ssl.SSLError is one
        raise ConfigurationError(
            "The client certificate can't be used: its tls.crt and tls.key are not there, are no PEM, do not belong"
            " together, or the key is encrypted.",
            f"Point {values_path}.clientCertSecretRef at a Secret of type kubernetes.io/tls.",
        ) from None


def stamp(folder: Path | None) -> tuple[int, ...]:
    """Return a value that changes with the client certificate's files, which a mounted Secret renews."""
    if folder is None:
        return ()
    try:
        return tuple((folder / name).stat().st_mtime_ns for name in ("tls.crt", "tls.key"))
    except OSError:
        return ()


def pins(ca: str | None) -> frozenset[bytes]:
    """Return the certificates in ``ca`` (PEM) as DER, for comparison with a server's."""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", ca or "", re.DOTALL)
    return frozenset(base64.b64decode("".join(block.split())) for block in blocks)


def require_pinned(peer: Peer, pinned: frozenset[bytes]) -> None:
    """Raise UnknownLeafError, with the names of the peer's certificate, unless that is one of ``pinned``."""
    if peer.getpeercert(True) not in pinned:
        raise UnknownLeafError(_names(peer.getpeercert(False)))


def is_about_names(error: BaseException) -> bool:
    """Tell whether a connection failed only because the certificate is for other names."""
    if isinstance(error, UnknownLeafError):
        return True
    failed = cause.find(error, ssl.SSLCertVerificationError)
    return failed is not None and failed.verify_code in _WRONG_NAMES


def _names(certificate: object) -> tuple[str, ...]:
    """Return the names in a certificate of ``getpeercert``: the common name only if there are no others."""
    if not isinstance(certificate, dict):
        return ()
    names = [value for _, value in certificate.get("subjectAltName", ())]
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return tuple(printable(str(name)) for name in (names or common)[:_MOST_NAMES])


def _reads_when_needed() -> bool:
    """Tell whether the CAs of this machine are in a folder (``SSL_CERT_DIR``) from which OpenSSL reads single ones.

    So it is in the image, because reading all of them takes as long as the start of Python. Source:
    ``SSL_CTX_load_verify_dir(3)``.
    """
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).glob("*.0"))
