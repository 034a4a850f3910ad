"""Reaches a Service inside the cluster from a laptop, through the user's own ``kubectl port-forward``."""

import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

from gitops_runtime_auth.errors import UnreachableError, UsageError
from gitops_runtime_auth.log import printable
from gitops_runtime_auth.retry import Deadline

_LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
_END = 5.0
"""Seconds in which kubectl must end before it is killed."""


@dataclass(frozen=True)
class Service:
    """A Service and one of its ports."""

    namespace: str
    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} in namespace {self.namespace}"


def service_of(url: str, namespace: str, *, from_url: bool) -> Service | None:
    """Return the Service that ``url`` names, None if it is an address outside of the cluster.

    ``from_url`` means that the user gave a URL (``server.url``), which may be either: the host of a Service has one
    label, or ``svc`` as the third. Otherwise the chart made it from ``server.svc``. ``namespace`` is the release's.
    """
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    outside = (len(labels) > 1 and labels[2:3] != ["svc"]) or labels == ["localhost"] or ":" in labels[0]
    if from_url and outside:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Service(labels[1] if len(labels) > 1 else namespace, labels[0], port)


@dataclass
class PortForward:
    """A running ``kubectl port-forward``. As a ``with`` block it yields the port on 127.0.0.1."""

    service: Service
    flags: Sequence[str]
    """The flags that name the user's cluster (``--kubeconfig``, ``--context``)."""
    deadline: Deadline
    _process: "subprocess.Popen[str]" = field(init=False, repr=False)
    _reader: threading.Thread = field(init=False, repr=False)

    def __enter__(self) -> int:
        """Start kubectl and wait until it listens.

        Raises UsageError if there is no kubectl, UnreachableError if it does not listen before the deadline.
        """
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise UsageError(
                f"kubectl is not on PATH, and Argo CD's Service {self.service} can be reached only through it.",
                "Install kubectl, or run check with --server and a URL of Argo CD that this machine can reach.",
            )
        command = [kubectl, *self.flags, "--namespace", self.service.namespace, "port-forward"]
        command += ["--address", "127.0.0.1", f"service/{self.service.name}", f":{self.service.port}"]
        self._process = subprocess.Popen(  # noqa: S603 (the user's own program, no shell)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            return self._port()
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _port(self) -> int:
        first: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=_first_line, args=(self._process.stdout, first), daemon=True)
        self._reader.start()
        try:
            listens = _LISTENS.search(first.get(timeout=max(0.1, self.deadline.left())))
        except queue.Empty:
            raise self._refused("it did not start in time") from None
        if listens is None:
            raise self._refused(self._last_words())
        return int(listens[1])

    def _last_words(self) -> str:
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            return "it printed nothing"
        said = self._process.stderr.read() if self._process.stderr else ""
        return printable(said).strip().removeprefix("error: ") or f"it ended with exit code {self._process.returncode}"

    def _refused(self, why: str) -> UnreachableError:
        where = self.service.namespace
        return UnreachableError(
            f"kubectl port-forward to Service {self.service} does not work: {why}.",
            f"See whether you are allowed to (kubectl -n {where} auth can-i create pods/portforward) and whether its"
            f" Pods are ready (kubectl -n {where} get pods), or run check with --server.",
        )

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_END)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _first_line(pipe: IO[str], into: "queue.Queue[str]") -> None:
    into.put(pipe.readline())
