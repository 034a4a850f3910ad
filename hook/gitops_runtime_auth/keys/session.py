"""Opens and ends a login session, and keeps the record of refused passwords."""

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
    """Runs a call in a daemon thread, which does not delay the end of the process, as that of a thread pool would."""

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
        """Wait for at most ``seconds``, and tell whether the call has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until the call has ended, also if it raised an error."""
        self._thread.join()

    def result(self) -> T:
        """Wait for the call, and return its result or raise its error."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


@contextmanager
def session(
    run: Context, login: Login, record: LockoutRecord, preparing: Background[StoredKeys] | None = None
) -> Iterator[str]:
    """Log in, hand over the session token, and end the session.

    Without ``preparing`` the login is recorded before the password is sent, and the password is not sent again if the
    outcome is unclear. The hook passes ``preparing``, a thread that records the login at the same time, because Argo CD
    takes half a second for a login; the hook may send the password once more. Raises LoginRefusedError,
    LoginUnansweredError, PrivilegeError (the account is disabled or may not log in), RetryableError if the deadline has
    passed.
    """
    if preparing is None:
        record.claim(hook=False)
    try:
        token = run.argocd.login(login.account, login.password, again_in_doubt=preparing is not None)
    except (LoginRefusedError, LoginUnansweredError) as e:
        if _settled(run, preparing):
            record.note("refused" if isinstance(e, LoginRefusedError) else "unclear", e.sends)
        raise hinted(e, run.settings.auth, login.password) from None
    except KeyRefusedError as e:  # the password is right, but the account may not log in
        if _settled(run, preparing):
            record.clear()
        raise privileges.explained(run, e, login.account) from None
    except AuthError:  # after any other error Argo CD has not looked at the password, as ``login`` says
        if _settled(run, preparing):
            record.withdraw()
        raise
    try:
        if preparing is not None:
            preparing.wait()
        record.clear()  # even if the thread has failed, because the password is right
        if preparing is not None:
            preparing.result()
        yield token
    finally:
        run.argocd.end(token)


def _settled(run: Context, preparing: Background[StoredKeys] | None) -> bool:
    """Tell whether the thread has ended, so that the record can be written. A refusal does not wait longer for it."""
    settled = preparing is None or preparing.done(run.timing.recording)
    if not settled:
        log.warning("The Kubernetes API does not answer, so this login is not recorded. Do not send it again soon.")
    return settled


def hinted(error: AuthError, auth: Auth, password: str) -> AuthError:
    """Add to the error if the refused password ends with a newline, or is Argo CD's first one.

    ``echo pw | kubectl create secret --from-file`` stores a newline.
    """
    if not isinstance(error, LoginRefusedError):
        return error
    known = ""
    if password.endswith(("\n", "\r")):
        known = f" The password from {auth.origin()} ends with a newline."
    elif not auth.inline and auth.credential.name == INITIAL_ADMIN_SECRET:
        known = (
            f' Secret "{INITIAL_ADMIN_SECRET}" contains the first password of Argo CD, and does not change with the'
            " password."
        )
    return LoginRefusedError(f"{error.problem}{known}", error.remedy, sends=error.sends)


def password_changed(error: KeyRefusedError, account: str) -> AuthError:
    """Return the error for a new session that Argo CD rejects because ``passwordMtime`` lies in the future."""
    if error.refusal is not Refusal.PASSWORD_CHANGED:
        return error
    return KeyRefusedError(
        f"Argo CD rejects the session that it just gave account {account}, because the time of the account's last"
        " password change lies in the future.",
        f"Correct the clock of the machine that set the password, then set it again (argocd account update-password"
        f" --account {account}): Argo CD compares passwordMtime in Secret argocd-secret with its own clock.",
        refusal=error.refusal,
    )
