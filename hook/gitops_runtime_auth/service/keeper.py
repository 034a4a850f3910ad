"""What the key keeper does at one check (``type: password``): see that the key works, else make another."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import LoginRefusedError, LoginUnansweredError, PrivilegeError, RetryableError
from gitops_runtime_auth.keys import handover, privileges
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.keys import revoke as revocation
from gitops_runtime_auth.keys.issue import Outcome
from gitops_runtime_auth.keys.successor import succeed
from gitops_runtime_auth.kube import events, rollout
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.secret import Entry, Stored
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.lockout import Refusals

CHECK_SECONDS = 45.0
"""Longest check, retries and a slow login (40 s) included."""
_MOUNT_FOLLOWS = 180.0
"""Seconds by which a mounted Secret has followed for sure (the kubelet's sync period and cache: under 2 minutes)."""
_TRY_MOVED_AGAIN = 3600.0
_LOCKOUT = 330.0
"""Seconds. Argo CD forgets failed logins after 5 minutes (``ARGOCD_SESSION_FAILURE_WINDOW_SECONDS``)."""


@dataclass(frozen=True)
class Verdict:
    """What a check came to. ``again_soon``: something is under way that should not wait for the interval."""

    ready: bool
    reason: str
    remedy: str = ""
    again_soon: bool = False


class Keeper:
    """Keeps one release's key alive. Any number of keepers may run: writes are optimistic (see ``keys``)."""

    def __init__(self, fresh: Callable[[float], Context], refusals: Refusals) -> None:
        self._fresh = fresh
        self._refusals = refusals
        self._known = Stored()
        """The Secret as it was when Argo CD last accepted its key."""
        self._standing_by = False
        self._replaced = ("", 0.0)
        """The key that pods have yet to take, and the (monotonic) time at which this process saw it first."""
        self._moved_due = 0.0
        self._no_login_before = 0.0
        self._followed = ""
        """The id of the key that all consumers were seen to be rolled out for."""

    def check(self) -> Verdict:
        """Check once, and put right what can be. Raises every error of ``errors``."""
        context = self._fresh(CHECK_SECONDS)
        try:
            stored = _fetch(context)
        except RetryableError:
            return self._without_kubernetes(context)
        if self._moved_on(context, stored):
            return Verdict(True, "An upgrade moved on to another account or server; this keeper stands by.")
        account = self._account(context, stored.current)
        if account is None:
            account, stored = self._regenerate(context, stored)
        else:
            revocation.revoke_leftovers(context, stored, account)
            if self._too_old(context, stored, account):
                account, stored = self._rotate(context, stored, account)
        self._known = stored
        metrics.KEY_VALID.set(1)
        metrics.KEY_AGE.set(max(0.0, time.time() - _born(stored, account)))
        return Verdict(True, f"Argo CD accepts the API key of account {account.name}.", "", self._hand_over(context))

    def _without_kubernetes(self, context: Context) -> Verdict:
        account = self._account(context, self._known.current)
        if account is None:
            return Verdict(False, "Argo CD refuses the API key, and the Kubernetes API does not answer.", "", True)
        return Verdict(True, f"Argo CD accepts the API key of account {account.name}; Kubernetes does not answer.")

    @staticmethod
    def _account(context: Context, entry: Entry | None) -> Account | None:
        try:
            account = keys.accepted(context, entry)
        except PrivilegeError:
            metrics.answered(valid=False)
            raise
        metrics.answered(valid=account is not None)
        return account

    def _moved_on(self, context: Context, stored: Stored) -> bool:
        """Tell whether an upgrade's hook has stored a key for settings newer than this process'.

        It remembers the key that this keeper kept; then only the keeper with the new settings may write.
        """
        mine = context.entry("", context.settings.auth.username)
        now = stored.current
        away = now is not None and not handover.same_place(now, mine)
        remembered = any(handover.same_place(e, mine) for e in stored.previous)
        self._standing_by = away and (self._standing_by or remembered)
        return self._standing_by

    def _regenerate(self, context: Context, stored: Stored) -> tuple[Account, Stored]:
        known, outcome = self._known.current, None
        if known and known != stored.current and keys.accepted(context, known):
            # The Secret was deleted or edited, the key is fine: it makes its own successor.
            outcome = succeed(context, stored, known)
        outcome = outcome or self._log_in(context)
        return self._made(context, outcome)

    def _log_in(self, context: Context) -> Outcome:
        sent: list[str] = []

        def password() -> str:
            value = context.credential()
            self._refusals.check(value)
            sent.append(value)
            return value

        def approve(account: Account, _: str) -> Account:
            privileges.require(account, context.settings, context.argocd_namespace)
            return account

        if time.monotonic() < self._no_login_before:
            raise LoginUnansweredError(
                f"Argo CD at {context.settings.server.url} did not answer several logins in a row; the next one waits.",
                "Make sure that Argo CD is ready; this heals by itself. More attempts could lock the account.",
                status=0,
                code=-1,
            )
        try:
            return keys.ensure_key(context, _fetch(context), password, approve)
        except LoginUnansweredError:
            self._no_login_before = time.monotonic() + _LOCKOUT
            raise
        except LoginRefusedError:
            for value in sent:
                metrics.REFUSALS.labels("login").inc()
                self._refusals.remember(value)
            raise

    def _too_old(self, context: Context, stored: Stored, account: Account) -> bool:
        limit = context.settings.max_age
        under_way = any(stored.current and handover.same_place(e, stored.current) for e in stored.previous)
        return bool(limit) and not under_way and time.time() - _born(stored, account) > limit

    def _rotate(self, context: Context, stored: Stored, account: Account) -> tuple[Account, Stored]:
        assert stored.current is not None  # noqa: S101 (it was accepted)
        outcome = succeed(context, stored, stored.current)
        return self._made(context, outcome) if outcome else (account, stored)

    @staticmethod
    def _made(context: Context, outcome: Outcome) -> tuple[Account, Stored]:
        if outcome.created:
            metrics.REGENERATIONS.inc()
            message = f"Made the API key {outcome.entry.key_id()} of account {outcome.entry.account}."
            log.info(message)
            events.emit(context, "Normal", "ApiKeyRegenerated", message)
            if context.settings.restart_consumers:
                rollout.restart(context, outcome.entry.key_id())
        return outcome.account, _fetch(context)

    def _hand_over(self, context: Context) -> bool:
        """Bring the consumers to the new key, then revoke the replaced ones. Return whether there is more to do."""
        stored, now = self._known, time.monotonic()
        if stored.current is None:
            return False
        if not stored.previous:
            self._catch_up(context, stored)
            return False
        if self._replaced[0] != stored.current.key_id():
            # What an upgrade replaced is the post-upgrade hook's; where there are no hooks, it is done later.
            self._replaced, self._moved_due = (stored.current.key_id(), now), now + context.settings.timeout + 60
        moved = [
            e for e in stored.previous if context.owner.owns(e.key_id()) and not handover.same_place(e, stored.current)
        ]
        mine = [e for e in stored.previous if e not in moved]  # or somebody's junk
        if now < self._moved_due:
            moved = []
        if not mine and not moved:
            return False
        if context.settings.restart_consumers:
            if mine:
                rollout.restart(context, stored.current.key_id())
            if rollout.unfinished(context):
                return True
        elif now - self._replaced[1] < _MOUNT_FOLLOWS:
            return True
        for sentence in handover.retire(context, stored, [*mine, *moved]):
            log.warning(sentence)
            self._moved_due = now + _TRY_MOVED_AGAIN
        return False

    def _catch_up(self, context: Context, stored: Stored) -> None:
        """Restart consumers that are older than the key: whoever made it may have died before it could."""
        key_id = stored.current.key_id() if stored.current else ""
        if context.settings.restart_consumers and key_id != self._followed:
            rollout.restart(context, key_id, stored.since)
            self._followed = key_id


def _fetch(context: Context) -> Stored:
    return store.fetch(context.cluster, context.owner.namespace, context.owner.release)


def _born(stored: Stored, account: Account) -> float:
    key_id = stored.current.key_id() if stored.current else ""
    return next((float(k.issued_at) for k in account.keys if k.id == key_id), time.time())
