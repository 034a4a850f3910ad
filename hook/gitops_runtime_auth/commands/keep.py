"""``keep``, the keeper: the API key of this release works; if it does not, readiness, metrics and Events say why."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from gitops_runtime_auth import context, log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, RbacError, RetryableError
from gitops_runtime_auth.keys import given
from gitops_runtime_auth.kube import events, namespace
from gitops_runtime_auth.kube.watch import Watch
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health, metrics
from gitops_runtime_auth.service.connections import Connections
from gitops_runtime_auth.service.health import Health, Status, status_of
from gitops_runtime_auth.service.keeper import Keeper, Verdict
from gitops_runtime_auth.termination import after_present_check
from gitops_runtime_auth.timing import Timing

_END_NEARS = 1 / 6
"""Part of a user's token's life that is left when a Warning says that it ends."""

Fresh = Callable[[], Context]


def run(environ: Mapping[str, str], timing: Timing, port: int = health.PORT) -> int:
    """Keep the key until told to stop (SIGTERM), serving health and metrics. Raises UsageError, ConfigurationError."""
    base = context.from_environment(environ, timing)
    log.setup(base.settings.log_level, as_json=True)
    state = Health(timing.stalls_after)
    health.serve(state, port, timing=timing)
    metrics.KEY.info({"secret": base.settings.key.name, "key": base.settings.key.key})
    connections = Connections(timing)

    def fresh(seconds: float = timing.check) -> Context:
        return replace(
            base,
            deadline=Deadline(seconds),
            connect_argocd=connections.argocd,
            connect_cluster=connections.cluster,
        )

    if base.settings.auth.type == "token":
        loop = Loop(fresh, lambda: check_token(fresh()), state)
        with after_present_check(loop.stop, timing.finishes_check):
            loop.run()
        return 0
    keeper = Keeper(fresh)
    loop = Loop(fresh, keeper.check, state)
    names = base.settings.key_secret
    watched = connections.cluster(Deadline(timing.check), timing)
    Watch(watched, base.release.namespace, names.name, loop.wake.set, loop.stopped, timing).start()
    with after_present_check(loop.stop, timing.finishes_check):
        loop.run()
        leave(keeper, fresh)
    return 0


def check_token(run: Context) -> Verdict:
    """Check the user's own token (``type: token``): nothing can be issued anew. Raises every error of ``errors``."""
    try:
        token = given.check(run)
    except AuthError as e:
        if not isinstance(e, RetryableError):
            metrics.answered(valid=False)
        raise
    metrics.answered(valid=True)
    now, born, end = run.argocd.now(), token.issued_at, token.claims.expires_at
    metrics.KEY_AGE.set(max(0.0, now - (born or now)))
    metrics.expires(end)
    name = token.account.name
    if end and born and end - now < (end - born) * _END_NEARS:
        return Verdict(
            Status.READY,
            f"The API key of account {name} from {run.settings.auth.origin()} ends at"
            f" {datetime.fromtimestamp(end, UTC).isoformat()}.",
            "Whoever renews it has to do so now (auth.acceptExpiring).",
            warn=True,
        )
    return Verdict(Status.READY, f"Argo CD accepts the API key of account {name}.")


def leave(keeper: Keeper, fresh: Fresh) -> None:
    """Before this process ends: when the namespace is being deleted, revoke the keys, because nobody else will.

    The deletion of a namespace takes this pod's rights away at about the same time as the pod. When they stay away, the
    release is being deleted, too.
    """
    run = fresh()
    patience = run.deadline.at_most(run.timing.leaving)
    while True:
        try:
            if namespace.is_going(run.cluster, run.release.namespace):
                break
        except RbacError:
            if patience.left():
                time.sleep(min(run.timing.look, patience.left()))
                continue
            break
        except AuthError as e:
            log.debug(f"Whether the namespace is being deleted is not known: {e}")
        return
    log.info(keeper.leave(run).reason)


class Loop:
    """Checks, tells, waits."""

    def __init__(self, fresh: Fresh, check: Callable[[], Verdict], state: Health) -> None:
        self._fresh = fresh
        self._check = check
        self._state = state
        self.wake = threading.Event()
        self.stopped = threading.Event()

    def stop(self) -> None:
        """End the loop after the present check."""
        self.stopped.set()
        self.wake.set()

    def run(self) -> None:
        """Check every interval, and at once when woken or when the mounted credential changes."""
        timing = self._fresh().timing
        soon = timing.look
        while not self.stopped.is_set():
            before = self._credential()
            self._state.beat()
            verdict, interval = self.turn(), self._fresh().settings.interval
            soon = min(interval, soon * 1.5) if verdict.again_soon else timing.look
            pause = soon if verdict.again_soon else interval * random.uniform(0.9, 1.0)  # noqa: S311 (jitter)
            self._wait(pause if verdict.ready else max(pause, timing.after_error), before)

    def turn(self) -> Verdict:
        """Check once and tell what it came to: health, log, and an Event for a change of state."""
        was = self._state.status
        try:
            verdict = self._check()
        except AuthError as e:
            verdict = Verdict(status_of(e), e.problem, e.remedy)
            if not isinstance(e, RetryableError):
                metrics.KEY_VALID.set(0)
        if self._state.report(verdict.status, verdict.reason):
            if not verdict.ready or verdict.warn:
                self._emit("Warning", "AuthenticationFailed" if not verdict.ready else "ApiKeyExpires", verdict)
            elif was not in (Status.READY, Status.NOT_CHECKED):
                self._emit("Normal", "AuthenticationWorks", verdict)
        return verdict

    def _emit(self, kind: events.Kind, reason: str, verdict: Verdict) -> None:
        run = self._fresh()
        message = f"{verdict.reason} {verdict.remedy}".strip()
        events.emit(run.cluster, run.pod, run.release.namespace, kind, reason, message)

    def _wait(self, seconds: float, credential: tuple[int, int]) -> None:
        patience, look = Deadline(seconds), self._fresh().timing.look
        while patience.left() and not self.wake.wait(min(look, patience.left())):
            if self._credential() != credential:
                break
            self._state.beat()
        self.wake.clear()

    def _credential(self) -> tuple[int, int]:
        """What changes when the kubelet replaces the mounted file, without holding what is in it."""
        try:
            seen = (self._fresh().files / "credential" / "value").stat()
        except OSError:
            return (0, 0)
        return (seen.st_ino, seen.st_mtime_ns)
