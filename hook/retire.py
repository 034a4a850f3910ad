"""``retire``, the post-upgrade and post-rollback hook: end what the upgrade replaced, once nothing uses it."""

import time

from hook import handover, log, rollout, store
from hook.context import Context
from hook.errors import AuthError, ForeignSecretError
from hook.store import Stored

_LOOK = 1.0
_RESERVE = 25.0
"""Seconds of the run's deadline that are kept for revoking."""


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
    if not stored.previous and not (to_token and stored.resource_version):
        return "This upgrade replaced no API key."
    waiting = _await_rollout(context)
    if waiting:
        log.warning(
            f"{', '.join(waiting)} did not finish the rollout in time, so the replaced API keys stay alive:"
            f" {_ids(stored)}. The next helm upgrade revokes them."
        )
        return "The rollout has not finished; nothing was revoked."
    stored = _fetch(context)
    left = _end(context, stored) if to_token else handover.retire(context, stored, _moved(stored))
    for sentence in left:
        log.warning(sentence)
    return "Some replaced API keys are left (see above)." if left else "The replaced API keys are revoked."


def _moved(stored: Stored) -> list[store.Entry]:
    """The keys of another account or server; one of the same place is the keeper's, which restarts its users."""
    now = stored.current
    return [e for e in stored.previous if now is None or not handover.same_place(e, now)]


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
