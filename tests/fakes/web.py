"""A small HTTP server for tests: a thread per connection, TLS if wanted, faults per request, a log of what came."""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from socketserver import StreamRequestHandler
from typing import Any, Literal


class Headers(dict[str, str]):
    """Headers by their names, in whatever case these are asked for."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


@dataclass
class Request:
    """One request as it came in; ``path`` is as it was sent, without the query."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    at: float = field(default_factory=time.monotonic)
    status: int = 0
    """Status of the answer, 0 while there is none."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def object(self) -> dict[str, Any]:
        """Return the JSON object in the body, an empty one when there is none."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    """In place of ``body``: sent piece by piece as chunks, while the connection stays open."""


def as_json(status: int, content: Any, **headers: str) -> Answer:
    """Return an answer with ``content`` as JSON."""
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})


def as_text(status: int, content: str, **headers: str) -> Answer:
    """Return an answer with plain text, as Go's ``http.Error`` makes it."""
    return Answer(status, content.encode(), {"Content-Type": "text/plain; charset=utf-8", **headers})


@dataclass
class Fault:
    """What meets the requests that ``step`` (a regular expression over ``METHOD /path``) finds.

    ``skip`` of them pass unharmed before, and ``times`` are met. Waits are in seconds.
    """

    step: str
    times: int = 1 << 30
    skip: int = 0
    delay: float = 0.0
    """Wait before the request takes effect: the server is slow."""
    took: float = 0.0
    """The answer tells in ``X-Took`` that it took so much longer, and the unit tests believe it (``told_times``)."""
    cut: Literal["", "before", "after", "middle"] = ""
    """Reset the connection before the request takes effect, after it, or in the middle of the answer."""
    answer: Answer | None = None
    """Answered by somebody else: the request never arrives."""
    hide: Answer | None = None
    """The request takes effect; somebody else answers."""
    trickle: float = 0.0
    """Wait this long between two bytes of the answer, its head included."""
    does: Callable[[], object] | None = None
    """Called before the request takes effect: what happens elsewhere meanwhile."""
    met: int = 0


class Server:
    """One listening address of the loopback. ``handle`` answers; ``faults`` come first; ``log`` remembers."""

    def __init__(self, handle: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.handle = handle
        self.tls = tls
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.clock: Callable[[], float] = time.time
        """The time that the header ``Date`` tells."""
        self.lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        # Bound all the time, so that no other process gets the port while this server is down.
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port: int = self._kept.getsockname()[1]
        self._open = False
        self._accepting: threading.Thread
        self.open_again()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop serving, and release the port."""
        self.go_down()
        self._kept.close()

    def go_down(self) -> None:
        """Stop listening and end all connections. New ones are refused until ``open_again``."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listening.close()
        self._accepting.join()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection that is open, as a restart of the server does."""
        with self.lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def open_again(self) -> None:
        """Listen at the port."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._open = True
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def fault(self, step: str, **what: Any) -> Fault:
        """Meet the requests that ``step`` finds with a fault, from now on; see ``Fault``."""
        made = Fault(step, **what)
        with self.lock:
            self.faults.append(made)
        return made

    def heal(self) -> None:
        """Forget every fault."""
        with self.lock:
            self.faults.clear()

    def asked(self, step: str = "") -> list[Request]:
        """Return the requests that came in and that ``step`` (a regular expression) finds."""
        with self.lock:
            return [r for r in self.log if re.search(step, str(r))]

    def comes(self, request: Request) -> Fault:
        """Note a request; return the fault that meets it, one without effect if none does."""
        with self.lock:
            self.log.append(request)
            for fault in self.faults:
                if not re.search(fault.step, str(request)):
                    continue
                fault.met += 1
                if fault.skip < fault.met <= fault.skip + fault.times:
                    return fault
        return Fault("")

    def _accept(self) -> None:
        while self._open:
            try:
                connection, address = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, raw: socket.socket, address: Any) -> None:
        connection = raw
        with self.lock:
            self._connections.add(raw)
        # The client hung up, or does not trust this server: it is the client that tells.
        with contextlib.suppress(OSError, ValueError):
            if self.tls and not _is_plain(raw):
                connection = self.tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                with self.lock:
                    self._connections.add(connection)
                connection.do_handshake()
            _Handler(connection, address, self)  # type: ignore[arg-type]  # it needs no BaseServer
        with self.lock:
            self._connections -= {raw, connection}
        raw.close()
        connection.close()


def _is_plain(connection: socket.socket) -> bool:
    """Tell whether a client begins to speak something other than TLS (whose first byte is 22)."""
    return connection.recv(1, socket.MSG_PEEK) not in (b"\x16", b"")


class _Handler(StreamRequestHandler):
    """Reads requests one after the other. ``http.server`` parses headers as e-mail, which takes a third of the time."""

    disable_nagle_algorithm = True
    server: Server  # type: ignore[assignment]

    def handle(self) -> None:
        self.close_connection = False
        while not self.close_connection and (line := self.rfile.readline()):
            method, target, _ = line.decode("latin-1").split()
            headers = Headers()
            while (line := self.rfile.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            self.close_connection = headers.get("Connection", "").lower() == "close"
            path, _, query = target.partition("?")
            body = self.rfile.read(int(headers.get("Content-Length") or 0))
            self._do(Request(method, path, query, headers, body), target)

    def _do(self, request: Request, target: str) -> None:
        if self.server.tls and not isinstance(self.connection, ssl.SSLSocket):
            # Argo CD's TLS port redirects whoever speaks plain HTTP (``newRedirectServer`` in server/server.go).
            return self._send(Answer(307, b"", {"Location": self.server.url + target}))
        fault = self.server.comes(request)
        if fault.does:
            fault.does()
        if fault.delay:
            time.sleep(fault.delay)
        if fault.cut == "before":
            return self._reset()
        answer = fault.answer or self.server.handle(request)
        request.status = answer.status
        if fault.cut == "after":
            return self._reset()
        answer = fault.hide or answer
        if fault.took:
            answer = replace(answer, headers={**answer.headers, "X-Took": str(fault.took)})
        return self._send(answer, fault.trickle, half=fault.cut == "middle")

    def _send(self, answer: Answer, trickle: float = 0.0, *, half: bool = False) -> None:
        length = {"Transfer-Encoding": "chunked"} if answer.stream else {"Content-Length": str(len(answer.body))}
        headers = {"Date": formatdate(self.server.clock(), usegmt=True), **length, **answer.headers}
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        content = head.encode("latin-1") + answer.body
        with contextlib.suppress(OSError):  # the client has lost patience
            for part in _parts(content[: len(head) + len(answer.body) // 2] if half else content, trickle):
                self.wfile.write(part)
            for piece in answer.stream or ():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if half:
                    break
            else:
                self.wfile.write(b"0\r\n\r\n" if answer.stream else b"")
        if half:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _parts(content: bytes, pause: float) -> Iterator[bytes]:
    if not pause:
        yield content
        return
    for i in range(len(content)):
        yield content[i : i + 1]
        time.sleep(pause)
