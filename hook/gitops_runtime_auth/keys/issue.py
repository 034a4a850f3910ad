"""Issues an API key if none works, for hooks and keeper alike.

Three rules keep this safe:

* A key is written only over the version of the Secret that was read (optimistic locking). If another run was faster,
  this one revokes its own key and uses the other one.
* A key is proved before it is stored, so that a refused run leaves no key behind.
* After the write, Argo CD is asked once more whether it accepts the key in the Secret.
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
"""Number of times that others may write the Secret before a run gives up."""


def issue_by_session(run: Context, session: str, stored: StoredKeys, before: Account) -> WorkingKey:
    """Return a working key in the Secret, issued with a login session unless another run stores one first.

    ``before`` is the account at the time when ``stored`` was read. Keys of this release that it lists, but that are not
    in the Secret, are revoked in the end. Raises every error of ``errors``.
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
    """Issue a key with a session or another key (``bearer``), prove it, and store it over ``stored``.

    The key that it replaces stays in the Secret as a previous one, because Pods may still use it. Returns None if
    another run wrote the Secret in the meantime; the new key is then revoked. Raises every error of ``errors``.
    """
    try:
        key = _create_accepted(run, account, bearer)
    except FreshKeyRefusedError as e:
        # When two keys of an account are made at once, Argo CD may lose one: it writes the list that it read before the
        # other was added (UpdateAccount in util/settings/accounts.go). Whoever resets keys takes the second one, too.
        log.progress(f"{e.problem} Creating another one.")
        key = _create_accepted(run, account, bearer)
    wanted = stored.moved_to(key, run.argocd.now())
    if not _store(run, wanted, bearer):
        return None
    if stored.foreign_key:
        _report_adoption(run, stored.foreign_key)
    try:
        shown = _await_accepted(run, key)
    except KeyRefusedError:  # another run revoked it before it was in the Secret
        return None
    return WorkingKey(key, shown, wanted, created=True)


def _create_accepted(run: Context, account: str, bearer: str) -> StoredKey:
    """Create a key and wait until Argo CD accepts it; if it never does, revoke it and raise FreshKeyRefusedError."""
    key = run.stored_key(_create(run, account, bearer), account)
    try:
        _await_accepted(run, key)
    except AuthError:
        _revoke_unstored(run, key, bearer)
        raise
    return key


def _report_adoption(run: Context, key_id: str) -> None:
    """Report the key in an adopted Secret, by an Event, too, because Helm deletes the log of a successful Job."""
    message = (
        f'Secret "{run.settings.key_secret.name}" was taken over. The API key that was in it is still valid; when'
        f" nothing uses it any more, revoke it: argocd account delete-token --account NAME {shlex.quote(key_id)}"
    )
    log.warning(message)
    run.emit("Warning", "SecretTakenOver", message)


def _create(run: Context, account: str, bearer: str) -> str:
    """Create a key. If an answer is lost, look whether the key was made, and revoke it before trying again."""
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
    """Return the error for a capability that Argo CD has shown, but does not know now.

    Another replica may not have read the change yet, which takes some seconds, or somebody has removed the capability.
    """
    error = privileges.lacks(run, account, ("apiKey",))
    if not fresh:
        return error
    return TemporaryError(f"{error.problem} It showed it a moment ago.", error.remedy)


def _await_accepted(run: Context, key: StoredKey) -> Account:
    """Return the account as soon as Argo CD accepts the key that it has just made.

    Another replica of argocd-server may not know a new key for some seconds. Raises FreshKeyRefusedError after that.
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
        " an operator): exclude that field there, then try again.",
        refusal=error.refusal,
        seconds=error.seconds,
        date=error.date,
    )


def _store(run: Context, wanted: StoredKeys, bearer: str) -> bool:
    """Write the Secret with the new key ``wanted.current``; tell whether the key is in it now.

    If another run was faster, the new key is revoked. After a lost answer the Secret is read, because it may contain
    the key; if that fails, too, the key is not revoked, and the next run finds it. Raises every error of ``errors``.
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
            _revoke_unstored(run, key, bearer)
            raise
        if stored.current and stored.current.token == key.token:
            return True
        _revoke_unstored(run, key, bearer)
        if isinstance(e, ConflictError):
            return False
        raise
    return True


def _revoke_unstored(run: Context, key: StoredKey, bearer: str) -> None:
    """Revoke a key that could not be stored. If that fails, too, the next run revokes it."""
    try:
        run.argocd.delete_key(key.account, key.key_id, bearer)
    except AuthError as e:
        log.warning(f"Key {key.key_id} could not be revoked ({e}) The next run revokes it.")


def account_of_session(run: Context, account: str, session: str) -> Account:
    """Return the account of a new session. Raises KeyRefusedError, with its own remedy if the password is too new."""
    try:
        return run.argocd.account(account, session)
    except KeyRefusedError as e:
        raise password_changed(e, account) from None
