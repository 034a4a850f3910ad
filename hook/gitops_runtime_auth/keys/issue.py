"""Issuing an API key when none works.

Hooks and keepers alike issue keys through here. What keeps it safe:

* A key is written to the Secret only over the version that was read (optimistic locking). Whoever loses that race
  revokes its own key and takes the winner's.
* A key is proved before it is stored, so a run that is refused in the end leaves nothing behind.
* After the write Argo CD is asked once more whether it accepts what now stands in the Secret.
"""

import shlex
import time

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    ConflictError,
    FreshKeyRefusedError,
    KeyRefusedError,
    Refusal,
    RetryableError,
    TemporaryError,
    WrongServerError,
)
from gitops_runtime_auth.keys import privileges, revoke, working
from gitops_runtime_auth.keys.session import password_changed
from gitops_runtime_auth.keys.working import WorkingKey
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys
from gitops_runtime_auth.retry import retry

_RACES = 4
"""Times that others may write the Secret while one run wants to."""


def issue_by_session(run: Context, session: str, stored: StoredKeys, before: Account) -> WorkingKey:
    """Return a working key in the Secret, issued with a login session unless somebody else stores one first.

    ``before`` is the account as it was when ``stored`` was read: keys of this release that it lists and that the Secret
    does not hold are revoked in the end. Raises every error of ``errors``.
    """
    for _ in range(_RACES):
        found = working.find(run, stored)
        if found:
            found = working.tidy(run, found) if found.is_current else working.adopt(run, found)
        done = found or issue(run, before.name, session, stored)
        if done:
            revoke.revoke_listed(run, before, done.key)
            return done
        stored = run.key_secret.read()
    raise TemporaryError(
        f'Secret "{run.settings.key_secret.name}" was changed by others {_RACES} times while this run wrote it.',
        "Make sure that no two upgrades of this release run at once, then run helm upgrade again.",
    )


def issue(run: Context, account: str, bearer: str, stored: StoredKeys) -> WorkingKey | None:
    """Issue a key by the authority of a session or of another key, prove it, and store it over ``stored``.

    The key that it replaces stays in the Secret as a previous one, because pods may still use it. Returns None when
    somebody else wrote the Secret meanwhile; nothing is left of the attempt then. Raises every error of ``errors``.
    """
    key = run.stored_key(_create(run, account, bearer), account)
    try:
        _await_accepted(run, key)
    except AuthError:
        _take_back(run, key, bearer)
        raise
    wanted = stored.moved_to(key, run.argocd.now())
    if not _store(run, wanted, bearer):
        return None
    if stored.foreign_key:
        _tell_of_takeover(run, stored.foreign_key)
    try:
        shown = _await_accepted(run, key)
    except KeyRefusedError:  # another run revoked it before it stood in the Secret
        return None
    return WorkingKey(key, shown, wanted, created=True)


def _tell_of_takeover(run: Context, key_id: str) -> None:
    """Name the key that somebody else's Secret held, in an Event too: Helm deletes a successful Job with its log."""
    message = (
        f'Secret "{run.settings.key_secret.name}" was taken over. The API key that it held is still alive; once nothing'
        f" uses it: argocd account delete-token --account NAME {shlex.quote(key_id)}"
    )
    log.warning(message)
    run.emit("Warning", "SecretTakenOver", message)


def _create(run: Context, account: str, bearer: str) -> str:
    """Create a key. When an answer is lost, look whether the key was made, and revoke it before trying again."""
    fresh_until = time.monotonic() + run.timing.fresh_shows

    def attempt() -> str:
        key_id = run.installation.new_key_id()
        try:
            return run.argocd.create_key(account, key_id, bearer)
        except (RetryableError, AnswerError, WrongServerError) as e:
            lost = e.sent if isinstance(e, RetryableError) else True
            if lost and run.argocd.account(account, bearer).has_key(key_id):
                run.argocd.delete_key(account, key_id, bearer)
            if isinstance(e, AnswerError) and e.refusal is Refusal.NO_API_KEY_CAPABILITY:
                raise _capability_lags(run, account, time.monotonic() < fresh_until) from None
            raise

    return retry(run.deadline, "Creating the API key", attempt, run.timing)


def _capability_lags(run: Context, account: str, fresh: bool) -> AuthError:
    """Argo CD has shown the capability: another replica may lag behind for some seconds, or somebody took it away."""
    error = privileges.lacks(run, account, ("apiKey",), frozenset({"login"}))
    if not fresh:
        return error
    return TemporaryError(f"{error.problem} It showed it a moment ago.", error.remedy)


def _await_accepted(run: Context, key: StoredKey) -> Account:
    """Return the account once Argo CD accepts the key that it just made.

    Another replica of argocd-server may not know a fresh key for some seconds. Raises FreshKeyRefusedError after that.
    """

    def attempt() -> Account:
        try:
            return run.argocd.account(key.account, key.token)
        except KeyRefusedError as e:
            if e.refusal in (Refusal.KEY_REVOKED, Refusal.NO_API_KEY_CAPABILITY):
                raise TemporaryError(f"Argo CD does not know the new API key yet ({e.refusal.value}).", e.remedy) from e
            raise

    try:
        return retry(run.deadline.at_most(run.timing.fresh_shows), "The new API key", attempt, run.timing)
    except TemporaryError as e:
        if not isinstance(e.__cause__, KeyRefusedError):
            raise
        why = privileges.explained(run, e.__cause__, key.account)
        raise (_reset_at_once(key, e.__cause__) if why is e.__cause__ else why) from None


def _reset_at_once(key: StoredKey, error: KeyRefusedError) -> FreshKeyRefusedError:
    return FreshKeyRefusedError(
        f"Argo CD made the API key {key.key_id} of account {key.account} and no longer knows it.",
        f"Somebody else writes accounts.{key.account}.tokens in Secret argocd-secret (Git, External Secrets, Terraform,"
        " an operator): let them leave that field to Argo CD, then try again.",
        refusal=error.refusal,
        seconds=error.seconds,
        date=error.date,
    )


def _store(run: Context, wanted: StoredKeys, bearer: str) -> bool:
    """Write the Secret with the new key ``wanted.current``; tell whether it is there now.

    It is not when somebody else was faster: then the new key is revoked. After a lost answer the Secret is looked at,
    because it may hold the key; where that can't be done either, the key stays for the next run to find. Raises every
    error of ``errors``.
    """
    key = wanted.current
    assert key is not None  # noqa: S101 (callers just made it)
    try:
        run.key_secret.write(wanted, run.argocd.now())
    except AuthError as e:
        try:
            stored = run.key_secret.read()
        except RetryableError:
            raise
        except AuthError:
            _take_back(run, key, bearer)
            raise
        if stored.current and stored.current.token == key.token:
            return True
        _take_back(run, key, bearer)
        if isinstance(e, ConflictError):
            return False
        raise
    return True


def _take_back(run: Context, key: StoredKey, bearer: str) -> None:
    """Revoke a key that could not be stored; where that fails too, the next run does it."""
    try:
        run.argocd.delete_key(key.account, key.key_id, bearer)
    except AuthError as e:
        log.warning(f"Key {key.key_id} could not be revoked ({e}) The next run does it.")


def account_of_session(run: Context, account: str, session: str) -> Account:
    """Return the account that a fresh session belongs to. Raises KeyRefusedError with a remedy of its own."""
    try:
        return run.argocd.account(account, session)
    except KeyRefusedError as e:
        raise password_changed(e, account) from None
