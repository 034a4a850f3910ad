"""``keep``, the key keeper: the API key of this release works, or everybody who looks is told why not."""

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping

from gitops_runtime_auth import context, log
from gitops_runtime_auth.commands import ensure
from gitops_runtime_auth.config.settings import SecretRef
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, KeyRefusedError
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube import events
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.watch import Watch
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import connections, metrics
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service.keeper import CHECK_SECONDS, Keeper, Verdict
from gitops_runtime_auth.service.lockout import Refusals

STALLS_AFTER = 300.0
"""Seconds without a turn of the main loop after which /healthz fails; a login alone can take 40."""
_LOOK = 1.0
"""Seconds between two looks at the mounted credential, and between two checks while something is under way."""
_AFTER_ERROR = 5.0

Fresh = Callable[[float], Context]


def check_token(fresh: Fresh) -> Verdict:
    """Check the user's own token (``type: token``): nothing can be regenerated. Raises every error of ``errors``."""
    run = fresh(CHECK_SECONDS)
    token = run.credential()
    claims = ensure.read_api_key(token, run.settings.auth.origin())
    try:
        account = run.argocd.account(claims.account, token)
        privileges.require(account, run.settings, run.argocd_namespace)
    except KeyRefusedError as e:
        metrics.answered(valid=False)
        raise ensure.refused_token(run, claims, e) from None
    metrics.answered(valid=True)
    metrics.KEY_AGE.set(max(0.0, time.time() - account.issued_at(claims.key_id)))
    return Verdict(True, f"Argo CD accepts the API key of account {account.name}.")


class Loop:
    """Checks, tells, waits."""

    def __init__(self, fresh: Fresh, check: Callable[[], Verdict], health: probes.Health) -> None:
        self._fresh = fresh
        self._check = check
        self._health = health
        self.wake = threading.Event()
        self.stopped = threading.Event()

    def stop(self, *_: object) -> None:
        """End the loop after the present check."""
        self.stopped.set()
        self.wake.set()

    def run(self) -> None:
        """Check every interval, and at once when woken or when the mounted credential changes."""
        soon = _LOOK
        while not self.stopped.is_set():
            before = self._credential()
            self._health.beat()
            verdict, interval = self.turn(), self._fresh(1).settings.interval
            soon = min(interval, soon * 1.5) if verdict.again_soon else _LOOK
            pause = soon if verdict.again_soon else interval * random.uniform(0.9, 1.0)  # noqa: S311 (jitter)
            self._wait(pause if verdict.ready else max(pause, _AFTER_ERROR), before)

    def turn(self) -> Verdict:
        """Check once and tell what it came to: probes, log, and an Event for a change of state."""
        was_ready, was_reason = self._health.ready, self._health.reason
        try:
            verdict = self._check()
        except AuthError as e:
            verdict = Verdict(False, e.problem, e.remedy)
            if e.exit_code not in (69, 75):
                metrics.KEY_VALID.set(0)
        if self._health.report(verdict.ready, verdict.reason):
            run = self._fresh(10)
            if not verdict.ready:
                events.emit(run, "Warning", "AuthenticationFailed", f"{verdict.reason} {verdict.remedy}")
            elif not was_ready and was_reason != probes.NOT_CHECKED:
                events.emit(run, "Normal", "AuthenticationWorks", verdict.reason)
        return verdict

    def _wait(self, seconds: float, credential: tuple[int, int]) -> None:
        until = Deadline(seconds)
        while until.left() and not self.wake.wait(min(_LOOK, until.left())):
            if self._credential() != credential:
                break
            self._health.beat()
        self.wake.clear()

    def _credential(self) -> tuple[int, int]:
        """What changes when the kubelet replaces the mounted file, without holding what is in it."""
        try:
            seen = (self._fresh(1).files / "credential" / "value").stat()
        except OSError:
            return (0, 0)
        return (seen.st_ino, seen.st_mtime_ns)


def run(environ: Mapping[str, str], port: int = probes.PORT) -> int:
    """Keep the key until told to stop (SIGTERM), serving probes. Raises UsageError, ConfigurationError."""
    base = context.from_environment(environ)
    log.setup(base.settings.log_level, as_json=True)
    health = probes.Health(STALLS_AFTER)
    probes.serve(health, port)
    kept = connections.Connections()

    def fresh(seconds: float) -> Context:
        return kept.serve(base, seconds)

    password = base.settings.auth.type == "password"
    place = (None if password else base.settings.auth.ref) or SecretRef(store.NAME, store.KEY)
    metrics.KEY.info({"secret": place.name, "key": place.key})
    if password:
        loop = Loop(fresh, Keeper(fresh, Refusals(base.settings)).check, health)
        watched = kept.cluster(Deadline(CHECK_SECONDS))
        Watch(watched, base.owner.namespace, loop.wake.set, loop.stopped).start()
    else:
        loop = Loop(fresh, lambda: check_token(fresh), health)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, loop.stop)
    loop.run()
    return 0
