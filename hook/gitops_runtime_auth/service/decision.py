"""What follows from one look at the key: a pure function of what the keeper remembers and what it sees."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.errors import Refusal
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.timing import Timing

_LOSSES_OF_A_STORM = 3
_LOSSES_REMEMBERED = 20
"""More than it takes to come to the longest pause."""
_RENEW_AT = 2 / 3
"""Part of its life after which a key that Argo CD gave an end is replaced."""


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
