"""Explains why no answer came from Argo CD, and whether that is retryable."""

import re
import socket
import ssl

import httpx

from gitops_runtime_auth.argocd import cause, handshake, tls
from gitops_runtime_auth.argocd.answer import not_argocd
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.proxy import Proxy
from gitops_runtime_auth.errors import AuthError, ConfigurationError, UnreachableError, WrongServerError

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_HANGS_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""The connection was closed during the handshake: by a load balancer without a backend, or by a Pod that restarts."""
_DENIED = "A NetworkPolicy may also keep this pod from it: in the chart, networkPolicy.enabled allows what it needs."
"""Shown for each symptom of that. Some networks drop what is denied, others (k3s) refuse it; mostly DNS fails first."""


def explain(error: Exception, endpoint: Endpoint, proxy: Proxy | None) -> AuthError:
    """Return the error for a request to ``endpoint`` that failed with ``error``, from httpx, the TLS library or us."""
    if isinstance(error, tls.UnknownLeafError):
        return handshake.explain(error, endpoint)
    failed = cause.find(error, ssl.SSLError)
    in_handshake = isinstance(error, httpx.ConnectError) and not isinstance(failed, _HANGS_UP)
    if failed is not None and (in_handshake or handshake.is_alert(failed)):
        return handshake.explain(failed, endpoint)
    if isinstance(error, httpx.DecodingError):
        return not_argocd("answers in no known encoding", endpoint)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return not_argocd("is no address that can be used", endpoint)
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):
        return ConfigurationError(
            f"The request to {endpoint.url} can't be made: the user name, the password, the token or a header holds"
            " characters that can't be sent.",
            "Correct it in its Secret, or in the values.",
        )
    if isinstance(error, httpx.ProxyError) and proxy is not None:
        return _refused_by_proxy(error, endpoint, proxy)
    return _unreachable(error, endpoint, proxy)


def _refused_by_proxy(error: httpx.ProxyError, endpoint: Endpoint, proxy: Proxy) -> AuthError:
    """Return the error for a proxy's refusal: 4xx is its decision, 5xx may be a temporary failure."""
    status = (re.match(r"[0-9]{3}", str(error)) or ["0"])[0]
    problem = f"The proxy {proxy.url} does not connect to {endpoint.url} (HTTP {status})."
    remedy = "Let the proxy allow it, or name the host in NO_PROXY (in the chart: proxy.noProxy)."
    if status.startswith("4"):
        return WrongServerError(problem, remedy)
    return UnreachableError(problem, remedy, sent=False)


def _unreachable(error: Exception, endpoint: Endpoint, proxy: Proxy | None) -> UnreachableError:
    path = endpoint.values_path
    way = f" through the proxy {proxy.url}" if proxy else ""
    what = f"does not answer ({type(error).__name__})"
    remedy = (
        f"Check that {path} (svc and port, or url) is Argo CD's address as seen from this namespace: kubectl get svc -A"
        " -l app.kubernetes.io/part-of=argocd."
    )
    if cause.find(error, ConnectionRefusedError):
        what = "does not answer: nothing listens at that address (connection refused)"
        remedy = (
            "Wait until argocd-server's pods are ready (kubectl get pods -A -l app.kubernetes.io/name=argocd-server)."
            f" An Argo CD in core mode has no API server, and can't be used. {remedy} {_DENIED}"
        )
    elif (looked_up := cause.find(error, socket.gaierror)) and looked_up.errno == socket.EAI_AGAIN:
        what = "does not answer: DNS gives no answer for its host name"
        remedy = f"{remedy} {_DENIED}"
    elif looked_up:
        # The problem is logged at the first try: whoever has a core installation need not wait for the last one.
        what = "does not answer: its host name is not known here (an Argo CD in core mode has no API server)"
        remedy = f"{remedy} In another namespace it is NAME.NAMESPACE."
    elif isinstance(error, httpx.TimeoutException):
        what = "does not answer in time"
        remedy = f"{remedy} {_DENIED}"
    if proxy:
        remedy = f"{remedy} If it needs no proxy, name its host in NO_PROXY (in the chart: proxy.noProxy)."
    return UnreachableError(f"Argo CD at {endpoint.url}{way} {what}.", remedy, sent=not isinstance(error, _NOT_SENT))
