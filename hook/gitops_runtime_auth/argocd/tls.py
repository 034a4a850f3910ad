"""TLS to Argo CD: what is trusted, and what a failed handshake means to the user."""

import ssl
from pathlib import Path

from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import ConfigurationError, WrongServerError

_CA_REMEDY = (
    "Copy Argo CD's certificate into this namespace and name it in global.external-arg-cd.server.caSecretKeyRef"
    " (stock Argo CD: Secret argocd-secret, key tls.crt)"
)

# X509_V_ERR_*, as in OpenSSL's x509_vfy.h.
_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_IP = 10, 9, 62, 64


def context(server: Server, ca: str | None) -> ssl.SSLContext:
    """Return the context to reach ``server`` with: public CAs plus ``ca`` (PEM), or no checks at all.

    Raises ConfigurationError when ``ca`` is not a certificate.
    """
    ctx = ssl.create_default_context()
    if server.insecure_skip_verify:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        return ctx
    # Argo CD's own certificate is self-signed, without the extensions that the strict mode of Python 3.13 asks for.
    ctx.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # A user may hand us the server's or an intermediate certificate instead of the root.
    ctx.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not ctx.cert_store_stats()["x509_ca"] and not _reads_when_needed():
        import certifi  # seldom needed, and the hook waits for each import

        ctx.load_verify_locations(certifi.where())
    if ca and ca.strip():
        try:
            ctx.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError, TypeError):  # TypeError: not ASCII
            raise ConfigurationError(
                f"{server.ca_ref or 'The CA file'} does not hold a PEM certificate.",
                "Point global.external-arg-cd.server.caSecretKeyRef at a key that holds one (tls.crt or ca.crt).",
            ) from None
    return ctx


def _reads_when_needed() -> bool:
    """Tell whether this machine keeps its CAs in a folder (``SSL_CERT_DIR``) that OpenSSL looks one up in.

    The image does: reading all of them takes as long as Python's start. Source: ``SSL_CTX_load_verify_dir(3)``.
    """
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).glob("*.0"))


def read_ca(path: Path) -> str | None:
    """Return the mounted CA certificate, or None when the Secret or its key does not exist."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None


def explain(error: ssl.SSLError, server: Server, ca: str | None) -> WrongServerError:
    """Return the two sentences for a failed handshake with ``server``."""
    url = server.url
    if not isinstance(error, ssl.SSLCertVerificationError):
        return WrongServerError(
            f"{url} does not speak TLS as expected ({error.reason or 'handshake failed'}).",
            "If Argo CD runs with server.insecure, use its HTTP port (server.port: 80) or an http:// server.url.",
        )
    match error.verify_code:
        case code if code in (_WRONG_NAME, _WRONG_IP):
            return WrongServerError(
                f"The certificate of {url} is for another host name.",
                "Set global.external-arg-cd.server.url (or .svc) to a name in the certificate, for stock Argo CD"
                " argocd-server.<its namespace>.svc, or issue one for this name.",
            )
        case code if code in (_EXPIRED, _NOT_YET_VALID):
            when = "has expired" if code == _EXPIRED else "is not valid yet"
            return WrongServerError(
                f"The certificate of {url} {when}.",
                "Renew it (stock Argo CD: delete tls.crt and tls.key from Secret argocd-secret and restart"
                " argocd-server), or check the clocks.",
            )
        case _:
            given = (
                f"{server.ca_ref} does not vouch for it"
                if ca
                else (f"{server.ca_ref} is not there" if server.ca_ref else "no caSecretKeyRef is set")
            )
            return WrongServerError(
                f"The certificate of {url} is not signed by a known CA ({given}).",
                f"{_CA_REMEDY}, or set global.external-arg-cd.server.insecureSkipVerify=true for a test.",
            )
