"""Opens and ends a login session, and keeps the record of refused passwords."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gitops_runtime_auth import log
from gitops_runtime_auth.config.settings import INITIAL_ADMIN_SECRET, Auth
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    ConflictError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
)
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.keys.record import LockoutRecord
from gitops_runtime_auth.kube.secret import StoredKeys


class _Preparation:
    """Records the hook's login and reads the key Secret in a daemon thread, which does not delay the process' end."""

    def __init__(self, run: Context, record: LockoutRecord) -> None:
        self._stored = StoredKeys()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(run, record), daemon=True)
        self._thread.start()

    def _run(self, run: Context, record: LockoutRecord) -> None:
        try:
            try:
                record.claim(hook=True)
            except (ConflictError, LoginRefusedError, LoginUnansweredError) as e:
                log.debug(f"Another run is logging in at the same time: {e}")
            self._stored = run.key_secret.read()
        except BaseException as e:
            self._error = e

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for at most ``seconds``, and tell whether the thread has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> StoredKeys:
        """Wait for the thread, and return the content of the Secret or raise the thread's error."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._stored


@contextmanager
def session(run: Context, login: Login) -> Iterator[str]:
    """Log in, hand over the session token, and end the session.

    The login is recorded before the password is sent, and the password is not sent again if the outcome is unclear.
    Raises LoginRefusedError, LoginUnansweredError, PrivilegeError (the account is disabled or may not log in),
    RetryableError if the deadline has passed.
    """
    record = LockoutRecord(run, login)
    record.claim(hook=False)
    with _session(run, login, record) as token:
        yield token


@contextmanager
def session_of_hook(run: Context, login: Login) -> Iterator[tuple[str, StoredKeys]]:
    """Log in, hand over the session token and the content of the key Secret, and end the session.

    Argo CD takes half a second or more for a login. The hook uses that time to record the login and to read the Secret.
    If the outcome is unclear, it may send the password once more. Raises what ``session`` does.
    """
    record = LockoutRecord(run, login)
    preparation = _Preparation(run, record)
    with _session(run, login, record, preparation) as token:
        yield token, preparation.result()


@contextmanager
def _session(
    run: Context, login: Login, record: LockoutRecord, preparation: _Preparation | None = None
) -> Iterator[str]:
    try:
        token = run.argocd.login(login.account, login.password, again_in_doubt=preparation is not None)
    except (LoginRefusedError, LoginUnansweredError) as e:
        if _settled(run, preparation):
            record.note("refused" if isinstance(e, LoginRefusedError) else "unclear", e.sends)
        raise hinted(e, run.settings.auth, login.password) from None
    except KeyRefusedError as e:  # the password is right, but the account may not log in
        if _settled(run, preparation):
            record.clear()
        raise privileges.explained(run, e, login.account) from None
    except AuthError:  # after any other error Argo CD has not looked at the password, as ``login`` says
        if _settled(run, preparation):
            record.withdraw()
        raise
    try:
        if preparation is not None:
            preparation.wait()
        record.clear()  # even if the preparation has failed, because the password is right
        yield token
    finally:
        run.argocd.end(token)


def _settled(run: Context, preparation: _Preparation | None) -> bool:
    """Tell whether the preparation has ended, so that the record can be written. A refusal does not wait longer."""
    settled = preparation is None or preparation.wait(run.timing.recording)
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
