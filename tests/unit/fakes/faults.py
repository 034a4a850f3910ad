"""Faults between the hook and its two servers, by name of the step: ``argocd POST /api/v1/session``, for one."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from gitops_runtime_auth.errors import TemporaryError, UnreachableError
from gitops_runtime_auth.kube.cluster import Cluster, Object


class Killed(BaseException):
    """The process was killed: nothing runs after it, and nothing it sends arrives."""


def step_name(side: str, method: str, path: str) -> str:
    """Return the name of a step, with what differs from run to run left out."""
    path = re.sub(r"gra\.[^/]+", "KEY", path.split("?")[0])
    path = re.sub(r"^(/api/v1|(/apis/[^/]+/[^/]+))/namespaces/[^/]+", r"\2", path) if side == "kubernetes" else path
    return f"{side} {method} {re.sub(r'(?<=/api/v1/account/)(?!can-i)[^/]+', 'NAME', path)}"


@dataclass
class Plan:
    """One fault: ``kind`` at the ``occurrence``-th time that ``step`` comes up."""

    step: str = ""
    kind: str = ""
    occurrence: int = 1
    seen: Counter[str] = field(default_factory=Counter)
    dead: bool = False
    hit: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def comes(self, step: str) -> str:
        """Return the fault that meets this request, or an empty string. Raises Killed after a kill."""
        with self._lock:
            if self.dead:
                raise Killed
            self.seen[step] += 1
            if (step, self.seen[step]) != (self.step, self.occurrence):
                return ""
            self.hit = True
            if self.kind == "kill-before":
                self.dead = True
                raise Killed
            return self.kind

    def kill(self) -> None:
        self.dead = True
        raise Killed


REPLACED: dict[str, Callable[[], httpx.Response]] = {
    "503": lambda: httpx.Response(503, text="no healthy upstream"),
    "429": lambda: httpx.Response(429, headers={"Retry-After": "0"}, text="slow down"),
    "500-unavailable": lambda: httpx.Response(500, json={"code": 14, "message": "transport is closing"}),
    "409-aborted": lambda: httpx.Response(409, json={"code": 10, "message": "the object has been modified"}),
    "html": lambda: httpx.Response(200, text="<html>Please sign in</html>"),
    "redirect": lambda: httpx.Response(302, headers={"Location": "https://sso.example/login?token=x"}),
    "null": lambda: httpx.Response(200, json=None),
    "list": lambda: httpx.Response(200, json=[1]),
}


class FaultyTransport(httpx.BaseTransport):
    """Argo CD's answers, with the plan's fault in between."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], plan: Plan) -> None:
        self._answer = answer
        self._plan = plan

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        kind = self._plan.comes(step_name("argocd", request.method, request.url.raw_path.decode()))
        if kind == "reset":
            raise httpx.ReadError("reset", request=request)
        if kind == "refused":
            raise httpx.ConnectError("refused", request=request)
        if kind in REPLACED:
            return REPLACED[kind]()
        request.read()
        answer = self._answer(request)
        if kind == "kill-after":
            self._plan.kill()
        if kind == "lost":
            raise httpx.RemoteProtocolError("peer closed connection", request=request)
        if kind == "truncated":
            return httpx.Response(answer.status_code, content=answer.content[: len(answer.content) // 2])
        return answer


@dataclass
class FaultyCluster:
    """A cluster with the plan's fault in between, after the retries of ``RealCluster`` as far as they can heal."""

    inner: Cluster
    plan: Plan

    def _do(self, method: str, path: str, call: Callable[[], Any]) -> Any:
        kind = self.plan.comes(step_name("kubernetes", method, path))
        if kind in ("reset", "refused"):
            raise UnreachableError("The Kubernetes API does not answer.", "Wait.", sent=True)
        if kind in REPLACED:
            raise TemporaryError("The Kubernetes API is busy.", "Wait.")
        result = call()
        if kind == "kill-after":
            self.plan.kill()
        if kind in ("lost", "truncated"):  # RealCluster sends it again, as ``until`` does
            return call()
        return result

    def get(self, path: str) -> Object | None:
        found: Object | None = self._do("GET", path, lambda: self.inner.get(path))
        return found

    def create(self, path: str, body: Object) -> Object:
        made: Object = self._do("POST", path, lambda: self.inner.create(path, body))
        return made

    def replace(self, path: str, body: Object) -> Object:
        made: Object = self._do("PUT", path, lambda: self.inner.replace(path, body))
        return made

    def patch(self, path: str, body: Object) -> Object:
        made: Object = self._do("PATCH", path, lambda: self.inner.patch(path, body))
        return made

    def delete(self, path: str, resource_version: str = "") -> None:
        self._do("DELETE", path, lambda: self.inner.delete(path, resource_version))

    def watch(self, path: str, seconds: float, resource_version: str = "") -> Iterator[Object]:
        return self.inner.watch(path, seconds, resource_version)
