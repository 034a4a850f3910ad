"""Sends one HTTP request to Argo CD and reads its answer."""

import re
import time
from dataclasses import dataclass, field

import httpx

from gitops_runtime_auth.argocd import network, tls
from gitops_runtime_auth.argocd.answer import Answer, judge, not_argocd
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.no_answer import explain
from gitops_runtime_auth.argocd.proxy import Proxy, proxy_for
from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import ConfigurationError

__all__ = ["MAX_ANSWER", "Answer", "Transport"]

MAX_ANSWER = 8 << 20
"""Bytes. The answer for an account with ten thousand keys has about 2 MB."""

_CONNECT_SECONDS = 5.0
"""Time for connecting to one address, TLS handshake included."""
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "gitops-runtime-auth"}
"""``DELETE`` needs a Content-Type, too: Argo CD answers 415 without (``server/server.go``, ``enforceContentTypes``)."""
_OWN_HEADERS = {"authorization", "content-type", "content-length", "transfer-encoding"}
_TOKEN_COOKIE = "argocd.token"  # noqa: S105 (the cookie's name, ``common.AuthCookieName``)


class _Clock:
    """Measures the time from the start of a request to the head of its answer (an httpcore ``trace`` extension).

    It starts before the first byte is sent, so that a pause of this process can't make an answer seem faster than it
    was: a refusal that is too fast is taken to be no verdict on the password.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._answered = 0.0

    def __call__(self, event: str, _: dict[str, object]) -> None:
        if event.endswith("send_request_headers.started"):
            self._began = time.monotonic()
        elif event.endswith("receive_response_headers.complete"):
            self._answered = time.monotonic()

    def seconds(self) -> float:
        return (self._answered or time.monotonic()) - self._began


@dataclass(frozen=True)
class _Outgoing:
    """A request that is to be sent, over a second connection if the first one can't be made."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: object = field(repr=False)
    timeout: float
    clock: _Clock = field(default_factory=_Clock)


class _TooLongError(Exception):
    """Says that the answer is longer than any of Argo CD's."""


class Transport:
    """Sends single requests to one Argo CD. It does not retry, which is the task of ``retry``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._clients: dict[bool, httpx.Client] = {}
        self._pinned = False
        """Whether the server's certificate itself is compared, instead of its names."""
        self._stamp: tuple[int, ...] = ()
        self._proxy: Proxy | None = None

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def send(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        bearer: str | None = None,
        cookie: str | None = None,
        body: object = None,
        expected: int = 200,
    ) -> Answer:
        """Send one request and return its answer, whose status is ``expected``.

        ``timeout`` is in seconds and limits everything, from looking up the name to the last byte of the answer.
        ``cookie`` is a session token as a browser sends it. Raises UnreachableError and TemporaryError (both are
        retryable), KeyRefusedError, AnswerError, WrongServerError, and ConfigurationError if the CA, the client
        certificate, the headers or the proxy can't be used.
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        if cookie is not None:
            headers["Cookie"] = f"{_TOKEN_COOKIE}={cookie}"
        outgoing = _Outgoing(method, path, headers, body, timeout)
        try:
            with network.ends_in(timeout):
                response, content = self._exchange(outgoing)
        except _TooLongError:
            raise not_argocd(f"answers with more than {MAX_ANSWER >> 20} MB", self.endpoint) from None
        except (httpx.HTTPError, httpx.InvalidURL, tls.UnknownLeafError, UnicodeError) as e:
            raise explain(e, self.endpoint, self._proxy) from None
        return judge(response, content, self.endpoint, outgoing.clock.seconds(), expected)

    def _exchange(self, outgoing: _Outgoing) -> tuple[httpx.Response, bytes]:
        """Send the request to a server whose certificate has the right name, or is itself among the given ones.

        Which of the two worked is remembered for the next request; if it fails then, the other one is tried. Nothing
        of the request is sent before the certificate is accepted.
        """
        try:
            return self._send_once(outgoing)
        except (httpx.ConnectError, tls.UnknownLeafError) as first:
            if not tls.is_about_names(first):
                raise
            self._pinned = not self._pinned
            try:
                return self._send_once(outgoing)
            except (httpx.ConnectError, tls.UnknownLeafError) as second:
                self._pinned = False
                # UnknownLeafError has the names of the certificate.
                known = isinstance(first, tls.UnknownLeafError) and tls.is_about_names(second)
                raise (first if known else second) from None

    def _send_once(self, outgoing: _Outgoing) -> tuple[httpx.Response, bytes]:
        client = self._client()
        timeout = httpx.Timeout(outgoing.timeout, connect=min(outgoing.timeout, _CONNECT_SECONDS))
        with client.stream(
            outgoing.method,
            self.endpoint.url + outgoing.path,
            headers=outgoing.headers,
            json=outgoing.body,
            timeout=timeout,
            extensions={"trace": outgoing.clock},
        ) as response:
            _forget_session(client)
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER:
                    raise _TooLongError
        return response, bytes(content)

    def _client(self) -> httpx.Client:
        """Return the client to use. If the client certificate's files have changed, close all clients first."""
        stamp = tls.stamp(self.endpoint.client_cert)
        if stamp != self._stamp:
            self.close()
            self._stamp = stamp
        if self._pinned not in self._clients:
            headers = {**_HEADERS, **_further_headers(self.endpoint)}
            self._clients[self._pinned] = httpx.Client(transport=self._connections(), headers=headers, trust_env=False)
        return self._clients[self._pinned]

    def _connections(self) -> network.BoundedTransport:
        endpoint = self.endpoint
        try:
            self._proxy = None if endpoint.dial else proxy_for(endpoint.url)
        except ValueError:
            raise httpx.InvalidURL("not a URL") from None
        plain = endpoint.url.lower().startswith("http:")
        context = None if plain else tls.context(endpoint, check_names=not self._pinned)
        pins = tls.pins(endpoint.ca) if self._pinned else None
        return network.BoundedTransport(context, self._proxy, pins, endpoint.dial)


def _forget_session(client: httpx.Client) -> None:
    """Drop Argo CD's session cookie, but keep those by which a balancer sends every request to the same replica.

    Argo CD sets its cookie at a login (``server/server.go``), and would read it as a bearer token in later requests.
    """
    for cookie in list(client.cookies.jar):
        if cookie.name.startswith(_TOKEN_COOKIE):
            client.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)


def _further_headers(endpoint: Endpoint) -> dict[str, str]:
    """Return the endpoint's headers. Raises ConfigurationError, which names a wrong header but not its value."""
    for name, value in endpoint.headers:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e]*", value):
            wrong = "is not a valid HTTP header"
        elif name.lower() in _OWN_HEADERS:
            wrong = "is one that this program sets itself"
        else:
            continue
        raise ConfigurationError(
            f'The header "{printable(name)}" for {endpoint.url} {wrong}.',
            f"Correct the Secret that {endpoint.values_path}.headersSecretRef names: each key is a header's name, each"
            " value one line.",
        )
    return dict(endpoint.headers)
