"""``keep``, the keeper: keeps the API key of this release working. If it fails, readiness and Events say why."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gitops_runtime_auth import context, log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConfigurationError, RbacError, RefusedError, WrongServerError
from gitops_runtime_auth.keys import user_token
from gitops_runtime_auth.kube import api, events, namespace
from gitops_runtime_auth.kube.api import Object
from gitops_runtime_auth.kube.watch import Watch
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health, metrics
from gitops_runtime_auth.service.health import Health, Status, Verdict, status_of
from gitops_runtime_auth.service.keeper import Keeper
from gitops_runtime_auth.service.metrics import MeasuredTransport
from gitops_runtime_auth.termination import after_present_check
from gitops_runtime_auth.timing import Timing

_END_NEARS = 1 / 6
"""Part of the lifetime of the user's token at whose beginning a Warning is sent."""


def run(environ: Mapping[str, str], timing: Timing, port: int = health.PORT) -> int:
    """Keep the key working until SIGTERM, and serve health and metrics. Raises UsageError, ConfigurationError."""
    with context.from_environment(environ, timing, MeasuredTransport) as base:
        log.setup(base.settings.log_level, as_json=True)
        metrics.KEY.info({"secret": base.settings.key.name, "key": base.settings.key.key})
        state = Health(timing.stalls_after)
        health.serve(state, port, timing)
        keeper = Keeper(base)
        loop = Loop(base, keeper, state)
        with after_present_check(loop.stop, timing.finishes_check):
            loop.run()
            if base.settings.auth.type == "password":
                leave(base, keeper, seen_going=loop.namespace_was_going)
    return 0


def check_token(run: Context) -> Verdict:
    """Check the user's own token (``type: token``), without issuing a key. Raises every error of ``errors``."""
    try:
        token = user_token.check(run)
    except AuthError as e:
        if isinstance(e, RefusedError):
            metrics.answered(valid=False)
        elif isinstance(e, ConfigurationError) and not isinstance(e, WrongServerError):
            metrics.KEY_VALID.set(0)  # the token is missing, or none that Argo CD could accept
        raise
    metrics.answered(valid=True)
    now, born, end = run.argocd.now(), token.issued_at, token.claims.expires_at
    metrics.KEY_AGE.set(max(0.0, now - (born or now)))
    metrics.expires(end)
    name = token.account.name
    if end and born and end - now < (end - born) * _END_NEARS:
        return Verdict(
            Status.READY,
            f"The API key of account {name} from {run.settings.auth.origin()} expires at"
            f" {datetime.fromtimestamp(end, UTC).isoformat()}.",
            "Renew it now (auth.acceptExpiring).",
            warn=True,
        )
    return Verdict(Status.READY, f"Argo CD accepts the API key of account {name}.")


def leave(base: Context, keeper: Keeper, *, seen_going: Callable[[], bool]) -> None:
    """Revoke the keys before this process ends if the namespace is being deleted, because nothing else does."""
    run = base.again(base.timing.check)
    if _namespace_goes(run, seen_going):
        log.info(keeper.leave(run).reason)


def _namespace_goes(run: Context, seen_going: Callable[[], bool]) -> bool:
    """Tell whether the namespace is being deleted. If that is unknown, return False, to revoke no key that is in use.

    Since Kubernetes 1.33 Pods are deleted first, so that this one still has its rights, unless ``helm uninstall`` takes
    them away at the same time. Before that, everything is deleted within a second. ``seen_going`` tells what the watch
    of the namespace has shown, which was open before the rights went. If only the rights are gone, an upgrade has
    changed the Role or the ServiceAccount, the Pod was deleted by force, or its node was lost for a while: then the
    next keeper needs the key.
    """
    patience = run.deadline.at_most(run.timing.leaving)
    while not seen_going():
        try:
            return namespace.is_going(run.cluster, run.release.namespace)
        except AuthError as e:
            if not isinstance(e, RbacError) or not patience.left():
                log.warning(f"It is unknown whether the namespace is being deleted, so no API key is revoked: {e}")
                return False
        time.sleep(min(run.timing.look, patience.left()))
    return True


class Loop:
    """Checks the key, reports the result, and waits until the next check."""

    def __init__(self, base: Context, keeper: Keeper, state: Health) -> None:
        self._base = base
        self._keeper = keeper
        self._state = state
        self.wake = threading.Event()
        self.stopped = threading.Event()
        self._namespace_is_going = False

    def stop(self) -> None:
        """End the loop after the present check."""
        self.stopped.set()
        self.wake.set()

    def run(self) -> None:
        """Check at each interval, and at once after ``wake`` or when the mounted credential changes."""
        timing, interval = self._base.timing, self._base.settings.interval
        soon = timing.look
        if self._base.settings.auth.type == "password":
            place, key_secret = self._base.release.namespace, self._base.settings.key_secret.name
            self._watch(api.watched_secret_path(place, key_secret), lambda _: self.wake.set())
            self._watch(api.watched_namespace_path(place), self._hear_of_namespace)
        while not self.stopped.is_set():
            before = self._credential()
            self._state.beat()
            verdict = self.turn()
            soon = min(interval, soon * 1.5) if verdict.again_soon else timing.look
            pause = soon if verdict.again_soon else interval * random.uniform(0.9, 1.0)  # noqa: S311 (jitter)
            self._wait(pause if verdict.ready else max(pause, timing.after_error), before)

    def _watch(self, path: str, heard: Callable[[Object | None], None]) -> None:
        timing = self._base.timing
        cluster = api.connect(Deadline(timing.check), timing)  # another one, because it is not thread-safe
        Watch(cluster, path, heard, self.stopped, timing).start()

    def _hear_of_namespace(self, event: Object | None) -> None:
        if event and namespace.tells_of_deletion(event):
            self._namespace_is_going = True

    def namespace_was_going(self) -> bool:
        """Tell whether the watch has shown that the namespace is being deleted."""
        return self._namespace_is_going

    def turn(self) -> Verdict:
        """Check once and report the result in health and log, and by an Event if the state changed."""
        was = self._state.status
        try:
            token = self._base.settings.auth.type == "token"
            verdict = check_token(self._base.again(self._base.timing.check)) if token else self._keeper.check()
        except AuthError as e:
            verdict = Verdict(status_of(e), e.problem, e.remedy)
        if self._state.report(verdict.status, verdict.reason):
            if not verdict.ready or verdict.warn:
                self._emit("Warning", "AuthenticationFailed" if not verdict.ready else "ApiKeyExpires", verdict)
            elif was not in (Status.READY, Status.NOT_CHECKED):
                self._emit("Normal", "AuthenticationWorks", verdict)
        return verdict

    def _emit(self, kind: events.Kind, reason: str, verdict: Verdict) -> None:
        self._base.again(self._base.timing.check).emit(kind, reason, f"{verdict.reason} {verdict.remedy}".strip())

    def _wait(self, seconds: float, credential: tuple[int, int]) -> None:
        patience, look = Deadline(seconds), self._base.timing.look
        while patience.left() and not self.wake.wait(min(look, patience.left())):
            if self._credential() != credential:
                break
            self._state.beat()
        self.wake.clear()

    def _credential(self) -> tuple[int, int]:
        """Return a value that changes when the kubelet replaces the mounted file, but not its content."""
        try:
            seen = (self._base.files / "credential" / "value").stat()
        except OSError:
            return (0, 0)
        return (seen.st_ino, seen.st_mtime_ns)
