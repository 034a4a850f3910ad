"""``cleanup``, the post-delete hook: no key of the release stays alive in Argo CD, no Secret in the namespace.

Every step is tried, whatever became of the others, and none of them can make ``helm uninstall`` fail.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConflictError, ForeignSecretError
from gitops_runtime_auth.keys import handover
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.secret import Stored
from gitops_runtime_auth.retry import Deadline

_ARGOCD_SECONDS = 30.0
"""Argo CD being gone is a common reason to uninstall: it gets this long, or a third of ``hook.timeout``."""

BY_HAND = "Keys of this release, if any, are named gra.*: argocd account get and argocd account delete-token."
"""What to do by hand where the clean-up could not."""


def cleanup(context: Context, job: str = "", pod: str = "") -> None:
    """Revoke the release's keys, delete its Secret, its failed install Job and its test Pod; say what was left."""
    argocd = replace(context, deadline=Deadline(min(_ARGOCD_SECONDS, context.settings.timeout / 3)))
    stored = _stored(context)
    if stored is not None:
        _try(lambda: _revoke(argocd, stored, job), _revoking(stored))
        _try(lambda: _remove(context), f'deleting Secret "{store.NAME}"')
    namespace = f"namespaces/{context.owner.namespace}"
    if job:
        _try(lambda: context.cluster.delete(f"/apis/batch/v1/{namespace}/jobs/{job}"), f"deleting Job {job}")
    if pod:
        _try(lambda: context.cluster.delete(f"/api/v1/{namespace}/pods/{pod}"), f"deleting Pod {pod}")


def _stored(context: Context) -> Stored | None:
    try:
        return store.fetch(context.cluster, context.owner.namespace, context.owner.release)
    except ForeignSecretError:
        log.info(f'Secret "{store.NAME}" is not this release\'s, so it stays.')
        return None
    except AuthError as e:
        log.warning(f"{e.problem} The mounted Secret is used instead.")
        return store.mounted(context.files / "key")


def _revoke(context: Context, stored: Stored, job: str) -> None:
    current = stored.current.key_id() if stored.current else ""
    for entry in stored.previous:
        _tell(handover.revoke(context, entry, keep=current))
    if context.settings.auth.type == "password" and keys.accepted(context, stored.current) is None:
        if _refused(context, job):
            log.info("Argo CD refused the last install or upgrade, so nobody logs in to look for keys.")
        else:
            _log_in_and_revoke(context, stored)
    elif stored.current:
        _tell(handover.revoke(context, stored.current))


def _refused(context: Context, job: str) -> bool:
    """Tell whether the hook's last Job was refused: it took back what it made, and a refused password is sent once.

    The exit code is in the message of ``podFailurePolicy`` (``pkg/controller/job/pod_failure_policy.go``).
    """
    path = f"/apis/batch/v1/namespaces/{context.owner.namespace}/jobs/{job}"
    conditions = ((context.cluster.get(path) if job else None) or {}).get("status", {}).get("conditions") or []
    return any(c.get("type") == "Failed" and f"exit code {os.EX_NOPERM} " in c.get("message", "") for c in conditions)


def _log_in_and_revoke(context: Context, stored: Stored) -> None:
    """No key vouches for the release any more: one login, if the credential is still there."""
    username, argocd = context.settings.auth.username, context.argocd
    if stored.current and not handover.same_place(stored.current, context.entry("", username)):
        _tell(handover.revoke(context, stored.current))  # of other settings, which an upgrade that failed left
    session = argocd.login(username, context.credential())
    try:
        for key in argocd.account(username, session).keys:
            if context.owner.owns(key.id):
                argocd.delete_key(username, key.id, session)
                log.info(f"Revoked the API key {key.id} of account {username}.")
    finally:
        keys.end_session(argocd, session)


def _remove(context: Context) -> None:
    if store.remove(context.cluster, context.owner.namespace, context.owner.release):
        log.info(f'Deleted Secret "{store.NAME}".')


def _tell(left: str | None) -> None:
    if left:
        log.warning(left)


def _revoking(stored: Stored) -> str:
    ids = [e.key_id() for e in (stored.current, *stored.previous) if e and e.key_id()]
    return f"revoking the API key {', '.join(ids)}" if ids else "looking for API keys to revoke"


def _try(step: Callable[[], None], what: str) -> None:
    try:
        step()
    except (AuthError, ConflictError) as e:
        log.warning(f"{what[0].upper()}{what[1:]} failed: {e} {BY_HAND}")
