"""``retire``, the hook after an upgrade or rollback: revokes the replaced keys when nothing uses them any more."""

import math
import time
from collections.abc import Mapping

from gitops_runtime_auth import context, log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ForeignSecretError
from gitops_runtime_auth.keys import revoke
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube.rollout import Workload
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.timing import Timing

_RESERVE = 25.0
"""Seconds of the run's deadline that are reserved for revoking."""
_RECENTLY = 3600.0
"""Age in seconds of a key that this upgrade's hook may have issued."""


def run(environ: Mapping[str, str], timing: Timing) -> int:
    """Run the hook in a Pod of the chart. Always return 0, because the upgrade is done and its key works."""
    try:
        with context.from_environment(environ, timing) as this:
            log.info(retire(this))
    except Exception as e:
        # The text of an unexpected error may contain a credential.
        log.warning(f"The clean-up after the upgrade ended early ({type(e).__name__}). {revoke.BY_HAND}")
    return 0


def retire(run: Context) -> str:
    """Revoke the keys that are no longer used, and return one sentence. A failure is a warning, and tried again later.

    With ``type: token`` every key that the hook made is revoked, and its Secret is deleted.
    """
    try:
        if run.settings.auth.type == "token":
            return _end_password(run)
        return _revoke_replaced(run)
    except ForeignSecretError:
        return f'Secret "{run.settings.key_secret.name}" is not this release\'s; nothing was changed.'
    except AuthError as e:
        log.warning(f"{e.problem} The replaced API keys stay valid. {e.remedy}")
        return "Nothing was revoked; the next upgrade tries again."


def _end_password(run: Context) -> str:
    """Revoke every key of the former ``type: password`` and delete the Secret, unless one could not be revoked."""
    secret = run.key_secret
    if not secret.read().resource_version:
        return "This upgrade replaced no API key."
    waiting = _await_rollout(run)
    stored = secret.read()
    if waiting:
        return _told(waiting, stored)
    if run.settings.auth.credential.name == run.settings.key_secret.name:
        return f'The settings name Secret "{run.settings.key_secret.name}", so it stays.'
    left = [sentence for key in stored.all if (sentence := revoke.revoke_all(run, key))]
    if not left:
        secret.delete()
    return _summary(left)


def _revoke_replaced(run: Context) -> str:
    """Revoke the keys that the upgrade replaced, if the grace period is over; otherwise the keeper does so later."""
    stored = run.key_secret.read()
    restarted = _restart_if_issued_recently(run, stored)
    if not stored.previous:
        if run.settings.key_secret.former_names and not _await_rollout(run):
            run.key_secret.delete_former()
        return f"This upgrade replaced no API key{' that is still valid' if restarted else ''}."
    waiting = _await_rollout(run)
    stored = run.key_secret.read()
    if waiting:
        return _told(waiting, stored)
    run.key_secret.delete_former()
    left_seconds = stored.since + run.settings.grace_period - _now(run)
    if left_seconds > 0:
        return f"The keeper revokes the replaced API keys in {math.ceil(left_seconds)} s (keeper.gracePeriod)."
    return _summary(revoke.revoke_replaced(run, stored, stored.previous))


def _restart_if_issued_recently(run: Context, stored: StoredKeys) -> list[Workload]:
    """Restart consumers that this upgrade did not restart although the key is new, because no keeper may be running."""
    recently = stored.current and time.time() - stored.since < _RECENTLY
    if not recently or not run.settings.restart_consumers or stored.current is None:
        return []
    consumers = rollout.workloads(run.settings.consumers)
    return rollout.restart(run.cluster, run.release.namespace, consumers, stored.current.key_id, stored.since)


def _now(run: Context) -> float:
    """Return the Unix time by Argo CD's clock, as in ``since``. Raises AuthError if there is no answer."""
    argocd = run.again(min(run.timing.revocation, run.deadline.left())).argocd
    argocd.version()
    return argocd.now()


def _await_rollout(run: Context) -> list[Workload]:
    """Wait until all Pods of the release have the new key; return the workloads that are not ready in time."""
    workloads = rollout.workloads((*run.settings.consumers, *run.settings.wait_for))
    while waiting := rollout.unfinished(run.cluster, run.release.namespace, workloads):
        if run.deadline.left() <= _RESERVE:
            break
        time.sleep(run.timing.look)
    return waiting


def _told(waiting: list[Workload], stored: StoredKeys) -> str:
    ids = ", ".join(key.key_id for key in stored.previous) or "the one of the former type"
    log.warning(
        f"{', '.join(str(w) for w in waiting)} did not finish the rollout in time, so the replaced API keys stay valid:"
        f" {ids}. The keeper or the next helm upgrade revokes them."
    )
    return "The rollout has not finished; nothing was revoked."


def _summary(left: list[str]) -> str:
    for sentence in left:
        log.warning(sentence)
    return "Some replaced API keys are left (see above)." if left else "The replaced API keys are revoked."
