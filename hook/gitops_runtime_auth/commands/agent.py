"""``agent``, the connection check: ready only while Argo CD accepts the key that the chart injected."""

import random
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import AuthError, KeyRefusedError, UsageError
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.connections import Connections

INTERVAL = 10.0
"""Seconds between two checks."""
_PATIENCE = 5.0
"""Seconds that one check may take, retries included, before Argo CD counts as unreachable."""
_LOOK = 1.0
"""Seconds between two looks at the mounted file."""


@dataclass(frozen=True)
class Injected:
    """The connection as DESIGN section 2 injects it."""

    url: str
    token: str
    file: Path | None

    def keys(self) -> tuple[str, ...]:
        """Return the keys to try: the mounted file's, which follows a new one, then the environment's.

        They differ while an upgrade that moves to another server is under way or has failed: the file already
        holds the new server's key, the environment still belongs to this pod's own.
        """
        mounted = ""
        if self.file:
            try:
                mounted = self.file.read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                mounted = ""  # the Secret is gone: what was injected at the start may still work
        return tuple(dict.fromkeys(filter(None, (mounted, self.token)))) or ("",)


def injected(environ: Mapping[str, str]) -> Injected:
    """Read the environment. Raises UsageError when it is not that of a Runtime Deployment."""
    url = environ.get("ARGO_CD_URL", "")
    file = environ.get("ARGO_CD_TOKEN_FILE", "")
    token = environ.get("ARGO_CD_TOKEN", "").strip()
    if not url or not (file or token):
        raise UsageError(
            "The environment lacks ARGO_CD_URL, or both ARGO_CD_TOKEN and ARGO_CD_TOKEN_FILE.",
            "Run this in a Deployment of the chart, which sets them.",
        )
    return Injected(url, token, Path(file) if file else None)


def check(argocd: ArgoCD, keys: tuple[str, ...]) -> tuple[bool, str]:
    """Ask Argo CD whether it accepts one of ``keys``; return the verdict and why (the first key's, if none is)."""
    verdicts = []
    for key in keys:
        verdicts.append(_check(argocd, key))
        if verdicts[-1][0]:
            return verdicts[-1]
    return verdicts[0]


def _check(argocd: ArgoCD, key: str) -> tuple[bool, str]:
    claims = tokens.read(key)
    if claims is None:
        return False, "refused: the injected key is not an Argo CD token"
    try:
        argocd.account(claims.account, key)
    except KeyRefusedError as e:
        metrics.answered(valid=False)
        return False, f"refused: Argo CD does not accept the key of account {claims.account}: {e.reason}"
    except AuthError as e:
        return False, f"unreachable: {e.problem}"
    metrics.answered(valid=True)
    return True, f"Argo CD accepts the key of account {claims.account}"


def run(environ: Mapping[str, str], ca_file: Path, insecure: bool, port: int = probes.PORT) -> int:
    """Check until told to stop (SIGTERM), serving probes. Raises UsageError, ConfigurationError."""
    given = injected(environ)
    health = probes.Health(stalls_after=60.0)
    stopped = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopped.set())
    probes.serve(health, port)
    kept, server = Connections(), Server(given.url.rstrip("/"), insecure)
    if environ.get("ARGO_CD_TOKEN_SECRET_NAME"):
        metrics.KEY.info({"secret": environ["ARGO_CD_TOKEN_SECRET_NAME"], "key": environ["ARGO_CD_TOKEN_SECRET_KEY"]})
    while not stopped.is_set():
        keys = given.keys()
        # The CA is read anew each time: its mount follows a renewed certificate.
        health.report(*check(kept.argocd(server, tls.read_ca(ca_file), Deadline(_PATIENCE)), keys))
        waited, pause = 0.0, INTERVAL * random.uniform(0.9, 1.1)  # noqa: S311
        while waited < pause and given.keys() == keys and not stopped.wait(_LOOK):
            health.beat()
            waited += _LOOK
    return 0
