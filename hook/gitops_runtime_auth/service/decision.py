"""Decides what the keeper does next: a pure function of what it remembers and what it sees."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.errors import Refusal
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.timing import Timing

_LOSSES_OF_A_STORM = 3
_LOSSES_REMEMBERED = 20
"""Number of losses with which the longest pause is reached."""
_RENEW_AT = 2 / 3
"""Part of the lifetime after which a key that expires is replaced."""


class Step(Enum):
    """What the keeper does next."""

    KEEP = auto()
    """The key works. The consumers are restarted if they do not have it yet."""
    ROTATE = auto()
    """The key works, but is too old, or expires soon. Its successor is issued with it."""
    ISSUE = auto()
    """No key works. A new one is issued."""
    WAIT = auto()
    """Somebody resets the account's keys again and again. The next one is issued later."""
    STAND_BY = auto()
    """An upgrade has changed account or server. Its own keeper takes over."""


@dataclass(frozen=True)
class Seen:
    """The content of the Secret, and Argo CD's answer about its key. Times are by Argo CD's clock, in Unix seconds."""

    now: float
    stored: StoredKeys = field(default=StoredKeys())
    is_of_settings: bool = False
    """Whether the key belongs to the account and server of this keeper's settings."""
    account: Account | None = None
    refusal: Refusal | None = None

    @property
    def issued_at(self) -> float:
        """Time at which the key was made, ``now`` if Argo CD does not list it."""
        key = self.stored.current
        return float((self.account.issued_at(key.key_id) if self.account and key else 0) or self.now)


@dataclass(frozen=True)
class Memory:
    """What a keeper remembers between two checks. Times are by Argo CD's clock, in Unix seconds."""

    started: float = 0.0
    """Time of the first check of this process, whose settings are not newer than that."""
    known: StoredKeys = field(default=StoredKeys())
    """The content of the Secret when Argo CD last accepted its key."""
    lost: tuple[float, ...] = ()
    """Times at which somebody else revoked the key: the recent ones, or all of a storm."""
    lost_key: str = ""
    """The id of the key that was lost last, so that a loss is counted once."""
    issue_not_before: float = 0.0
    """Earliest time to issue the next key."""
    revoke_moved_not_before: float = 0.0
    """Earliest time to try again to revoke keys of another server, after one could not be revoked."""
    restarted_for: str = ""
    """The id of the key for which all consumers were restarted."""

    @property
    def storm(self) -> bool:
        """Whether somebody resets the account's keys again and again."""
        return len(self.lost) >= _LOSSES_OF_A_STORM


def decide(memory: Memory, seen: Seen, max_age: float, timing: Timing) -> tuple[Step, Memory]:
    """Return what to do next, and what to remember. ``max_age`` is in seconds, 0 for never."""
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
    """Tell whether the key in use must be replaced, but not while Pods may still use the one before it."""
    current, age = seen.stored.current, seen.now - seen.issued_at
    if any(current and (k.account, k.url) == (current.account, current.url) for k in seen.stored.previous):
        return False
    life = expires_at - seen.issued_at
    return bool(max_age and age > max_age) or bool(expires_at and age >= life * _RENEW_AT)


def _with_losses(memory: Memory, seen: Seen, timing: Timing) -> Memory:
    # In a storm the pauses are longer than the window, so losses count until a window has passed without one.
    lasts = memory.storm and seen.now < memory.issue_not_before + timing.storm_window
    lost = memory.lost if lasts else tuple(t for t in memory.lost if t > seen.now - timing.storm_window)
    current = seen.stored.current
    if seen.refusal is not Refusal.KEY_REVOKED or current is None or current.key_id == memory.lost_key:
        return replace(memory, lost=lost)
    return with_loss(replace(memory, lost=lost, lost_key=current.key_id), seen.now, timing)


def with_loss(memory: Memory, now: float, timing: Timing) -> Memory:
    """Return the memory with one more loss at ``now``. After the third one, the next key is issued later."""
    lost = (*memory.lost, now)[-_LOSSES_REMEMBERED:]
    further = len(lost) - _LOSSES_OF_A_STORM
    pause = min(timing.storm_longest_pause, timing.storm_first_pause * 2.0**further) if further >= 0 else 0.0
    return replace(memory, lost=lost, issue_not_before=now + pause if pause else 0.0)
