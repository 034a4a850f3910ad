"""Revokes API keys: leftovers of an interrupted run, replaced keys, and all keys of a release.

Only keys of this installation are revoked, but never one that is in the Secret as the API shows it now, nor the user's
own token.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConflictError, KeyRefusedError, MissingSecretError, Refusal
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys
from gitops_runtime_auth.release import identity_in

BY_HAND = "Keys of this release, if any, are named gra.*: argocd account get and argocd account delete-token."
"""What the user has to do if this program could not."""
_KEY_STAYS_VALID = {Refusal.ACCOUNT_DISABLED, Refusal.ACCOUNT_MISSING, Refusal.NO_API_KEY_CAPABILITY, Refusal.UNKNOWN}
"""Refusals that are not about the key, which works again when the account is corrected."""


def revoke_leftovers(run: Context, key: StoredKey, account: Account) -> None:
    """Revoke the leftovers of an interrupted run, with ``key``, which is in use.

    A key that is newer than ``key`` is not revoked before a run must have ended, because a keeper or another upgrade
    may be about to store it. All times are by Argo CD's clock. Without leftovers this sends no request.
    """
    born = account.issued_at(key.key_id)
    in_the_making = run.argocd.now() - run.settings.another_run
    older = [k.id for k in account.keys if k.issued_at < max(born, in_the_making) and k.id != key.key_id]
    if any(identity_in(i) == identity_in(key.key_id) and run.release.named_by(i) for i in older):
        _revoke(run, older, key)


def revoke_listed(run: Context, before: Account, key: StoredKey) -> None:
    """Revoke the keys of this release that ``before`` lists, with ``key``, which is in use.

    They were listed before ``key`` was stored, so a run that wanted to store one of them was too slow.
    """
    _revoke(run, [k.id for k in before.keys if k.id != key.key_id], key)


def _revoke(run: Context, key_ids: Iterable[str], by: StoredKey) -> None:
    ours = {i for i in key_ids if run.installation.owns(i)}
    if not ours:
        return
    stored = run.key_secret.read()
    in_use = {k.key_id for k in stored.all} | {_of_settings(run)}
    for key_id in sorted(ours - in_use):
        run.argocd.delete_key(by.account, key_id, by.token)
        log.info(f"Revoked the API key {key_id}, which nothing uses any more.")


def revoke_replaced(run: Context, stored: StoredKeys, keys: Sequence[StoredKey]) -> list[str]:
    """Revoke ``keys`` of ``stored.previous`` and write the Secret without those that were revoked.

    Returns a sentence for each key that is still valid, and that stays in the Secret for the next attempt.
    """
    keep = stored.current.key_id if stored.current else ""
    left = {key.token: sentence for key in keys if (sentence := revoke_all(run, key, keep=keep))}
    gone = {key.token for key in keys} - set(left)
    if gone and stored.current:
        rest = tuple(key for key in stored.previous if key.token not in gone)
        try:
            run.key_secret.write(replace(stored, previous=rest), run.argocd.now())
        except ConflictError:
            log.debug("The Secret changed in the meantime; the next check removes the revoked keys from it.")
    return list(left.values())


def revoke_all(run: Context, key: StoredKey, keep: str | None = None) -> str | None:
    """Revoke all keys of this release that ``key``'s account has, with ``key`` itself, which is revoked last.

    This is done at the Argo CD that made ``key``, within a part of the time, because it may no longer exist. ``keep``
    is the id of a key that must not be revoked, because two addresses may belong to one Argo CD. With ``keep``, even an
    empty one, other keys are revoked only if they are older than ``key``, because another run may be about to store a
    newer one. A key that somebody else wrote into the Secret is not revoked. Returns None if all were revoked, else a
    sentence about the key that is still valid, and how to revoke it.
    """
    own, stays = key.key_id, {keep, _of_settings(run)}
    if not run.installation.owns(own) or own in stays:
        return None
    argocd = run.argocd_of(key, run.deadline.at_most(run.timing.revocation))
    try:
        account = argocd.account(key.account, key.token)
        born = account.issued_at(own)
        for other in account.keys:
            if (
                run.installation.owns(other.id)
                and other.id not in {own, *stays}
                and (keep is None or other.issued_at < born)
            ):
                argocd.delete_key(key.account, other.id, key.token)
        argocd.delete_key(key.account, own, key.token)
    except AuthError as e:
        if isinstance(e, KeyRefusedError) and e.refusal not in _KEY_STAYS_VALID:
            return None
        explained = privileges.explained(run, e, key.account) if isinstance(e, KeyRefusedError) else e
        return (
            f"The API key {own} of account {key.account} is still valid: {explained} Revoke it with:"
            f" argocd account delete-token --account {key.account} {own}"
        )
    log.info(f"Revoked the API key {own} of account {key.account}.")
    return None


def _of_settings(run: Context) -> str:
    """Return the id of the user's own key (``type: token``), which is never revoked; empty if there is none."""
    if run.settings.auth.type != "token":
        return ""
    try:
        claims = tokens.read(run.credential())
    except MissingSecretError:
        return ""
    return claims.key_id if claims else ""
