"""Explains a failed TLS handshake with Argo CD to the user."""

import ssl

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.tls import UnknownLeafError, is_about_names
from gitops_runtime_auth.errors import WrongServerError

# X509_V_ERR_*, as in OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}

_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE")
"""Alerts that a server sends to a client without a certificate (in TLS 1.3, and Go servers in TLS 1.2)."""
_ABOUT_CERTIFICATE = (*_WANTS_CERTIFICATE, "CERTIFICATE_", "UNKNOWN_CA", "ACCESS_DENIED")
"""Alerts that a server sends to refuse the client's certificate."""


def is_alert(error: ssl.SSLError) -> bool:
    """Tell whether the server refused with a TLS alert, rather than by closing the connection or answering in HTTP."""
    reason = _reason(error)
    return "ALERT" in reason or "UNRECOGNIZED_NAME" in reason


def explain(error: ssl.SSLError | UnknownLeafError, endpoint: Endpoint) -> WrongServerError:
    """Return the error for a failed handshake with ``endpoint``."""
    if isinstance(error, UnknownLeafError):
        return _wrong_names(error.names, endpoint)
    if is_about_names(error):
        return _wrong_names((), endpoint)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrusted(error, endpoint)
    if is_alert(error):
        return _refused(_reason(error), endpoint)
    return WrongServerError(
        f"{endpoint.url} does not speak TLS as expected ({error.reason or 'handshake failed'}).",
        f"If Argo CD runs with server.insecure, use its HTTP port ({endpoint.values_path}.port=80), or an address with"
        f" http:// in {endpoint.values_path}.url.",
    )


def _wrong_names(names: tuple[str, ...], endpoint: Endpoint) -> WrongServerError:
    path = endpoint.values_path
    which = f"other host names: {', '.join(names)}" if names else "another host name"
    return WrongServerError(
        f"The certificate of {endpoint.url} is for {which}.",
        f"Name this certificate itself in {path}.caSecretKeyRef, so that it is trusted whatever its names are (stock"
        f" Argo CD: Secret argocd-secret, key tls.crt); or set {path}.url (or .svc) to one of its names; or have one"
        " issued for this name.",
    )


def _distrusted(error: ssl.SSLCertVerificationError, endpoint: Endpoint) -> WrongServerError:
    url, path = endpoint.url, endpoint.values_path
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        when = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return WrongServerError(
            f"The certificate of {url} {when}.",
            "Renew it (stock Argo CD: delete tls.crt and tls.key from Secret argocd-secret and restart argocd-server),"
            " or correct the clocks.",
        )
    if error.verify_code not in _UNKNOWN_ISSUER:
        return WrongServerError(
            f"The certificate of {url} can't be trusted ({error.verify_message}).",
            "Have one issued for a TLS server, or correct its chain.",
        )
    if endpoint.ca and endpoint.ca.strip():
        given = f"it is neither in {endpoint.ca_origin or 'the given CA'} nor signed by what is"
    elif endpoint.ca_origin:
        given = f"{endpoint.ca_origin} does not exist, or is empty"
    else:
        given = f"{path}.caSecretKeyRef is not set"
    return WrongServerError(
        f"The certificate of {url} is not signed by a known CA ({given}).",
        f"Copy Argo CD's certificate into this namespace and name it in {path}.caSecretKeyRef (stock Argo CD: Secret"
        f" argocd-secret, key tls.crt), or set {path}.insecureSkipVerify=true for a test.",
    )


def _refused(reason: str, endpoint: Endpoint) -> WrongServerError:
    url, path = endpoint.url, endpoint.values_path
    if endpoint.client_cert is None and any(words in reason for words in _WANTS_CERTIFICATE):
        return WrongServerError(
            f"{url} wants a client certificate.",
            f"Put one into a Secret of type kubernetes.io/tls and name it in {path}.clientCertSecretRef, or set"
            f" {path}.svc to Argo CD's own Service.",
        )
    if endpoint.client_cert is not None and any(words in reason for words in _ABOUT_CERTIFICATE):
        return WrongServerError(
            f"{url} refuses the client certificate ({reason}).",
            f"Put one that the server accepts into the Secret that {path}.clientCertSecretRef names.",
        )
    return WrongServerError(
        f"{url} refuses the TLS handshake ({reason}).",
        "It may want a client certificate, not know this host name, or speak other versions of TLS: see its log, and"
        f" correct {path}.url or {path}.clientCertSecretRef.",
    )


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "").upper().replace(" ", "_")
