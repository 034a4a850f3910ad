"""The end of API keys: what a crash left, what was replaced, what a release leaves behind.

Only keys whose id names this release of this cluster are revoked.
"""

import time
from collections.abc import Iterable

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.argocd.refusal import UNKNOWN_REASON
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, KeyRefusedError
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube.secret import Entry, Stored


def revoke_leftovers(context: Context, stored: Stored, account: Account) -> None:
    """Revoke keys of this release that a crash left, as seen by the good key in ``stored``.

    Younger keys than the good one are left alone for as long as a run may take: a keeper or another upgrade may
    be about to store one.
    """
    assert stored.current is not None  # noqa: S101 (callers hold a good key)
    born = account.issued_at(stored.current.key_id())
    in_the_making = time.time() - context.settings.timeout - 60
    older = {k.id for k in account.keys if k.issued_at < max(born, in_the_making)}
    revoke(context, ours(context, account, keep=stored, but=stored.current) & older, stored.current)


def ours(context: Context, account: Account, keep: Stored, but: Entry) -> set[str]:
    """Return the ids of this release's keys in ``account``, without those that ``keep`` remembers and ``but``."""
    kept = {e.key_id() for e in (*keep.previous, but)}
    return {k.id for k in account.keys if context.owner.owns(k.id)} - kept


def revoke(context: Context, key_ids: Iterable[str], by: Entry) -> None:
    """Revoke keys of the account by the authority of the good key ``by``."""
    for key_id in sorted(key_ids):
        context.argocd.delete_key(by.account, key_id, by.token)
        log.info(f"Revoked the API key {key_id}, which nothing uses any more.")


def revoke_all(context: Context, entry: Entry, keep: str = "") -> str | None:
    """Revoke all keys of this release that ``entry``'s account has, itself last, by its own authority.

    ``keep`` is the id of a key that stays: two addresses may lead to one Argo CD. With it, of the others only those
    go that are older than ``entry``: somebody may just be storing a younger one. Returns None when nothing is left
    alive, else a sentence that says what is left and how to revoke it.
    """
    argocd, own = context.argocd_of(entry), entry.key_id()
    try:
        account = argocd.account(entry.account, entry.token)
        born = account.issued_at(own)
        for key in account.keys:
            if context.owner.owns(key.id) and key.id not in (own, keep) and (not keep or key.issued_at < born):
                argocd.delete_key(entry.account, key.id, entry.token)
        if context.owner.owns(own) and own != keep:
            argocd.delete_key(entry.account, own, entry.token)
    except AuthError as e:
        # A revoked key needs nothing more; one of a disabled account comes back to life with the account, and what
        # somebody other than Argo CD answers (an SSO proxy in front of it) says nothing of the key.
        if (
            isinstance(e, KeyRefusedError)
            and e.reason != UNKNOWN_REASON
            and privileges.explained(e, entry.account, "") is e
        ):
            return None
        return (
            f"The API key {own} of account {entry.account} is still alive: {e} Revoke it with:"
            f" argocd account delete-token --account {entry.account} {own}"
        )
    log.info(f"Revoked the API key {own} of account {entry.account}.")
    return None
