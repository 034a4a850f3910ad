"""The record of a refused password: it is not sent again, by whomever, before Argo CD has forgotten the failure.

Argo CD locks an account for five minutes after five failed logins, whether or not the password is right. The hook,
two keepers, uninstall and ``check`` therefore share one record, a ConfigMap of the release. Not a Secret, because
whoever may create Secrets and read them may obtain the token of any ServiceAccount.
"""

import base64
import hashlib
import hmac
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConflictError, LoginRefusedError, LoginUnansweredError
from gitops_runtime_auth.kube import configmap
from gitops_runtime_auth.timing import Timing

KEY = "record"
"""Key of the ConfigMap's data that holds the record."""
_SALT = 16
_CLOCK_SKEW = 60.0
"""Seconds. A record that is further in the future was written while Argo CD's clock was wrong, and counts as none."""
_TRIES = 5

Verdict = Literal["refused", "unclear"]


@dataclass(frozen=True)
class Login:
    """What is sent to log in. Two logins that differ in any of it are two logins."""

    url: str
    account: str
    password: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, account={self.account!r})"


@dataclass(frozen=True)
class Record:
    """One login that was refused, or whose outcome is unclear. The password is in it as a salted slow hash only."""

    salt: str
    hash: str
    at: float
    """Unix time of the last send, by Argo CD's clock."""
    sends: int
    """How many times Argo CD may have looked at the password, whoever sent it, in a row of sends that are less than
    ``timing.lockout`` apart."""
    verdict: Verdict
    refusals: int = 1
    """How many times in a row the same login was refused."""

    def is_of(self, login: Login) -> bool:
        """Tell whether this is a record of ``login``. Takes 0.05 s on purpose."""
        return hmac.compare_digest(self.hash, _hash(login, base64.b64decode(self.salt)))


def record_of(login: Login, at: float, sends: int, verdict: Verdict) -> Record:
    """Return a new record of ``login``, which was sent last at ``at`` (Unix time), with a salt of its own."""
    salt = os.urandom(_SALT)
    return Record(base64.b64encode(salt).decode(), _hash(login, salt), at, sends, verdict)


@dataclass(frozen=True)
class Block:
    """Why a password is not to be sent now, and for how many more seconds."""

    verdict: Verdict
    seconds: float


def parse(text: str | None) -> Record | None:
    """Read a record; whatever is not one counts as none, because others may write the ConfigMap too."""
    try:
        fields = json.loads(text or "")
        record = Record(**fields)
        base64.b64decode(record.salt, validate=True)
        sane = math.isfinite(record.at) and min(record.sends, record.refusals) >= 0 and record.hash.isascii()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    counts = isinstance(record.sends, int) and isinstance(record.refusals, int)
    return record if sane and counts and record.verdict in ("refused", "unclear") else None


def mounted(files: Path) -> Record | None:
    """Read the record as it was mounted when this pod started."""
    try:
        return parse((files / "refused" / KEY).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def block(record: Record | None, login: Login, now: float, timing: Timing, *, hook: bool) -> Block | None:
    """Return why ``login`` must not be sent at ``now``, or None when it may be.

    A refused password waits for ``timing.lockout`` seconds; in the keeper, which nobody watches, for twice as long
    after each further refusal. A login whose outcome is unclear may be sent once more by the hook, and by nobody
    else.
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
    """Return for how many more seconds a record keeps the hook from sending that password again, 0 without one."""
    return max(0.0, record.at + timing.lockout - now) if record is not None else 0.0


def require_unrecorded(files: Path, login: Login, now: float, timing: Timing, *, hook: bool) -> None:
    """Raise LoginRefusedError or LoginUnansweredError if the mounted record says that ``login`` must not be sent."""
    why = block(mounted(files), login, now, timing, hook=hook)
    if why:
        raise refused(login, why)


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
        "Put the right password into its Secret or the values and try again at once: another password is sent. If this"
        f" one is right and the account was locked, wait {why.seconds:.0f} s.",
        sends=0,
    )


class LockoutRecord:
    """The record as the Kubernetes API holds it, of one run's login."""

    def __init__(self, run: Context, login: Login) -> None:
        self._run = run
        self._login = login
        self._salt = os.urandom(_SALT)
        self._claimed = False

    def claim(self, *, hook: bool) -> None:
        """Record that the password is about to be sent, and that its outcome is unclear until somebody says more.

        Raises LoginRefusedError or LoginUnansweredError if it must not be sent, ConflictError if somebody else was
        faster: of two keepers one sends.
        """
        record, version = self._read()
        now = self._run.argocd.now()
        why = block(record, self._login, now, self._run.timing, hook=hook)
        if why:
            raise refused(self._login, why)
        refusals = record.refusals if record is not None and record.is_of(self._login) else 0
        self._write(self._record("unclear", now, self._sends_in_a_row(record, now) + 1, refusals), version)
        self._claimed = True

    def note(self, verdict: Verdict, sends: int) -> None:
        """Record what became of this run's ``sends``. That it can't be recorded is a warning.

        The sends of other runs stay counted, because Argo CD counts them too.
        """

        def noted(before: Record | None) -> Record:
            now = self._run.argocd.now()
            refusals = before.refusals if before is not None and before.is_of(self._login) else 0
            others = max(0, self._sends_in_a_row(before, now) - self._claimed)
            return self._record(verdict, now, others + sends, refusals + (verdict == "refused"))

        try:
            self._update(noted)
        except AuthError as e:
            log.warning(f"The refused login could not be recorded ({e}) Do not send the same password again soon.")

    def withdraw(self) -> None:
        """Take the claim back: Argo CD has certainly not looked at the password. Claims of other runs stay."""

        def withdrawn(before: Record | None) -> Record | None:
            if before is None or not before.is_of(self._login):
                return before
            return replace(before, sends=before.sends - 1) if before.sends > 1 else None

        if self._claimed:
            self._try_to_update(withdrawn)

    def clear(self) -> None:
        """Empty the record after a login that Argo CD accepted."""
        self._try_to_update(lambda _: None)

    def _try_to_update(self, change: Callable[[Record | None], Record | None]) -> None:
        try:
            self._update(change)
        except AuthError as e:
            log.warning(f"The record of refused logins could not be changed ({e})")

    def _sends_in_a_row(self, record: Record | None, now: float) -> int:
        if record is None or not record.is_of(self._login) or now - record.at >= self._run.timing.lockout:
            return 0
        return record.sends

    def _update(self, change: Callable[[Record | None], Record | None]) -> None:
        for attempt in range(_TRIES):
            before, version = self._read()
            after = change(before)
            if after == before:
                return
            try:
                self._write(after, version)
            except ConflictError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    def _record(self, verdict: Verdict, now: float, sends: int, refusals: int) -> Record:
        salt = base64.b64encode(self._salt).decode()
        return Record(salt, _hash(self._login, self._salt), now, sends, verdict, refusals)

    def _read(self) -> tuple[Record | None, str]:
        found = configmap.read(self._run.cluster, self._run.release.namespace, self._run.settings.refused_record)
        return (parse(found[0].get(KEY)), found[1]) if found else (None, "")

    def _write(self, record: Record | None, version: str) -> None:
        data = {KEY: json.dumps(asdict(record))} if record else {}
        spec = configmap.Spec(self._run.settings.refused_record, "refused-password")
        configmap.write(self._run.cluster, self._run.release, self._run.chart, spec, data, version)


def _hash(login: Login, salt: bytes) -> str:
    text = json.dumps([login.url, login.account, login.password]).encode()
    return base64.b64encode(hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1)).decode()
