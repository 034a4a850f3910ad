"""What the keeper does at one check (``type: password``): see that the key works, else issue another.

``check`` looks, ``decide`` says what follows from it, and the rest does that. ``decide`` is a pure function of what the
keeper remembers and what it sees.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    ConflictError,
    FreshKeyRefusedError,
    LoginRefusedError,
    PrivilegeError,
    Refusal,
    RetryableError,
)
from gitops_runtime_auth.keys import issue, privileges, revoke
from gitops_runtime_auth.keys.issue import WorkingKey
from gitops_runtime_auth.keys.lockout import LockoutRecord, Login
from gitops_runtime_auth.keys.session import session
from gitops_runtime_auth.kube import events, namespace, rollout
from gitops_runtime_auth.kube.rollout import Workload
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.health import Status
from gitops_runtime_auth.timing import Timing

_LOSSES_OF_A_STORM = 3
_LOSSES_REMEMBERED = 20
"""More than it takes to come to the longest pause."""
_RENEW_AT = 2 / 3
"""Part of its life after which a key that Argo CD gave an end is replaced."""


@dataclass(frozen=True)
class Verdict:
    """What a check came to. ``again_soon``: something is under way that should not wait for the interval."""

    status: Status
    reason: str
    remedy: str = ""
    again_soon: bool = False
    warn: bool = False
    """It works now and will not for long: worth an Event."""

    @property
    def ready(self) -> bool:
        """Tell whether the key works."""
        return self.status is Status.READY


class Step(Enum):
    """What follows from a look at the key."""

    KEEP = auto()
    """The key works: nothing to do but bring the consumers to it."""
    ROTATE = auto()
    """The key works and is too old, or ends soon: it issues its successor."""
    ISSUE = auto()
    """No key works: issue one."""
    WAIT = auto()
    """Somebody resets the account's keys again and again: the next one is issued later."""
    STAND_BY = auto()
    """An upgrade moved on to another account or server: its keeper takes over."""


@dataclass(frozen=True)
class Seen:
    """One look at the Secret and at Argo CD's answer to the key in it. Times are Argo CD's, in Unix seconds."""

    now: float
    stored: StoredKeys = field(default=StoredKeys())
    is_of_settings: bool = False
    """The key is of the account and server that this keeper's settings name."""
    account: Account | None = None
    refusal: Refusal | None = None

    @property
    def issued_at(self) -> float:
        """When the key was made; ``now`` when Argo CD does not say."""
        key = self.stored.current
        return float((self.account.issued_at(key.key_id) if self.account and key else 0) or self.now)


@dataclass(frozen=True)
class Memory:
    """What a keeper remembers from one check to the next. Times are Argo CD's, in Unix seconds."""

    started: float = 0.0
    """The first check of this process; its settings are no newer."""
    known: StoredKeys = field(default=StoredKeys())
    """The Secret as it was when Argo CD last accepted its key."""
    lost: tuple[float, ...] = ()
    """When somebody else took the key out of the account: of late, or since that began to happen again and again."""
    lost_key: str = ""
    """The id of the key that was lost last, so that one loss counts once."""
    issue_not_before: float = 0.0
    revoke_moved_not_before: float = 0.0
    """Earliest time to revoke keys of another server again, after one could not be revoked."""
    followed: str = ""
    """The id of the key for which all consumers were seen to be restarted."""

    @property
    def storm(self) -> bool:
        """Tell whether somebody resets the account's keys again and again."""
        return len(self.lost) >= _LOSSES_OF_A_STORM


def decide(memory: Memory, seen: Seen, max_age: float, timing: Timing) -> tuple[Step, Memory]:
    """Return what follows from ``seen``, and what to remember. ``max_age`` is in seconds, 0 for never."""
    memory = _with_losses(replace(memory, started=memory.started or seen.now), seen, timing)
    current, since = seen.stored.current, seen.stored.since
    if current and not seen.is_of_settings and memory.started <= since and seen.now < since + timing.stand_by:
        return Step.STAND_BY, memory
    if seen.account is None:
        return (Step.WAIT if seen.now < memory.issue_not_before else Step.ISSUE), memory
    if current is not None and _is_due(seen, current.expires_at, max_age):
        return Step.ROTATE, memory
    return Step.KEEP, memory


def _is_due(seen: Seen, expires_at: int, max_age: float) -> bool:
    """Tell whether the key in use is to be replaced. Not while pods have yet to leave the one before it."""
    current, age = seen.stored.current, seen.now - seen.issued_at
    if any(current and (k.account, k.url) == (current.account, current.url) for k in seen.stored.previous):
        return False
    life = expires_at - seen.issued_at
    return bool(max_age and age > max_age) or bool(expires_at and age >= life * _RENEW_AT)


def _with_losses(memory: Memory, seen: Seen, timing: Timing) -> Memory:
    # While the pauses last, losses lie further apart than the window: they count until one has passed without a loss.
    lasts = memory.storm and seen.now < memory.issue_not_before + timing.storm_window
    lost = memory.lost if lasts else tuple(t for t in memory.lost if t > seen.now - timing.storm_window)
    current = seen.stored.current
    if seen.refusal is not Refusal.KEY_REVOKED or current is None or current.key_id == memory.lost_key:
        return replace(memory, lost=lost)
    return with_loss(replace(memory, lost=lost, lost_key=current.key_id), seen.now, timing)


def with_loss(memory: Memory, now: float, timing: Timing) -> Memory:
    """Return the memory with one more key lost at ``now``; from the third on, the next key is issued later."""
    lost = (*memory.lost, now)[-_LOSSES_REMEMBERED:]
    further = len(lost) - _LOSSES_OF_A_STORM
    pause = min(timing.storm_longest_pause, timing.storm_first_pause * 2.0**further) if further >= 0 else 0.0
    return replace(memory, lost=lost, issue_not_before=now + pause if pause else 0.0)


class Keeper:
    """Keeps one release's key working. Any number of keepers may run, because writes are optimistic (see ``keys``)."""

    def __init__(self, base: Context) -> None:
        self._base = base
        self._memory = Memory()

    def check(self) -> Verdict:
        """Check once, and put right what can be. Raises every error of ``errors``."""
        try:
            return self._check()
        except ConflictError as e:  # another keeper or an upgrade was faster
            log.debug(f"{e} Looking again.")
            return self._check()

    def _check(self) -> Verdict:
        run = self._base.again(self._base.timing.check)
        try:
            stored = run.key_secret.read()
            if namespace.is_going(run.cluster, run.release.namespace):
                return self.leave(run, stored)
        except RetryableError:
            return self._without_kubernetes(run)
        seen = _look(run, stored)
        step, memory = decide(self._memory, seen, run.settings.max_age, run.timing)
        self._remember(run, memory)
        match step:
            case Step.STAND_BY:
                return Verdict(
                    Status.STANDING_BY, "An upgrade moved on to another account or server; its keeper takes over."
                )
            case Step.WAIT:
                return _reset_by_others(run, memory)
            case Step.ISSUE:
                try:
                    return self._hand_over(run, self._issue(run, seen))
                except FreshKeyRefusedError:  # lost before it was ever accepted
                    self._remember(run, with_loss(memory, run.argocd.now(), run.timing))
                    raise
            case Step.ROTATE:
                return self._hand_over(run, self._rotate(run, seen))
            case Step.KEEP:
                assert seen.account is not None and stored.current is not None  # noqa: S101, PT018 (it was accepted)
                revoke.revoke_leftovers(run, stored.current, seen.account)
                return self._hand_over(run, issue.tidy(run, WorkingKey(stored.current, seen.account, stored)))

    def _remember(self, run: Context, memory: Memory) -> None:
        """Take over what a look or an attempt came to, and tell of a key that was lost."""
        if len(memory.lost) > len(self._memory.lost) or memory.lost_key != self._memory.lost_key:
            metrics.KEY_LOSSES.inc()
        metrics.KEYS_RESET.set(memory.storm)
        if memory.storm and not self._memory.storm:
            _tell_of_storm(run, memory)
        self._memory = memory

    def leave(self, run: Context, stored: StoredKeys | None = None) -> Verdict:
        """Revoke the release's keys: the namespace is being deleted, and no key outlives it.

        ``stored`` is what the Secret still holds. Without it, the keys of the last good check count.
        """
        known = stored if stored and stored.current else self._memory.known
        for key in known.all:
            left = revoke.revoke_all(run, key)
            if left:
                log.warning(left)
        return Verdict(Status.FAILED, "The namespace is being deleted, so the API keys of this release were revoked.")

    def _without_kubernetes(self, run: Context) -> Verdict:
        # The key that worked last is this installation's: telling that anew would need the Kubernetes API.
        account = _ask_about(run, self._memory.known.current).account
        if account is None:
            return Verdict(
                Status.REFUSED, "No API key is known to work, and the Kubernetes API does not answer.", "", True
            )
        return Verdict(
            Status.READY, f"Argo CD accepts the API key of account {account.name}; Kubernetes does not answer."
        )

    def _issue(self, run: Context, seen: Seen) -> WorkingKey:
        """Issue a key: by one that the Secret has lost but that Argo CD still accepts, else by one login."""
        remembered, known = self._memory.known, self._memory.known.current
        found = issue.find_working(run, seen.stored)
        if found:
            return _won(run, issue.adopt(run, found))
        if known and known != seen.stored.current and _ask(run, remembered).account:
            over = replace(remembered, resource_version=seen.stored.resource_version)
            return _won(run, issue.issue(run, known.account, known.token, over))
        return self._log_in(run)

    def _log_in(self, run: Context) -> WorkingKey:
        login = Login(run.settings.server.url, run.settings.auth.username, run.credential())
        try:
            with session(run, login, LockoutRecord(run, login)) as token:
                stored = run.key_secret.read()
                account = issue.account_of_session(run, login.account, token)
                privileges.require(run, account)
                return issue.issue_by_session(run, token, stored, account)
        except LoginRefusedError as e:
            if e.sends:
                metrics.REFUSALS.labels("login").inc()
            raise

    @staticmethod
    def _rotate(run: Context, seen: Seen) -> WorkingKey:
        current = seen.stored.current
        assert seen.account is not None and current is not None  # noqa: S101, PT018 (it was accepted)
        new = issue.issue(run, current.account, current.token, seen.stored)
        return new or WorkingKey(current, seen.account, seen.stored)

    def _hand_over(self, run: Context, working: WorkingKey) -> Verdict:
        """Bring the consumers to the key, revoke the replaced ones when their time is over, and say how it stands."""
        if working.created:
            _tell_of_new_key(run, working)
        stored = run.key_secret.read() if working.created else working.stored
        self._memory = replace(self._memory, known=stored)
        _measure(run, working)
        now = run.argocd.now()
        age = now - (working.account.issued_at(working.key.key_id) or now)
        if self._memory.storm and age < run.timing.storm_settles:
            return _reset_by_others(run, self._memory)
        self._restart_consumers(run, working, stored)
        again_soon = bool(stored.previous) and self._revoke_replaced(run, stored, now)
        return Verdict(Status.READY, f"Argo CD accepts the API key of account {working.account.name}.", "", again_soon)

    def _restart_consumers(self, run: Context, working: WorkingKey, stored: StoredKeys) -> None:
        """Restart the consumers that are older than the key: whoever issued it may have ended before it could."""
        key_id = working.key.key_id
        if not run.settings.restart_consumers or key_id == self._memory.followed:
            return
        since = None if working.created else stored.since
        rollout.restart(run.cluster, run.release.namespace, _consumers(run), key_id, since)
        self._memory = replace(self._memory, followed=key_id)

    def _revoke_replaced(self, run: Context, stored: StoredKeys, now: float) -> bool:
        """Revoke replaced keys once every consumer runs with the new one and the grace period is over.

        What an upgrade to another server replaced is left to the hook after the upgrade for as long as that may take.
        Returns whether there is more to do soon.
        """
        moved = [k for k in stored.previous if not issue.is_of_settings(run, k)]
        own = [k for k in stored.previous if k not in moved]
        due = now >= stored.since + max(run.settings.grace_period, run.settings.another_run)
        if not due or now < self._memory.revoke_moved_not_before:
            moved = []
        if not own and not moved:
            return False
        if now < stored.since + run.settings.grace_period:
            return True
        if rollout.unfinished(run.cluster, run.release.namespace, _consumers(run)):
            return True
        for sentence in revoke.revoke_replaced(run, stored, [*own, *moved]):
            log.warning(sentence)
            self._memory = replace(self._memory, revoke_moved_not_before=now + run.timing.moved_again)
        return False


def _won(run: Context, working: WorkingKey | None) -> WorkingKey:
    if working is None:
        raise ConflictError(f'Secret "{run.settings.key_secret.name}"')
    return working


def _look(run: Context, stored: StoredKeys) -> Seen:
    current = stored.current
    answered = _ask(run, stored)
    of_settings = current is not None and issue.is_of_settings(run, current)
    return Seen(run.argocd.now(), stored, of_settings, answered.account, answered.refusal)


def _ask(run: Context, stored: StoredKeys) -> issue.Answered:
    """Ask Argo CD about the key in use; one of another installation, whose Secret was copied, counts as none."""
    current = stored.current
    if current is not None and not run.installation.owns(current.key_id):
        return issue.Answered()
    return _ask_about(run, current)


def _ask_about(run: Context, key: StoredKey | None) -> issue.Answered:
    try:
        answered = issue.ask(run, key)
    except PrivilegeError:
        metrics.answered(valid=False)
        raise
    if answered.account or answered.refusal:
        metrics.answered(valid=answered.account is not None)
    return answered


def _measure(run: Context, working: WorkingKey) -> None:
    now = run.argocd.now()
    metrics.KEY_VALID.set(1)
    metrics.KEY_AGE.set(max(0.0, now - (working.account.issued_at(working.key.key_id) or now)))
    metrics.expires(working.key.expires_at)


def _tell_of_new_key(run: Context, working: WorkingKey) -> None:
    metrics.REGENERATIONS.inc()
    message = f"Issued the API key {working.key.key_id} of account {working.key.account}."
    log.info(message)
    events.emit(run.cluster, run.pod, run.release.namespace, "Normal", "ApiKeyRegenerated", message)


def _tell_of_storm(run: Context, memory: Memory) -> None:
    verdict = _reset_by_others(run, memory)
    message = f"{verdict.reason} {verdict.remedy}"
    events.emit(run.cluster, run.pod, run.release.namespace, "Warning", "ApiKeysResetByOthers", message)


def _reset_by_others(run: Context, memory: Memory) -> Verdict:
    account, where = run.settings.auth.username, run.settings.server.namespace
    field = f"accounts.{account}.tokens"
    return Verdict(
        Status.REFUSED,
        f"Somebody else resets the API keys of account {account} in Argo CD: {len(memory.lost)} keys were lost within"
        f" {run.timing.storm_window / 60:.0f} minutes, so the next one is issued later and no consumer is restarted.",
        f"Find who writes {field} in Secret argocd-secret: kubectl -n {where} get secret argocd-secret"
        " --show-managed-fields -o yaml. Then leave that field to Argo CD: ignoreDifferences (an Application),"
        " creationPolicy Merge without that key (External Secrets), ignore_changes (Terraform).",
    )


def _consumers(run: Context) -> list[Workload]:
    return [Workload.parse(name) for name in run.settings.consumers]
