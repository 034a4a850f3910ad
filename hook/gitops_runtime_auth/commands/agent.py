"""``agent``, the connection agent: it is ready only if Argo CD accepts the API key that the chart injected."""

import random
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gitops_runtime_auth import log, termination
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.connections import Connections
from gitops_runtime_auth.errors import AuthError, KeyRefusedError, UsageError
from gitops_runtime_auth.mounted import Mounted, text
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.health import Health, Status
from gitops_runtime_auth.service.metrics import MeasuredTransport
from gitops_runtime_auth.timing import Timing


@dataclass(frozen=True)
class Injected:
    """What the chart injects into a Deployment that uses the API key: Argo CD's URL, and the key in two ways."""

    url: str
    token: str
    file: Path | None

    def __repr__(self) -> str:
        return f"Injected(url={self.url!r}, file={self.file!r})"

    def keys(self) -> tuple[str, ...]:
        """Return the keys to try: that of the mounted file, which is updated, then that of the environment.

        They differ during an upgrade to another server, or after it has failed: the file has the new server's key
        already, but the environment still belongs to this Pod's own server.
        """
        # If the Secret was deleted, the key from the environment may still work.
        mounted = ((text(self.file) if self.file else None) or "").strip()
        return tuple(dict.fromkeys(key for key in (mounted, self.token) if key)) or ("",)


def injected(environ: Mapping[str, str], url: str = "") -> Injected:
    """Read the environment. Raises UsageError if it is not that of a Deployment of the chart.

    ``url`` replaces ARGO_CD_URL, which has no scheme if the vendor's program does not accept one.
    """
    url = url or environ.get("ARGO_CD_URL", "")
    file = environ.get("ARGO_CD_TOKEN_FILE", "")
    token = environ.get("ARGO_CD_TOKEN", "").strip()
    if not url or not (file or token):
        raise UsageError(
            "The environment lacks ARGO_CD_URL, or both ARGO_CD_TOKEN and ARGO_CD_TOKEN_FILE.",
            "Let a Deployment of the chart run this command: the chart sets them.",
        )
    return Injected(url, token, Path(file) if file else None)


def check(argocd: ArgoCD, keys: tuple[str, ...]) -> tuple[Status, str]:
    """Ask Argo CD whether it accepts one of ``keys``; return the status, and a sentence that says why.

    If it accepts none, that is the status of the first key.
    """
    verdicts = []
    for key in keys:
        verdicts.append(_check(argocd, key))
        if verdicts[-1][0] is Status.READY:
            return verdicts[-1]
    return verdicts[0]


def _check(argocd: ArgoCD, key: str) -> tuple[Status, str]:
    claims = tokens.read(key)
    if claims is None:
        return Status.REFUSED, "The injected key is not an Argo CD token."
    try:
        argocd.account(claims.account, key)
    except KeyRefusedError as e:
        metrics.answered(valid=False)
        return Status.REFUSED, f"Argo CD refuses the key of account {claims.account}: {e.refusal.value}."
    except AuthError as e:
        return probes.status_of(e), e.problem
    metrics.answered(valid=True)
    metrics.expires(claims.expires_at)
    return Status.READY, f"Argo CD accepts the key of account {claims.account}."


class Agent:
    """Checks the injected key at each interval, with the present CA, headers and client certificate."""

    def __init__(self, given: Injected, mounted: Mounted, timing: Timing) -> None:
        self._given = given
        self._mounted = mounted
        self._timing = timing
        self._connections = Connections(timing, MeasuredTransport)

    def check(self) -> tuple[Status, str]:
        """Check once; return the status, and a sentence that says why."""
        endpoint, deadline = self._mounted.endpoint(self._given.url), Deadline(self._timing.agent_patience)
        return check(self._connections.argocd(endpoint, deadline), self._given.keys())

    def close(self) -> None:
        """Close the connections to Argo CD."""
        self._connections.close()

    def run(self, health: Health, stopped: threading.Event) -> None:
        """Check and report until ``stopped``, at each interval, and at once when the mounted key changes."""
        while not stopped.is_set():
            keys = self._given.keys()
            health.report(*self.check())
            pause = Deadline(self._timing.agent_interval * random.uniform(0.9, 1.1))  # noqa: S311 (jitter)
            health.beat()
            while (
                self._given.keys() == keys and pause.left() and not stopped.wait(min(self._timing.look, pause.left()))
            ):
                health.beat()


def run(environ: Mapping[str, str], mounted: Mounted, port: int, timing: Timing, url: str) -> int:
    """Check the key until SIGTERM, and serve /healthz, /readyz and /metrics at ``port``. Raises UsageError."""
    agent = Agent(injected(environ, url), mounted, timing)
    log.setup(as_json=True)
    if name := environ.get("ARGO_CD_TOKEN_SECRET_NAME"):
        metrics.KEY.info({"secret": name, "key": environ.get("ARGO_CD_TOKEN_SECRET_KEY", "")})
    health, stopped = Health(timing.stalls_after), threading.Event()
    server = probes.serve(health, port, timing)
    bound = timing.agent_patience + timing.terminates
    with closing(agent), server, termination.after_present_check(stopped.set, bound):
        agent.run(health, stopped)
        server.shutdown()
    return 0
