"""``retire``, the post-upgrade and post-rollback hook: end what the upgrade replaced, once nothing uses it."""

import time

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ForeignSecretError
from gitops_runtime_auth.keys import handover
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.secret import Stored

_LOOK = 1.0
_RESERVE = 25.0
"""Seconds of the run's deadline that are kept for revoking."""
_LATELY = 3600.0
"""Seconds since a key was made in which this upgrade's hook may have made it."""


def retire(context: Context) -> str:
    """Revoke what is no longer used and return one sentence. Failures are left for later, with a warning.

    With ``type: token`` nothing of a password remains: no key and no Secret of the hook's own.
    """
    try:
        return _retire(context)
    except ForeignSecretError:
        return f'Secret "{store.NAME}" is not this release\'s; nothing was changed.'
    except AuthError as e:
        log.warning(f"{e.problem} What this upgrade replaced is left as it is. {e.remedy}")
        return "Nothing was revoked; the next upgrade tries again."


def _retire(context: Context) -> str:
    stored = _fetch(context)
    to_token = context.settings.auth.type == "token"
    ends = bool(stored.resource_version if to_token else stored.previous)
    made_lately = bool(not to_token and stored.current and time.time() - stored.since < _LATELY)
    if not ends:
        restarted = _restart(context, stored) if made_lately else []
        return f"This upgrade replaced no API key{' that still lives' if restarted else ''}."
    waiting = _await_rollout(context)
    if made_lately and not waiting and _restart(context, stored):
        waiting = _await_rollout(context)
    if waiting:
        log.warning(
            f"{', '.join(waiting)} did not finish the rollout in time, so the replaced API keys stay alive:"
            f" {_ids(stored)}. The next helm upgrade revokes them."
        )
        return "The rollout has not finished; nothing was revoked."
    stored = _fetch(context)
    left = _end(context, stored) if to_token else handover.retire(context, stored, _unused(context, stored))
    for sentence in left:
        log.warning(sentence)
    return "Some replaced API keys are left (see above)." if left else "The replaced API keys are revoked."


def _restart(context: Context, stored: Stored) -> list[str]:
    """Restart what this upgrade left as it was although the key is a new one: there may be no keeper to do it."""
    if not context.settings.restart_consumers or stored.current is None:
        return []
    return rollout.restart(context, stored.current.key_id(), stored.since)


def _unused(context: Context, stored: Stored) -> list[store.Entry]:
    """The replaced keys; without restarts only those of another account or server, whose users Helm rolled out."""
    now, all_rolled_out = stored.current, context.settings.restart_consumers
    return [e for e in stored.previous if all_rolled_out or now is None or not handover.same_place(e, now)]


def _end(context: Context, stored: Stored) -> list[str]:
    """Revoke everything and delete the Secret, unless a key that it holds could not be revoked."""
    entries = [*stored.previous, *([stored.current] if stored.current else [])]
    left = [sentence for e in entries if (sentence := handover.revoke(context, e))]
    if not left:
        store.remove(context.cluster, context.owner.namespace, context.owner.release)
    return left


def _await_rollout(context: Context) -> list[str]:
    while (waiting := rollout.unfinished(context)) and context.deadline.left() > _RESERVE:
        time.sleep(_LOOK)
    return waiting


def _fetch(context: Context) -> Stored:
    return store.fetch(context.cluster, context.owner.namespace, context.owner.release)


def _ids(stored: Stored) -> str:
    return ", ".join(e.key_id() for e in stored.previous) or "the one of the former type"
