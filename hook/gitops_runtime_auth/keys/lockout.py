"""Decides when a refused password may be sent again: not before Argo CD has forgotten the failed login.

Argo CD locks an account for five minutes after five failed logins, and then refuses even the right password. So the
hook, two keepers, the uninstall and ``check`` keep records of refused logins, and all follow this rule.
"""

import base64
import hashlib
import hmac
import json
import math
import os
from dataclasses import dataclass
from typing import Literal

from gitops_runtime_auth.errors import AuthError, LoginRefusedError, LoginUnansweredError
from gitops_runtime_auth.timing import Timing

_SALT = 16
"""Bytes."""
_CLOCK_SKEW = 60.0
"""Seconds. A record that is further in the future was written while Argo CD's clock was wrong, so it is ignored."""

Verdict = Literal["refused", "unclear"]


@dataclass(frozen=True)
class Login:
    """What is sent to log in. A record is only about a login that is the same in all of it."""

    url: str
    account: str
    password: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, account={self.account!r})"


@dataclass(frozen=True)
class Record:
    """One login that was refused, or whose outcome is unclear. It contains only a salted slow hash of the password."""

    salt: str
    hash: str
    at: float
    """Unix time of the last send, by Argo CD's clock."""
    sends: int
    """How often Argo CD may have looked at the password, in consecutive sends of all runs that are less than
    ``timing.lockout`` apart."""
    verdict: Verdict
    refusals: int = 1
    """How often in a row the same login was refused."""

    def is_of(self, login: Login) -> bool:
        """Tell whether this is a record of ``login``. Takes 0.05 s on purpose."""
        return hmac.compare_digest(self.hash, _hash(login, base64.b64decode(self.salt)))


def record_of(login: Login, at: float, sends: int, verdict: Verdict, refusals: int = 1) -> Record:
    """Return a new record of ``login``, which was sent last at ``at`` (Unix time), with a new salt."""
    salt = os.urandom(_SALT)
    return Record(base64.b64encode(salt).decode(), _hash(login, salt), at, sends, verdict, refusals)


@dataclass(frozen=True)
class Block:
    """Why a password must not be sent now, and for how many more seconds."""

    verdict: Verdict
    seconds: float


def parse(text: str | None) -> Record | None:
    """Return the record in ``text``, None if there is none: others may have written anything into the ConfigMap."""
    try:
        fields = json.loads(text or "")
        record = Record(**fields)
        base64.b64decode(record.salt)
        sane = math.isfinite(record.at) and min(record.sends, record.refusals) >= 0 and record.hash.isascii()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    counts = isinstance(record.sends, int) and isinstance(record.refusals, int)
    return record if sane and counts and record.verdict in ("refused", "unclear") else None


def block(record: Record | None, login: Login, now: float, timing: Timing, *, hook: bool) -> Block | None:
    """Return why ``login`` must not be sent at ``now``, or None if it may be sent.

    A refused password must not be sent for ``timing.lockout`` seconds; the keeper, which nobody watches, doubles that
    time after each further refusal. If the outcome of a login is unclear, only the hook may send it once more.
    """
    if record is None or not record.is_of(login):
        return None
    wait = timing.lockout
    if not hook:
        wait = min(timing.longest_lockout, timing.lockout * 2.0 ** min(record.refusals - 1, 10))
    left = record.at + wait - now
    if not 0 < left <= wait + _CLOCK_SKEW or (record.verdict == "unclear" and hook and record.sends < 2):
        return None
    return Block(record.verdict, min(left, wait))


def counts_for(record: Record | None, now: float, timing: Timing) -> float:
    """Return for how many more seconds the hook must not send the recorded password, 0 if there is no record."""
    return max(0.0, record.at + timing.lockout - now) if record is not None else 0.0


def refused(login: Login, why: Block) -> AuthError:
    """Return the error for a login that is not sent because of the record."""
    wait = f"It is not sent again for {why.seconds:.0f} s"
    if why.verdict == "unclear":
        return LoginUnansweredError(
            f"A login of account {login.account} at Argo CD {login.url} is under way, or was not answered. {wait}.",
            "Make sure that Argo CD is ready; more attempts could lock the account.",
            sends=0,
        )
    return LoginRefusedError(
        f"Argo CD at {login.url} refused the password of account {login.account} a moment ago. {wait},"
        " because five refusals lock the account.",
        "Put the right password into its Secret or the values and try again: another password is sent at once. If this"
        f" one is right and the account was locked, wait {why.seconds:.0f} s.",
        sends=0,
    )


def _hash(login: Login, salt: bytes) -> str:
    text = json.dumps([login.url, login.account, login.password]).encode()
    return base64.b64encode(hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1)).decode()
