"""``retire``, the hook after an upgrade or rollback: revoke what it replaced, once nothing uses it."""

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
"""Seconds of the run's deadline that are kept for revoking."""
_LATELY = 3600.0
"""Seconds since a key was issued in which this upgrade's hook may have issued it."""


def run(environ: Mapping[str, str], timing: Timing) -> int:
    """Run the hook in a pod of the chart."""
    with context.from_environment(environ, timing) as this:
        log.info(retire(this))
    return 0


def retire(run: Context) -> str:
    """Revoke what is no longer used and return one sentence. Failures are left for later, with a warning.

    With ``type: token`` nothing remains of a password: no key and no Secret of the hook's own.
    """
    try:
        if run.settings.auth.type == "token":
            return _end_password(run)
        return _revoke_replaced(run)
    except ForeignSecretError:
        return f'Secret "{run.settings.key_secret.name}" is not this release\'s; nothing was changed.'
    except AuthError as e:
        log.warning(f"{e.problem} What this upgrade replaced is left as it is. {e.remedy}")
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
    """Revoke the keys that the upgrade replaced, once their time is over; the keeper revokes the others later."""
    stored = run.key_secret.read()
    restarted = _restart_if_issued_lately(run, stored)
    if not stored.previous:
        if run.settings.key_secret.former_names and not _await_rollout(run):
            run.key_secret.delete_former()
        return f"This upgrade replaced no API key{' that still lives' if restarted else ''}."
    waiting = _await_rollout(run)
    stored = run.key_secret.read()
    if waiting:
        return _told(waiting, stored)
    run.key_secret.delete_former()
    left_seconds = stored.since + run.settings.grace_period - _now(run)
    if left_seconds > 0:
        return f"The keeper revokes the replaced API keys in {left_seconds:.0f} s (keeper.gracePeriod)."
    return _summary(revoke.revoke_replaced(run, stored, stored.previous))


def _restart_if_issued_lately(run: Context, stored: StoredKeys) -> list[Workload]:
    """Restart what this upgrade left as it was although the key is a new one: there may be no keeper that does it."""
    lately = stored.current and time.time() - stored.since < _LATELY
    if not lately or not run.settings.restart_consumers or stored.current is None:
        return []
    consumers = rollout.workloads(run.settings.consumers)
    return rollout.restart(run.cluster, run.release.namespace, consumers, stored.current.key_id, stored.since)


def _now(run: Context) -> float:
    """Return the Unix time by Argo CD's clock, by which ``since`` was written. Raises AuthError without an answer."""
    argocd = run.again(min(run.timing.revocation, run.deadline.left())).argocd
    argocd.version()
    return argocd.now()


def _await_rollout(run: Context) -> list[Workload]:
    """Wait until all pods of the release take what the upgrade brought; return the workloads that did not in time."""
    workloads = rollout.workloads((*run.settings.consumers, *run.settings.wait_for))
    while waiting := rollout.unfinished(run.cluster, run.release.namespace, workloads):
        if run.deadline.left() <= _RESERVE:
            break
        time.sleep(run.timing.look)
    return waiting


def _told(waiting: list[Workload], stored: StoredKeys) -> str:
    ids = ", ".join(key.key_id for key in stored.previous) or "the one of the former type"
    log.warning(
        f"{', '.join(str(w) for w in waiting)} did not finish the rollout in time, so the replaced API keys stay alive:"
        f" {ids}. The keeper or the next helm upgrade revokes them."
    )
    return "The rollout has not finished; nothing was revoked."


def _summary(left: list[str]) -> str:
    for sentence in left:
        log.warning(sentence)
    return "Some replaced API keys are left (see above)." if left else "The replaced API keys are revoked."
