"""What passes between a run and the two servers, the fault that meets one request of it, and the names of requests."""

import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

REPLACED: dict[str, tuple[int, dict[str, str], bytes]] = {
    "408": (408, {}, b"timeout"),
    "429": (429, {"Retry-After": "1"}, b"slow down"),
    "500": (500, {"Content-Type": "application/json"}, b'{"code":2,"message":"something unknown"}'),
    "500-unavailable": (500, {"Content-Type": "application/json"}, b'{"code":14,"message":"transport is closing"}'),
    "502": (502, {}, b"bad gateway"),
    "503": (503, {}, b"no healthy upstream"),
    "504": (504, {}, b"gateway timeout"),
    "html": (200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>"),
    "redirect": (302, {"Location": "https://sso.example.invalid/login"}, b""),
    "gateway-401": (401, {"Content-Type": "application/json"}, b'{"error":"who are you?"}'),
    "garbage": (200, {"Content-Type": "application/json"}, b"\xff\xfe{"),
    "list": (200, {"Content-Type": "application/json"}, b"[1]"),
}
"""Faults that answer in the server's place: status, headers, body."""

KILLS = ("kill-before", "kill-after")
BREAKS = ("reset", "lost", "truncated", "delay")
HANG = "hang"
"""The request is taken and never answered: the client's own timeout ends it."""
KINDS = (*KILLS, *BREAKS, *REPLACED, HANG)
HANDSHAKES = ("handshake", "handshake-reset")
"""Faults of a connection: closed (FIN, RST) when the client has begun to speak TLS."""
CONNECT = "CONNECT"
LOST = math.inf
"""Among the seconds by which answers to logins are late: this answer never comes, its connection is reset."""

Fault = tuple[str, int, str]
"""The step, the how many-th time it comes up, and the kind of fault that meets it then."""
NO_FAULT: Fault = ("", 0, "")


def is_connection(step: str) -> bool:
    """Tell whether a step is a connection that is opened, not a request."""
    return step.endswith(f" {CONNECT}")


def step_name(side: str, method: str, path: str) -> str:
    """Return the name of a request, with what differs from run to run left out."""
    path = re.sub(r"gra\.[^/]+", "KEY", path.split("?")[0])
    if side == "kubernetes":
        path = re.sub(r"^/api/v1/namespaces/[^/]+$", "/namespace", path)
        path = re.sub(r"^(/api/v1|(/apis/[^/]+/[^/]+))/namespaces/[^/]+", r"\2", path)
    else:
        path = re.sub(r"(?<=/api/v1/account/)(?!can-i)[^/]+", "NAME", path)
    return f"{side} {method} {path}"


@dataclass(frozen=True)
class Login:
    """A login that reached Argo CD: when (``time.monotonic()``), what it answered, and after how many seconds."""

    at: float
    status: int
    seconds: float


class Traffic:
    """What passed in one run, whichever of the two ways. ``kill`` ends the run's process."""

    def __init__(
        self,
        fault: Fault = NO_FAULT,
        late: Iterator[float] | None = None,
        others_late: Iterator[float] | None = None,
    ) -> None:
        """``late`` and ``others_late``: seconds by which Argo CD's answers to logins, and its others, come late."""
        self.fault = fault
        self.kill: Callable[[], None] = lambda: None
        self.seen: list[str] = []
        """Every request and every connection, by its name, in the order in which they came."""
        self.logins: list[Login] = []
        self.sessions: list[str] = []
        self.keys: list[str] = []
        self.hit = False
        """The fault was met."""
        self._late = late
        self._others_late = others_late
        self._lock = threading.Lock()

    def comes(self, step: str) -> str:
        """Note a request, or a connection, and return the kind of fault that meets it, empty if none does."""
        with self._lock:
            self.seen.append(step)
            if (step, self.seen.count(step)) != self.fault[:2]:
                return ""
            self.hit = True
            return self.fault[2]

    def logged_in(self, began: float, status: int) -> float:
        """Note a login that Argo CD has answered, and return by how many seconds its answer is to be late."""
        with self._lock:
            self.logins.append(Login(began, status, time.monotonic() - began))
            return next(self._late, 0.0) if self._late else 0.0

    def answered(self) -> float:
        """Return by how many seconds the answer to a request other than a login is to be late."""
        with self._lock:
            return next(self._others_late, 0.0) if self._others_late else 0.0

    def remember(self, path: str, content: bytes) -> None:
        """Remember the token in an answer of Argo CD to a POST: a session or an API key."""
        try:
            token = json.loads(content).get("token")
        except (ValueError, AttributeError):
            return
        if token:
            (self.sessions if path.endswith("/session") else self.keys).append(token)
