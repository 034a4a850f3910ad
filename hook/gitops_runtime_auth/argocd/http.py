"""One HTTP exchange with Argo CD: what goes out, what comes back, and what it means when it goes wrong."""

import json
import re
import ssl
import time
from dataclasses import dataclass
from typing import Any

import httpx

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.refusal import reason_of
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    KeyRefusedError,
    TemporaryError,
    UnreachableError,
    WrongServerError,
)
from gitops_runtime_auth.retry import asked_to_wait

MAX_ANSWER = 8 << 20
"""Bytes. An account with ten thousand keys answers with about 2 MB."""

_BUSY = {408, 425, 429, 502, 503, 504}
_NOT_TAKEN = {425, 429}
"""Of these, what is said before a request is looked at."""
_HANGS_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""A connection that ends, in a handshake too: a load balancer without a backend, a pod that restarts."""
# gRPC codes that pass by themselves: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE.
_TRANSIENT_CODES = {4, 8, 10, 14}


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    status: int
    json: Any
    headers: httpx.Headers
    url: str
    """The Argo CD that gave it."""

    def object(self) -> dict[str, Any]:
        """Return the JSON object that the answer holds. Raises WrongServerError when it is something else."""
        if not isinstance(self.json, dict):
            raise self.unexpected()
        return self.json

    def string(self, name: str) -> str:
        """Return a string of that object, which must be there. Raises WrongServerError."""
        value = self.object().get(name)
        if not isinstance(value, str) or not value:
            raise self.unexpected()
        return value

    def unexpected(self) -> WrongServerError:
        """Return the error for an answer that is JSON but does not hold what Argo CD's does."""
        return WrongServerError(
            f"{self.url} answers JSON, but not what Argo CD's API answers.",
            "Point global.external-arg-cd.server at Argo CD (2.14 or later) itself.",
        )


class _Clock:
    """Takes the time between a request that is out and the head of its answer (an httpcore ``trace`` extension)."""

    def __init__(self) -> None:
        self._out = time.monotonic()
        self._answered = 0.0

    def __call__(self, event: str, _: dict[str, Any]) -> None:
        if event.endswith("send_request_body.complete"):
            self._out = time.monotonic()
        elif event.endswith("receive_response_headers.complete"):
            self._answered = time.monotonic()

    def seconds(self) -> float:
        return (self._answered or time.monotonic()) - self._out


class Transport:
    """Sends single requests to one Argo CD. Retries nothing: that is ``retry``'s part."""

    def __init__(self, server: Server, ca: str | None = None, inner: httpx.BaseTransport | None = None) -> None:
        self.server = server
        self.waited = 0.0
        """Seconds that the last answer took to come, connecting and handshake not counted."""
        self._ca = ca
        self._client = httpx.Client(
            verify=tls.context(server, ca) if inner is None else False,
            transport=inner,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": "gitops-runtime-auth",
            },
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        bearer: str | None = None,
        cookie: str | None = None,
        body: Any = None,
        redirect_is_answer: bool = False,
    ) -> Answer:
        """Send one request and return its answer; every other outcome is an error of ``errors``.

        ``timeout`` is in seconds and bounds connecting, each read, and the answer's body as a whole. DELETE carries a
        Content-Type too: Argo CD answers 415 without one (``server/server.go``, ``enforceContentTypes``).
        """
        headers = {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if cookie is not None:
            headers["Cookie"] = f"argocd.token={cookie}"
        clock = _Clock()
        limits, until = httpx.Timeout(timeout, connect=min(timeout, 5.0)), time.monotonic() + timeout
        try:
            with self._client.stream(
                method,
                self.server.url + path,
                headers=headers,
                json=body,
                timeout=limits,
                extensions={"trace": clock},
            ) as response:
                self.waited = clock.seconds()
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise self._not_argocd(f"answers with more than {MAX_ANSWER >> 20} MB")
                    if time.monotonic() > until:
                        raise httpx.ReadTimeout("the answer trickles in")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as e:
            raise self._no_answer(e) from None
        if response.has_redirect_location and redirect_is_answer:
            return Answer(response.status_code, None, response.headers, self.server.url)
        return self._judge(response, content)

    def _no_answer(self, error: Exception) -> AuthError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, _HANGS_UP):
                return tls.explain(cause, self.server, self._ca)
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.DecodingError | UnicodeError):
            return self._not_argocd("can't be used as an address, or answers in no known encoding")
        sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
        slow = " in time" if isinstance(error, httpx.TimeoutException) else ""
        return UnreachableError(
            f"Argo CD at {self.server.url} does not answer{slow} ({type(error).__name__}).",
            "Check that Argo CD runs and that global.external-arg-cd.server (svc and port, or url) is its address as"
            " seen from this namespace: kubectl get svc -A | grep argocd-server.",
            sent=sent,
        )

    def _judge(self, response: httpx.Response, content: bytes) -> Answer:
        status = response.status_code
        if response.has_redirect_location:
            target = re.sub(r"[?#].*", "", response.headers["Location"])[:200]
            raise WrongServerError(
                f"{self.server.url} redirects to {target}; credentials are never sent along.",
                "Set global.external-arg-cd.server so that it names the final address: https (port 443) instead of"
                " http, and the rootpath that Argo CD is configured with.",
            )
        data, is_json = _decode(content)
        code = data.get("code") if isinstance(data, dict) else None
        code = code if isinstance(code, int) else -1
        if status in _BUSY or (status in (409, 500) and code in _TRANSIENT_CODES):
            raise TemporaryError(
                f"Argo CD at {self.server.url} is busy or restarting (HTTP {status}).",
                "Wait until Argo CD's pods are ready and try again.",
                retry_after=asked_to_wait(response.headers.get("Retry-After", "")),
                sent=status not in _NOT_TAKEN,
            )
        if not is_json and status < 500:
            page = "a web page" if b"<" in content[:200] else "something that is not JSON"
            raise self._not_argocd(f"answers with {page} (HTTP {status}), not with Argo CD's API")
        if status == 200:
            return Answer(status, data, response.headers, self.server.url)
        reason = reason_of(data)
        if status == 401:
            raise KeyRefusedError(
                f"Argo CD at {self.server.url} refuses the token: {reason}.",
                "Make a new key in Argo CD (argocd account generate-token) and store it in the Secret.",
                reason=reason,
            )
        raise AnswerError(
            f"Argo CD at {self.server.url} answers HTTP {status}: {reason}.",
            "Look into the log of argocd-server for the reason.",
            status=status,
            code=code,
            reason=reason,
        )

    def _not_argocd(self, what: str) -> WrongServerError:
        return WrongServerError(
            f"{self.server.url} {what}.",
            "Point global.external-arg-cd.server at Argo CD itself (Service argocd-server and its rootpath), not at an"
            " SSO proxy, a login page or another service.",
        )


def _decode(content: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(content), True
    except (ValueError, RecursionError):
        return None, False
