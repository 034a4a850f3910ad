"""Logins as Argo CD treats them: looked at one by one, counted, locked out, refused when too many come at once.

Sources: ``VerifyUsernamePassword`` in ``util/session/sessionmanager.go`` and ``server/session`` of Argo CD 3.6.1.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.fakes.accounts import Accounts

LOCKS_AFTER, WINDOW = 5, 300.0
"""Failures that lock an account, and the seconds after the last of them in which it stays locked."""
LONGEST_NAME = 32
"""Bytes of a user name."""


class Verdict(Enum):
    """What became of a login. Argo CD words the first four alike."""

    WRONG = "wrong password"
    UNKNOWN = "unknown account"
    LOCKED = "locked account"
    BUSY = "too many logins in flight"
    DISABLED = "disabled account"
    NO_LOGIN = "no login capability"
    BLANK = "blank user name or password"
    TOO_LONG = "user name too long"
    OK = "ok"

    @property
    def needs_a_look(self) -> bool:
        """Tell whether Argo CD compares the password before it answers. Such an answer is delayed."""
        return self not in (Verdict.BUSY, Verdict.BLANK, Verdict.TOO_LONG)

    @property
    def counts(self) -> bool:
        """Tell whether Argo CD counts it as a failed login of the account."""
        return self in (Verdict.WRONG, Verdict.UNKNOWN)


@dataclass(frozen=True)
class Login:
    """A login that came in; ``at`` in Unix seconds of this Argo CD's clock."""

    account: str
    at: float
    verdict: Verdict


class Logins:
    """All logins of one Argo CD."""

    def __init__(self, accounts: Accounts, now: Callable[[], float]) -> None:
        self.seen: list[Login] = []
        self.at_once = 50
        """Logins that are taken at a time; the next is refused at once, without a look at the password."""
        self.busy = 0
        """So many further logins are refused as if all places were taken."""
        self.takes = (0.0, 0.0)
        """Seconds, at least and at most, for a login that is looked at; the real one takes (0.5, 1.0)."""
        self.refusal_seems = 0.1
        """Seconds that a delayed refusal has in its header ``X-Took``. The unit tests add them to the measured time
        (``told_times``), so that they need not wait."""
        self._accounts = accounts
        self._now = now
        self._in_flight = 0
        self._failures: dict[str, tuple[int, float]] = {}
        self._one_by_one: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def come(self, username: str, password: str) -> Verdict:
        """Judge one login, and take the time that it takes."""
        with self._lock:
            full = self.busy > 0 or self._in_flight >= self.at_once
            self.busy -= self.busy > 0
            self._in_flight += not full
        if full:
            return self._noted(username, Verdict.BUSY)
        try:
            if not username or not password:
                return self._noted(username, Verdict.BLANK)
            with self._one_by_one[username]:
                if len(username.encode()) > LONGEST_NAME:
                    return self._noted(username, Verdict.TOO_LONG)
                began, verdict = time.monotonic(), self.look(username, password)
                time.sleep(max(0.0, random.uniform(*self.takes) - (time.monotonic() - began)))
                return self._noted(username, verdict)
        finally:
            with self._lock:
                self._in_flight -= 1

    def look(self, username: str, password: str) -> Verdict:
        """Look at the password and count."""
        with self._lock:
            failed, last = self._failures.get(username, (0, 0.0))
            if self._now() - last > WINDOW:
                failed = 0
            if failed >= LOCKS_AFTER:
                return Verdict.LOCKED
            account = self._accounts.find(username)
            if account is None or account.kept.password != password:
                self._failures[username] = (failed + 1, self._now())
                return Verdict.WRONG if account else Verdict.UNKNOWN
            if not account.enabled:
                return Verdict.DISABLED
            if "login" not in account.capabilities:
                return Verdict.NO_LOGIN
            self._failures.pop(username, None)
            return Verdict.OK

    def verdicts(self, account: str = "") -> list[Verdict]:
        """Return what became of each login, in their order."""
        return [login.verdict for login in self.seen if account in ("", login.account)]

    def failures_in_a_window(self, account: str) -> int:
        """Return the most failed logins that this account had within any 300 seconds."""
        at = [login.at for login in self.seen if login.account == account and login.verdict.counts]
        return max((sum(begin <= t < begin + WINDOW for t in at) for begin in at), default=0)

    def _noted(self, username: str, verdict: Verdict) -> Verdict:
        with self._lock:
            self.seen.append(Login(username, self._now(), verdict))
        return verdict
