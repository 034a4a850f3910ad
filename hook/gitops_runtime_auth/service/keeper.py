"""Does one check of the keeper (``type: password``): makes sure that the key works, or issues another one.

``Keeper.check`` reads Secret and account, ``decide`` chooses the next step, and the other methods do it.
"""

from dataclasses import replace

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    ConflictError,
    FreshKeyRefusedError,
    LoginRefusedError,
    PrivilegeError,
    RetryableError,
)
from gitops_runtime_auth.keys import issue, privileges, revoke, working
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.keys.session import session
from gitops_runtime_auth.keys.working import WorkingKey
from gitops_runtime_auth.kube import namespace
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys
from gitops_runtime_auth.service import handover, metrics, tell
from gitops_runtime_auth.service.decision import Memory, Seen, Step, decide, with_loss
from gitops_runtime_auth.service.health import Status, Verdict


class Keeper:
    """Keeps the key of one release working. Several keepers may run, because each writes only what it has read."""

    def __init__(self, base: Context) -> None:
        self._base = base
        self._memory = Memory()
        self._last = StoredKeys()
        """The content of the Secret when it last contained a key, whether or not Argo CD accepted it."""

    def check(self) -> Verdict:
        """Check once, and issue a key if none works. Raises every error of ``errors``."""
        try:
            return self._check()
        except ConflictError as e:  # another keeper or an upgrade was faster
            log.debug(f"{e} Checking again.")
            return self._check()

    def _check(self) -> Verdict:
        run = self._base.again(self._base.timing.check)
        try:
            stored = run.key_secret.read()
            if not stored.current and namespace.is_going(run.cluster, run.release.namespace):
                return self.leave(run)
        except RetryableError:
            return self._without_kubernetes(run)
        self._last = stored if stored.current else self._last
        seen = _look(run, stored)
        step, memory = decide(self._memory, seen, run.settings.max_age, run.timing)
        self._remember(run, memory)
        match step:
            case Step.STAND_BY:
                return Verdict(
                    Status.STANDING_BY, "An upgrade has changed account or server; its own keeper takes over."
                )
            case Step.WAIT:
                return tell.reset_by_others(run, memory)
            case Step.ISSUE:
                metrics.KEY_VALID.set(0)  # even if the Secret was deleted, so that Argo CD was not asked
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
                return self._hand_over(run, working.tidy(run, WorkingKey(stored.current, seen.account, stored)))

    def _remember(self, run: Context, memory: Memory) -> None:
        """Replace the memory, and report a key that was lost."""
        if len(memory.lost) > len(self._memory.lost) or memory.lost_key != self._memory.lost_key:
            metrics.KEY_LOSSES.inc()
        metrics.KEYS_RESET.set(memory.storm)
        if memory.storm and not self._memory.storm:
            tell.of_storm(run, memory)
        self._memory = memory

    def leave(self, run: Context) -> Verdict:
        """Revoke the release's keys, because its namespace is being deleted.

        The Secret, or the right to read it, may no longer exist, so the keys that were read last are revoked, too.
        """
        known = [self._memory.known, self._last]
        try:
            known.append(run.key_secret.read())
        except AuthError as e:
            log.debug(f"The Secret can't be read any more: {e}")
        keys = {key.token: key for stored in known for key in stored.all}
        left = [sentence for key in keys.values() if (sentence := _revoke(run, key))]
        if not keys:
            left = [f"This keeper has seen no API key. {revoke.BY_HAND}"]
        for sentence in left:
            log.warning(sentence)
        done = "but not all API keys of this release could be" if left else "so the API keys of this release were"
        return Verdict(Status.FAILED, f"The namespace is being deleted, {done} revoked.")

    def _without_kubernetes(self, run: Context) -> Verdict:
        # The key that worked last belongs to this installation; checking that again would need the Kubernetes API.
        account = _ask_about(run, self._memory.known.current).account
        if account is None:
            return Verdict(
                Status.REFUSED, "No API key is known to work, and the Kubernetes API does not answer.", "", True
            )
        return Verdict(
            Status.READY, f"Argo CD accepts the API key of account {account.name}; Kubernetes does not answer."
        )

    def _issue(self, run: Context, seen: Seen) -> WorkingKey:
        """Issue a key with one that is no longer in the Secret, but that Argo CD still accepts, else with a login."""
        remembered, known = self._memory.known, self._memory.known.current
        found = working.find(run, seen.stored)
        if found:
            return _won(run, working.adopt(run, found))
        if known and known != seen.stored.current and _ask(run, remembered).account:
            over = replace(remembered, resource_version=seen.stored.resource_version)
            return _won(run, issue.issue(run, known.account, known.token, over))
        return self._log_in(run)

    def _log_in(self, run: Context) -> WorkingKey:
        login = Login(run.settings.server.url, run.settings.auth.username, run.credential())
        try:
            with session(run, login) as token:
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

    def _hand_over(self, run: Context, found: WorkingKey) -> Verdict:
        """Restart the consumers for a new key, revoke replaced keys if it is time, and return the result."""
        if found.created:
            tell.of_new_key(run, found)
        stored = run.key_secret.read() if found.created else found.stored
        self._memory = replace(self._memory, known=stored)
        tell.measure(run, found)
        now = run.argocd.now()
        age = now - (found.account.issued_at(found.key.key_id) or now)
        if self._memory.storm and age < run.timing.storm_settles:
            return tell.reset_by_others(run, self._memory)
        self._memory = handover.restart_consumers(run, found, stored, self._memory)
        again_soon, self._memory = handover.revoke_replaced(run, stored, now, self._memory)
        return Verdict(Status.READY, f"Argo CD accepts the API key of account {found.account.name}.", "", again_soon)


def _revoke(run: Context, key: StoredKey) -> str | None:
    try:
        return revoke.revoke_all(run, key)
    except AuthError as e:  # the installation's identity can't be read any more
        return f"The API key {key.key_id} of account {key.account} is still valid: {e}"


def _won(run: Context, found: WorkingKey | None) -> WorkingKey:
    if found is None:
        raise ConflictError(f'Secret "{run.settings.key_secret.name}"')
    return found


def _look(run: Context, stored: StoredKeys) -> Seen:
    current = stored.current
    answered = _ask(run, stored)
    of_settings = current is not None and working.is_of_settings(run, current)
    return Seen(run.argocd.now(), stored, of_settings, answered.account, answered.refusal)


def _ask(run: Context, stored: StoredKeys) -> working.Answered:
    """Ask Argo CD about the key in use. A key of another installation, from a copied Secret, counts as none."""
    current = stored.current
    if current is not None and not run.installation.owns(current.key_id):
        return working.Answered()
    return _ask_about(run, current)


def _ask_about(run: Context, key: StoredKey | None) -> working.Answered:
    try:
        answered = working.ask(run, key)
    except PrivilegeError:
        metrics.answered(valid=False)
        raise
    if answered.account or answered.refusal:
        metrics.answered(valid=answered.account is not None)
    return answered
