"""Restarts the consumers for a new key, and revokes the replaced keys when nothing uses them any more.

The functions return what the keeper must remember until its next check.
"""

from dataclasses import replace

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.keys import revoke, working
from gitops_runtime_auth.keys.working import WorkingKey
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.service.decision import Memory


def restart_consumers(run: Context, found: WorkingKey, stored: StoredKeys, memory: Memory) -> Memory:
    """Restart the consumers that are older than the key, because the run that issued it may not have done so."""
    key_id = found.key.key_id
    if not run.settings.restart_consumers or key_id == memory.restarted_for:
        return memory
    since = None if found.created else stored.since
    rollout.restart(run.cluster, run.release.namespace, rollout.workloads(run.settings.consumers), key_id, since)
    return replace(memory, restarted_for=key_id)


def revoke_replaced(run: Context, stored: StoredKeys, now: float, memory: Memory) -> tuple[bool, Memory]:
    """Revoke replaced keys if every consumer runs with the new one and the grace period is over.

    Keys of another server, which an upgrade replaced, are left to the hook after the upgrade until it must have
    ended. The first result tells whether the next check should come soon.
    """
    moved = [k for k in stored.previous if not working.is_of_settings(run, k)]
    own = [k for k in stored.previous if k not in moved]
    due = now >= stored.since + max(run.settings.grace_period, run.settings.another_run)
    if not due or now < memory.revoke_moved_not_before:
        moved = []
    if not own and not moved:
        return False, memory
    if now < stored.since + run.settings.grace_period:
        return True, memory
    if rollout.unfinished(run.cluster, run.release.namespace, rollout.workloads(run.settings.consumers)):
        return True, memory
    for sentence in revoke.revoke_replaced(run, stored, [*own, *moved]):
        log.warning(sentence)
        memory = replace(memory, revoke_moved_not_before=now + run.timing.moved_again)
    return False, memory
