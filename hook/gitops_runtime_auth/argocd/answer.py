"""Decides what an HTTP answer means: a result of Argo CD, its refusal, a temporary failure, or another server."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from gitops_runtime_auth.argocd import refusal
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    KeyRefusedError,
    Refusal,
    TemporaryError,
    WrongServerError,
)
from gitops_runtime_auth.retry import asked_to_wait

_BUSY = {408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524}
"""HTTP statuses of temporary failures. Cloudflare sends the last five if it can't reach the server behind it."""
_NOT_TAKEN = {425, 429}
"""Those of _BUSY that a server sends before it handles the request."""
_TRANSIENT_CODES = {4, 8, 10, 14}
"""gRPC codes of temporary failures: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE."""

_PAGES = (
    (rb"no required ssl certificate|ssl certificate error", "wants a client certificate", "clientCertSecretRef"),
    (rb"http request to an https server|plain http request was sent to https", "speaks TLS at this port", "url"),
)
"""Text on error pages of nginx and of Go servers (HTTP 400), what it means, and the value to correct."""


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    status: int
    json: object = field(repr=False)
    seconds: float
    """Time from the start of the request to the head of the answer, without connecting and TLS handshake."""
    date: float | None
    """Unix time of the answer by the server's clock (its ``Date`` header), None if it sent none."""
    url: str
    """The Argo CD that answered."""

    def object(self) -> dict[str, object]:
        """Return the JSON object in the answer. Raises WrongServerError if it is something else."""
        if not isinstance(self.json, dict):
            raise self.unexpected()
        return self.json

    def string(self, name: str) -> str:
        """Return the string ``name`` of that object. Raises WrongServerError if there is none."""
        value = self.object().get(name)
        if not isinstance(value, str) or not value:
            raise self.unexpected()
        return value

    def unexpected(self) -> WrongServerError:
        """Return the error for an answer that is JSON, but not what Argo CD would answer."""
        return WrongServerError(
            f"{self.url} answers JSON, but not what Argo CD's API answers.",
            "Point the server's url (or svc, port and rootpath) at Argo CD (2.14 or later) itself.",
        )


def judge(response: httpx.Response, content: bytes, endpoint: Endpoint, seconds: float, expected: int) -> Answer:
    """Return the answer if its status is ``expected``, and raise an error of ``errors`` otherwise.

    An answer with ``expected`` 200 must be JSON. The body of an expected redirect is not read.
    """
    status, url = response.status_code, endpoint.url
    date = _date(response.headers.get("Date", ""))
    if response.has_redirect_location:
        if status == expected:
            return Answer(status, None, seconds, date, url)
        raise _redirects(response.headers["Location"], endpoint)
    data, is_json = _decode(content)
    code = refusal.grpc_code(data)
    without_settings = status == 500 and refusal.is_temporary(data)
    if status in _BUSY or (status in (409, 500) and code in _TRANSIENT_CODES) or without_settings:
        raise TemporaryError(
            f"Argo CD at {url} is busy or restarting (HTTP {status}).",
            "Wait until Argo CD's pods are ready and try again.",
            retry_after=asked_to_wait(response.headers.get("Retry-After", "")),
            sent=status not in _NOT_TAKEN,
        )
    if status in (401, 403, 407):
        raise _refused(status, data, endpoint, seconds, date)
    if not is_json and status < 500:
        raise _page(status, content, endpoint)
    if status == expected:
        return Answer(status, data, seconds, date, url)
    if code < 0 and status < 500:
        raise Answer(status, data, seconds, date, url).unexpected()
    raise _failed(status, data, endpoint)


def not_argocd(what: str, endpoint: Endpoint) -> WrongServerError:
    """Return the error for an address at which another server than Argo CD answers; ``what`` follows the URL."""
    return WrongServerError(
        f"{endpoint.url} {what}.",
        f"Point {endpoint.values_path} at Argo CD itself (Service argocd-server and its rootpath), not at an SSO proxy,"
        " a login page or another service.",
    )


def _redirects(location: str, endpoint: Endpoint) -> WrongServerError:
    # The query, and what stands before the host, may be credentials, so they are not shown.
    target = printable(re.sub(r"//[^/]*@", "//", re.sub(r"[?#].*", "", location, flags=re.DOTALL)))
    return WrongServerError(
        f"{endpoint.url} redirects to {target}; credentials are never sent along.",
        f"Set {endpoint.values_path} so that it names the final address: https (port 443) instead of http, and the"
        " rootpath that Argo CD is configured with.",
    )


def _refused(status: int, data: object, endpoint: Endpoint, seconds: float, date: float | None) -> AuthError:
    """Return the error for 401, 403 and 407: Argo CD's own have gRPC codes, those of a gateway or proxy do not."""
    url, code = endpoint.url, refusal.grpc_code(data)
    if status == 403 and code == refusal.PERMISSION_DENIED:
        return _failed(status, data, endpoint)
    if status == 401 and code == refusal.UNAUTHENTICATED:
        if refusal.is_temporary(data):
            return TemporaryError(
                f"Argo CD at {url} can't judge the token just now: it can't read its settings, or its clock is behind.",
                "Wait until Argo CD's pods are ready and their clocks agree, and try again.",
            )
        reason = refusal.refusal_of(data)
        if reason is not Refusal.UNKNOWN or refusal.is_about_a_token(data):
            return KeyRefusedError(
                f"Argo CD at {url} refuses the token: {reason.value}.",
                "Make a new key in Argo CD (argocd account generate-token) and store it in the Secret.",
                refusal=reason,
                seconds=seconds,
                date=date,
            )
    path = endpoint.values_path
    return WrongServerError(
        f"Something in front of Argo CD at {url} answers (HTTP {status}): a gateway, a service mesh or a proxy. Argo CD"
        " itself did not see the request, so this says nothing about the password or key.",
        "Let requests from this namespace pass there (Istio: an AuthorizationPolicy), give what it asks for in"
        f" {path}.headersSecretRef, or set {path}.svc to Argo CD's own Service.",
    )


def _page(status: int, content: bytes, endpoint: Endpoint) -> WrongServerError:
    start = content[:2000].lower()
    for pattern, what, value in _PAGES if status == 400 else ():
        if re.search(pattern, start):
            return WrongServerError(
                f"{endpoint.url} {what} (HTTP {status}).",
                f"Correct {endpoint.values_path}.{value}, or set {endpoint.values_path}.svc to Argo CD's own Service.",
            )
    page = "a web page" if b"<" in content[:200] else "something that is not JSON"
    return not_argocd(f"answers with {page} (HTTP {status}), not with Argo CD's API", endpoint)


def _failed(status: int, data: object, endpoint: Endpoint) -> AnswerError:
    reason = refusal.refusal_of(data)
    return AnswerError(
        f"Argo CD at {endpoint.url} answers HTTP {status}: {reason.value}.",
        "Look into the log of argocd-server for the reason.",
        status=status,
        code=refusal.grpc_code(data),
        refusal=reason,
    )


def _decode(content: bytes) -> tuple[object, bool]:
    try:
        return json.loads(content), True
    except (ValueError, RecursionError):
        return None, False


def _date(header: str) -> float | None:
    try:
        date = parsedate_to_datetime(header)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
