"""The life of an API key: reuse one that works, make one when none does, revoke what is no longer needed.

Everything that makes or ends keys goes through here, for the hooks and the keeper alike. What keeps it safe:

* A key is written to the Secret only over the version that was read (optimistic locking); the loser of a race
  revokes its own key and takes the winner's.
* Only keys whose id names this release of this cluster are revoked, and only those that were listed before the
  new one was written, so that nobody's key in the making is hit.
* After the write Argo CD is asked once more whether it accepts what now stands in the Secret.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account, ArgoCD
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    ConflictError,
    KeyRefusedError,
    RetryableError,
    TemporaryError,
    WrongServerError,
)
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.keys import revoke as revocation
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.secret import Entry, Stored
from gitops_runtime_auth.retry import retry

_ATTEMPTS = 4

Approve = Callable[[Account, str], Account]
"""Checks an account's privileges (with a bearer token to look again), and raises or returns the account."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the key now in the Secret, its account, and whether it was made just now."""

    entry: Entry
    account: Account
    created: bool


def accepted(context: Context, entry: Entry | None) -> Account | None:
    """Return the account if ``entry`` is a key of this release that this Argo CD accepts for this account.

    One request and no login. The key goes only to the server that it was made in. Raises PrivilegeError when the
    account is disabled or lost ``apiKey``: then the key works again once that is put right, and a login is no help.
    """
    username = context.settings.auth.username
    if entry is None or (entry.account, entry.url) != (username, context.settings.server.url):
        return None
    claims = entry.claims()
    if claims is None or claims.expires_at or claims.account != username or not context.owner.owns(claims.key_id):
        return None
    try:
        return context.argocd.account(username, entry.token)
    except KeyRefusedError as e:
        why = privileges.explained(e, username, context.argocd_namespace)
        if why is not e and not context.settings.enable_api_key:
            raise why from None
        log.info(f"The stored API key {claims.key_id} no longer works: {e.reason}.")
        return None


def ensure_key(context: Context, known: Stored, password: Callable[[], str], approve: Approve) -> Outcome:
    """Return a working key in the Secret: the ``known`` one if Argo CD accepts it, else one made after one login.

    ``password`` is called only when a login is needed. ``approve`` judges the account before a key is made.
    Raises every error of ``errors``.
    """
    kept = _keep(context, known, approve)
    if kept:
        return kept
    secret = password()
    context.argocd.version()  # not beside what follows: two threads that import hold each other up
    with ThreadPoolExecutor(1) as pool:
        # Argo CD delays a login by 0.5 s and more: time to load the Kubernetes client and read the Secret.
        reading = pool.submit(lambda: store.fetch(context.cluster, context.owner.namespace, context.owner.release))
        session = _login(context, secret)
        try:
            stored = reading.result()
            return _with_session(context, stored, session, approve)
        finally:
            end_session(context.argocd, session)


def _login(context: Context, password: str) -> str:
    username = context.settings.auth.username
    try:
        return context.argocd.login(username, password)
    except KeyRefusedError as e:
        raise privileges.explained(e, username, context.argocd_namespace) from None


def _keep(context: Context, known: Stored, approve: Approve) -> Outcome | None:
    account = accepted(context, known.current)
    if account is None or known.current is None:
        return None
    approve(account, known.current.token)
    revocation.revoke_leftovers(context, known, account)
    return Outcome(known.current, account, created=False)


def _with_session(context: Context, stored: Stored, session: str, approve: Approve) -> Outcome:
    username = context.settings.auth.username
    before = approve(context.argocd.account(username, session), session)
    for _ in range(_ATTEMPTS):
        for entry in filter(None, (stored.current, *stored.previous)):
            account = accepted(context, entry)
            if account:  # a race's winner, a Secret newer than the mounted one, or an upgrade rolled back
                wanted = stored.moved_to(entry, keep_old=True)  # pods may use what an upgrade stored before a rollback
                if entry == stored.current or _written(context, wanted):
                    revocation.revoke(context, revocation.ours(context, before, keep=wanted, but=entry), entry)
                    return Outcome(entry, account, created=False)
                break
        entry = context.entry(new_key(context, username, session), username)
        # The old key stays in the Secret, even if refused: it says that pods have yet to take the new one.
        wanted = stored.moved_to(entry, keep_old=True)
        account_now = accepted(context, entry) if put(context, wanted, session) else None
        if account_now:
            revocation.revoke(context, revocation.ours(context, before, keep=wanted, but=entry), entry)
            return Outcome(entry, account_now, created=True)
        stored = store.fetch(context.cluster, context.owner.namespace, context.owner.release)
    raise TemporaryError(
        f'Secret "{store.NAME}" was changed by others {_ATTEMPTS} times while this run wrote it.',
        "Make sure that no two upgrades of this release run at once, then run helm upgrade again.",
    )


def new_key(context: Context, username: str, session: str) -> str:
    """Create a key. When an answer is lost, look whether the key was made, and take it back before trying again."""

    def attempt() -> str:
        key_id = context.owner.new_id()
        try:
            return context.argocd.create_key(username, key_id, session)
        except (RetryableError, AnswerError, WrongServerError) as e:
            lost = e.sent if isinstance(e, RetryableError) else True
            if lost and context.argocd.account(username, session).has_key(key_id):
                context.argocd.delete_key(username, key_id, session)
            raise

    return retry(context.deadline, "Creating the API key", attempt)


def write(context: Context, wanted: Stored) -> None:
    """Write the Secret over the version that ``wanted`` was read from. Raises ConflictError."""
    store.write(context.cluster, context.owner.namespace, context.owner.release, context.chart, wanted)


def _written(context: Context, wanted: Stored) -> bool:
    try:
        write(context, wanted)
    except ConflictError:
        return False
    return True


def put(context: Context, wanted: Stored, bearer: str) -> bool:
    """Write the Secret with the new key ``wanted.current``; tell whether it is there now.

    It is not when somebody else was faster: then the new key is taken back. After a lost answer the Secret is looked
    at, for it may hold the key; where that can't be done either, the key stays for the next run to find. Raises every
    error of ``errors``.
    """
    entry = wanted.current
    assert entry is not None  # noqa: S101 (callers just made it)
    try:
        write(context, wanted)
    except (ConflictError, AuthError) as e:
        try:
            stored = store.fetch(context.cluster, context.owner.namespace, context.owner.release)
        except RetryableError:
            raise
        except AuthError:
            _undo(context, entry, bearer)
            raise
        if stored.current and stored.current.token == entry.token:
            return True
        _undo(context, entry, bearer)
        if isinstance(e, AuthError):
            raise
        return False
    return True


def _undo(context: Context, entry: Entry, bearer: str) -> None:
    """Take back a key that could not be stored; where that fails too, the next run does it."""
    try:
        context.argocd.delete_key(entry.account, entry.key_id(), bearer)
    except AuthError as e:
        log.warning(f"Key {entry.key_id()} could not be revoked ({e}); the next run does it.")


def end_session(argocd: ArgoCD, session: str) -> None:
    """End a login session; that it can't be is a warning: it ends by itself within a day."""
    try:
        argocd.logout(session)
    except AuthError as e:
        log.warning(f"The login session could not be ended ({e}) It expires by itself.")
