"""The end of keys that were replaced: revoked once no pod uses them any more, where and as whom they were made."""

from collections.abc import Sequence
from dataclasses import replace

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import ConflictError
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.keys import revoke as revocation
from gitops_runtime_auth.kube.secret import Entry, Stored
from gitops_runtime_auth.retry import Deadline

_PATIENCE = 20.0
"""Seconds for one key: the Argo CD of an earlier configuration may be gone for good."""


def same_place(one: Entry, other: Entry) -> bool:
    """Tell whether two keys are of the same account of the same Argo CD."""
    return (one.account, one.url) == (other.account, other.url)


def retire(context: Context, stored: Stored, entries: Sequence[Entry]) -> list[str]:
    """Revoke ``entries`` of ``stored.previous`` and write the Secret without those that are gone.

    Returns a sentence for each that is left alive; those stay in the Secret for the next attempt.
    """
    current = stored.current.key_id() if stored.current else ""
    left: list[str] = []
    gone: set[str] = set()
    for entry in entries:
        sentence = revoke(context, entry, keep=current)
        if sentence:
            left.append(sentence)
        else:
            gone.add(entry.token)
    if gone and stored.current:
        rest = tuple(e for e in stored.previous if e.token not in gone)
        try:
            keys.write(context, replace(stored, previous=rest))
        except ConflictError:
            log.debug("The Secret changed meanwhile; the next check takes the revoked keys out of it.")
    return left


def revoke(context: Context, entry: Entry, keep: str = "") -> str | None:
    """Revoke ``entry`` and its leftovers within its share of the time; see ``revocation.revoke_all``.

    What somebody else wrote into the Secret is not this release's to revoke.
    """
    if not context.owner.owns(entry.key_id()):
        return None
    share = Deadline(min(_PATIENCE, context.deadline.left()))
    return revocation.revoke_all(replace(context, deadline=share), entry, keep)
