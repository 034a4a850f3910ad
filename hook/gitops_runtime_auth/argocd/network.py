"""Makes HTTP connections with one deadline for everything, from looking up the name to the last byte.

The timeouts of httpx and httpcore limit each single read, so that a request to a server which sends a byte a second
never ends. Looking up the name (``getaddrinfo``) has no timeout at all: without a working DNS it takes a minute in a
Pod.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpcore
import httpx
from httpcore import SOCKET_OPTION, NetworkBackend, NetworkStream, SyncBackend

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.proxy import Proxy

_KEPT = 5.0
"""Seconds for which an idle connection is kept: enough for the requests of one run, and less than any server does."""

_end: ContextVar[float] = ContextVar("_end")


@contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """Limit everything that the connections of this thread do in the block to ``seconds`` in all."""
    before = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(before)


def _through(proxy: Proxy | None) -> httpcore.Proxy | None:
    """Return ``proxy`` in httpcore's form. A proxy that speaks TLS must have a certificate of a public CA."""
    if proxy is None:
        return None
    context = tls.context(Endpoint(proxy.url)) if proxy.url.startswith("https:") else None
    auth = (proxy.auth[0].encode(), proxy.auth[1].encode()) if proxy.auth else None
    return httpcore.Proxy(proxy.url, auth, ssl_context=context)


class BoundedTransport(httpx.BaseTransport):
    """Makes the connections of an ``httpx.Client`` to one server. It must be used in an ``ends_in`` block.

    ``context`` is for TLS to the server itself. With ``pins`` the server must have one of these certificates (DER);
    otherwise UnknownLeafError is raised before anything is sent.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        proxy: Proxy | None,
        pins: frozenset[bytes] | None = None,
        dial: tuple[str, int] | None = None,
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            proxy=_through(proxy),
            keepalive_expiry=_KEPT,
            network_backend=_Backend(context, pins, dial),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the answer's head; its body is read from the answer's stream."""
        url = request.url
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise httpcore's errors as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as e:
        raise getattr(httpx, type(e).__name__)(str(e)) from e
    except httpcore.UnsupportedProtocol as e:
        raise httpx.UnsupportedProtocol(str(e)) from e


class _Backend(NetworkBackend):
    def __init__(
        self, context: ssl.SSLContext | None, pins: frozenset[bytes] | None, dial: tuple[str, int] | None
    ) -> None:
        self._inner = SyncBackend()
        self._context = context
        self._pins = pins
        self._dial = dial

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Connect to the first address of ``host`` that answers, and try each for ``timeout`` seconds at most."""
        host, port = self._dial or (host, port)
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _addresses(host, port):
            try:
                left = _left(timeout, httpcore.ConnectTimeout)
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
                return _Stream(stream, self._context, self._pins)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as e:
                failed = e
        raise failed


class _Stream(NetworkStream):
    """A connection whose every step ends at the deadline of ``ends_in``."""

    def __init__(self, inner: NetworkStream, context: ssl.SSLContext | None, pins: frozenset[bytes] | None) -> None:
        self._inner = inner
        self._context = context
        self._pins = pins

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout))
        # A proxy that speaks TLS has a context of its own, and its certificate is not among the pins.
        if self._pins is not None and ssl_context is self._context:
            try:
                tls.require_pinned(inner.get_extra_info("ssl_object"), self._pins)
            except tls.UnknownLeafError:
                inner.close()
                raise
        return _Stream(inner, self._context, self._pins)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, too_late: type[Exception]) -> float:
    """Return the seconds that a step may take, at most ``timeout``. Raises ``too_late`` if there are none left."""
    left = _end.get() - time.monotonic()
    if left <= 0:
        raise too_late("the time for the whole request is over")
    return left if timeout is None else min(timeout, left)


def _addresses(host: str, port: int) -> list[str]:
    """Look ``host`` up in another thread, because this one can go on without it if no answer comes."""
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as e:
            failed.append(e)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(None, httpcore.ConnectTimeout))
    if failed:
        try:  # because httpcore's pool keeps the context of an error, but not its cause
            raise failed[0]
        except OSError as e:
            raise httpcore.ConnectError(str(e)) from e
    if not found:
        raise httpcore.ConnectTimeout("the name's look-up takes too long")
    return found
