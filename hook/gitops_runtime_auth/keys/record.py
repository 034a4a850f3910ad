"""Keeps the record of a refused password in a ConfigMap that the hooks and the keeper share.

It is not a Secret, because whoever may create and read Secrets can obtain the token of any ServiceAccount.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConflictError
from gitops_runtime_auth.keys.lockout import Login, Record, Verdict, block, parse, record_of, refused
from gitops_runtime_auth.kube import configmap
from gitops_runtime_auth.mounted import text
from gitops_runtime_auth.timing import Timing

KEY = "record"
"""Key of the record in the ConfigMap's data."""
_TRIES = 5
"""Tries to write the ConfigMap while others write it, too."""


def read(run: Context) -> tuple[Record | None, str]:
    """Return the record in the Kubernetes API, and the version of the ConfigMap, which is empty if there is none."""
    found = configmap.read(run.cluster, run.release.namespace, run.settings.refused_record)
    return (parse(found[0].get(KEY)), found[1]) if found else (None, "")


def mounted(files: Path) -> Record | None:
    """Return the record that was mounted when this Pod started."""
    return parse(text(files / "refused" / KEY))


def require_unrecorded(files: Path, login: Login, now: float, timing: Timing, *, hook: bool) -> None:
    """Raise LoginRefusedError or LoginUnansweredError if the mounted record says that ``login`` must not be sent."""
    why = block(mounted(files), login, now, timing, hook=hook)
    if why:
        raise refused(login, why)


class LockoutRecord:
    """Writes the record of one run's login through the Kubernetes API."""

    def __init__(self, run: Context, login: Login) -> None:
        self._run = run
        self._login = login
        self._claimed = False

    def claim(self, *, hook: bool) -> None:
        """Record that the password is about to be sent, with an unclear outcome until ``note`` or ``clear``.

        Raises LoginRefusedError or LoginUnansweredError if it must not be sent, ConflictError if another run was
        faster, so that only one of two keepers sends it.
        """
        record, version = read(self._run)
        now = self._run.argocd.now()
        why = block(record, self._login, now, self._run.timing, hook=hook)
        if why:
            raise refused(self._login, why)
        refusals = record.refusals if record is not None and record.is_of(self._login) else 0
        self._write(record_of(self._login, now, self._sends_in_a_row(record, now) + 1, "unclear", refusals), version)
        self._claimed = True

    def note(self, verdict: Verdict, sends: int) -> None:
        """Record the outcome of this run's ``sends``. A failure is only a warning.

        The sends of other runs are added, because Argo CD counts them, too.
        """

        def noted(before: Record | None) -> Record:
            now = self._run.argocd.now()
            refusals = before.refusals if before is not None and before.is_of(self._login) else 0
            others = max(0, self._sends_in_a_row(before, now) - self._claimed)
            return record_of(self._login, now, others + sends, verdict, refusals + (verdict == "refused"))

        try:
            self._update(noted)
        except AuthError as e:
            log.warning(f"The refused login could not be recorded ({e}) Do not send the same password again soon.")

    def withdraw(self) -> None:
        """Undo ``claim``, because Argo CD has certainly not looked at the password. Claims of other runs stay."""

        def withdrawn(before: Record | None) -> Record | None:
            if before is None or not before.is_of(self._login):
                return before
            return replace(before, sends=before.sends - 1) if before.sends > 1 else None

        if self._claimed:
            self._try_to_update(withdrawn)

    def clear(self) -> None:
        """Empty the record after a login that Argo CD accepted."""
        # The run goes on afterwards, and needs its time for making and storing the key.
        brief = replace(self._run, deadline=self._run.deadline.at_most(self._run.timing.event))
        LockoutRecord(brief, self._login)._try_to_update(lambda _: None)

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
            before, version = read(self._run)
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

    def _write(self, record: Record | None, version: str) -> None:
        data = {KEY: json.dumps(asdict(record))} if record else {}
        settings = self._run.settings
        spec = configmap.Spec(
            settings.refused_record, "refused-password", settings.common_labels, settings.common_annotations
        )
        configmap.write(self._run.cluster, self._run.release, self._run.chart, spec, data, version)
