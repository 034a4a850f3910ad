"""Revoking API keys: what a crash left, what was replaced, what a release leaves behind.

Only keys whose id names this installation are revoked, and never one that the Secret holds as the API shows it now, nor
the credential that the settings name.
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
"""What to do by hand where this program could not."""
_COMES_BACK = {Refusal.ACCOUNT_DISABLED, Refusal.ACCOUNT_MISSING, Refusal.NO_API_KEY_CAPABILITY, Refusal.UNKNOWN}
"""Refusals that say nothing against the key: it works again once the account is put right."""


def revoke_leftovers(run: Context, key: StoredKey, account: Account) -> None:
    """Revoke keys of this release that a crash left, by the authority of the good key.

    Keys that are younger than the good one stay for as long as a run may take, because a keeper or another upgrade
    may be about to store one. "Now" is Argo CD's, as are the times of the keys. Costs nothing more where there is
    nothing to revoke.
    """
    born = account.issued_at(key.key_id)
    in_the_making = run.argocd.now() - run.settings.another_run
    older = [k.id for k in account.keys if k.issued_at < max(born, in_the_making) and k.id != key.key_id]
    if any(identity_in(i) == identity_in(key.key_id) and run.release.named_by(i) for i in older):
        _revoke(run, older, key)


def revoke_listed(run: Context, before: Account, key: StoredKey) -> None:
    """Revoke the keys of this release that ``before`` lists, by the authority of the good key.

    They were listed before the good key was stored, so whoever wanted to store one of them has lost the race.
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
    """Revoke ``keys`` of ``stored.previous`` and write the Secret without those that are gone.

    Returns a sentence for each that is left alive; those stay in the Secret for the next attempt.
    """
    keep = stored.current.key_id if stored.current else ""
    left = {key.token: sentence for key in keys if (sentence := revoke_all(run, key, keep=keep))}
    gone = {key.token for key in keys} - set(left)
    if gone and stored.current:
        rest = tuple(key for key in stored.previous if key.token not in gone)
        try:
            run.key_secret.write(replace(stored, previous=rest), run.argocd.now())
        except ConflictError:
            log.debug("The Secret changed meanwhile; the next check takes the revoked keys out of it.")
    return list(left.values())


def revoke_all(run: Context, key: StoredKey, keep: str = "") -> str | None:
    """Revoke all keys of this release that ``key``'s account has, itself last, by its own authority.

    It is done where ``key`` was made, within its share of the time, because that Argo CD may be gone for good.
    ``keep`` is the id of a key that stays: two addresses may lead to one Argo CD. With it, of the others only those
    go that are older than ``key``, because somebody may just be storing a younger one. What somebody else wrote into
    the Secret is not this release's to revoke. Returns None when nothing is left alive, else a sentence that says
    what is, and how to revoke it.
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
                and (not keep or other.issued_at < born)
            ):
                argocd.delete_key(key.account, other.id, key.token)
        argocd.delete_key(key.account, own, key.token)
    except AuthError as e:
        if isinstance(e, KeyRefusedError) and e.refusal not in _COMES_BACK:
            return None
        explained = privileges.explained(run, e, key.account) if isinstance(e, KeyRefusedError) else e
        return (
            f"The API key {own} of account {key.account} is still alive: {explained} Revoke it with:"
            f" argocd account delete-token --account {key.account} {own}"
        )
    log.info(f"Revoked the API key {own} of account {key.account}.")
    return None


def _of_settings(run: Context) -> str:
    """Return the id of the user's own key (``type: token``), which is never revoked; empty when there is none."""
    if run.settings.auth.type != "token":
        return ""
    try:
        claims = tokens.read(run.credential())
    except MissingSecretError:
        return ""
    return claims.key_id if claims else ""
