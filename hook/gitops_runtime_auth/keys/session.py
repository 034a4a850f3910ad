"""A login session for as long as it is needed, guarded by the record of refused passwords."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from gitops_runtime_auth import log
from gitops_runtime_auth.config.settings import INITIAL_ADMIN_SECRET, Auth
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
)
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.keys.record import LockoutRecord
from gitops_runtime_auth.kube.secret import StoredKeys

T = TypeVar("T")


class Background(Generic[T]):
    """A call in a daemon thread. Unlike a thread pool's, it holds nothing up when nobody asks for its result."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._result: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._result = call()
        except BaseException as e:
            self._error = e

    def done(self, seconds: float) -> bool:
        """Wait for ``seconds`` at most, and tell whether the call has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait for the call, whatever comes of it."""
        self._thread.join()

    def result(self) -> T:
        """Wait for the call, and return what it returned or raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


@contextmanager
def session(
    run: Context, login: Login, record: LockoutRecord, preparing: Background[StoredKeys] | None = None
) -> Iterator[str]:
    """Log in, hand over the session token, and end the session.

    Without ``preparing`` the password is sent only once the record says that it is about to be, and never a second time
    when the outcome is in doubt. The hook passes the thread that records this meanwhile, because Argo CD takes half a
    second for a login; the hook may send the password once more. Raises LoginRefusedError, LoginUnansweredError,
    PrivilegeError (the account is disabled or may not log in), RetryableError when the deadline has passed.
    """
    if preparing is None:
        record.claim(hook=False)
    try:
        token = run.argocd.login(login.account, login.password, again_in_doubt=preparing is not None)
    except (LoginRefusedError, LoginUnansweredError) as e:
        if _settled(run, preparing):
            record.note("refused" if isinstance(e, LoginRefusedError) else "unclear", e.sends)
        raise hinted(e, run.settings.auth, login.password) from None
    except KeyRefusedError as e:  # only who sends the right password is told that the account may not log in
        if _settled(run, preparing):
            record.clear()
        raise privileges.explained(run, e, login.account) from None
    except AuthError:  # of all others ``login`` promises that Argo CD has looked at no password
        if _settled(run, preparing):
            record.withdraw()
        raise
    try:
        if preparing is not None:
            preparing.wait()
        record.clear()  # also where the thread has failed: the password is right
        if preparing is not None:
            preparing.result()
        yield token
    finally:
        run.argocd.end(token)


def _settled(run: Context, preparing: Background[StoredKeys] | None) -> bool:
    """Tell whether the record may be written: a thread that hangs at the Kubernetes API must not hold a refusal up."""
    settled = preparing is None or preparing.done(run.timing.recording)
    if not settled:
        log.warning("The Kubernetes API does not answer, so this login is not recorded. Do not send it again soon.")
    return settled


def hinted(error: AuthError, auth: Auth, password: str) -> AuthError:
    """Add what is known of the refused password: it ends with a newline, or is the one that Argo CD began with.

    ``echo pw | kubectl create secret --from-file`` leaves a newline.
    """
    if not isinstance(error, LoginRefusedError):
        return error
    known = ""
    if password.endswith(("\n", "\r")):
        known = f" The password from {auth.origin()} ends with a newline."
    elif not auth.inline and auth.credential.name == INITIAL_ADMIN_SECRET:
        known = (
            f' Secret "{INITIAL_ADMIN_SECRET}" holds the password that Argo CD began with: it stays as it is when the'
            " password is changed."
        )
    return LoginRefusedError(f"{error.problem}{known}", error.remedy, sends=error.sends)


def password_changed(error: KeyRefusedError, account: str) -> AuthError:
    """Return the error for a fresh session that Argo CD rejects: the account's ``passwordMtime`` lies in the future."""
    if error.refusal is not Refusal.PASSWORD_CHANGED:
        return error
    return KeyRefusedError(
        f"Argo CD rejects the session that it just gave account {account}, because the time of the account's last"
        " password change lies in the future.",
        f"Set the password anew (argocd account update-password --account {account}), after correcting the clock of"
        " whoever set it: Argo CD compares accounts' passwordMtime in Secret argocd-secret with its own clock.",
        refusal=error.refusal,
    )
