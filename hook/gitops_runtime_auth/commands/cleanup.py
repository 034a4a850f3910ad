"""``cleanup``, the hook after uninstall: revokes all keys of the release, and deletes its Secret.

Every step is tried, even if others have failed, and none can make ``helm uninstall`` fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gitops_runtime_auth import context, log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ForeignSecretError, LoginRefusedError
from gitops_runtime_auth.keys import issue, lockout, record, revoke, working
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.kube import secret
from gitops_runtime_auth.kube.api import configmap_path, secret_path
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.timing import Timing

_SHARE = 2 / 3
"""Part of ``hook.timeout`` that a run may take: the Job's deadline, for which ``helm uninstall`` waits, is
``hook.timeout``, and counts from before the Pod starts."""
_ARGOCD_SECONDS = 30.0
"""Time for Argo CD, or a third of ``hook.timeout``, because it often does not exist any more at an uninstall."""


def run(environ: Mapping[str, str], timing: Timing) -> int:
    """Run the hook in a Pod of the chart. Always return 0, because a failed hook blocks ``helm uninstall``."""
    try:
        with context.from_environment(environ, timing) as this:
            cleanup(this)
    except Exception as e:
        # The text of an unexpected error may contain a credential.
        log.warning(f"The clean-up ended early ({type(e).__name__}). {revoke.BY_HAND}")
    return 0


def cleanup(run: Context) -> None:
    """Revoke the release's keys, and delete its Secret and what Helm leaves behind. Log what is left."""
    run = replace(run, deadline=run.deadline.at_most(run.settings.timeout * _SHARE))
    stored = _stored(run)
    if stored is not None:
        short = replace(run, deadline=run.deadline.at_most(min(_ARGOCD_SECONDS, run.settings.timeout / 3)))
        _try(lambda: _revoke(short, stored), _revoking(stored))
        _try(lambda: _delete_secret(run), f'deleting Secret "{run.settings.key_secret.name}"')
    namespace = run.release.namespace
    for job in run.settings.leftover_jobs:
        _delete(run, f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}", f"Job {job}")
    for pod in run.settings.leftover_pods:
        _delete(run, f"/api/v1/namespaces/{namespace}/pods/{pod}", f"Pod {pod}")
    for name in run.settings.leftover_secrets:
        _delete(run, secret_path(namespace, name), f"Secret {name}")
    _try(lambda: _delete_record(run), f"deleting ConfigMap {run.settings.refused_record}")


def _stored(run: Context) -> StoredKeys | None:
    try:
        return run.key_secret.read()
    except ForeignSecretError:
        log.info(f'Secret "{run.settings.key_secret.name}" is not this release\'s, so it stays.')
        return None
    except AuthError as e:
        log.warning(f"{e.problem} The mounted Secret is used instead.")
        return secret.mounted(run.files / "key", run.settings.key_secret)


def _revoke(run: Context, stored: StoredKeys) -> None:
    """Revoke every key in the Secret, at the Argo CD that made it. Log in only if no key works."""
    current = stored.current.key_id if stored.current else None
    for key in stored.previous:
        _tell(revoke.revoke_all(run, key, keep=current))
    works = working.ask(run, stored.current).account is not None
    if stored.current and (works or not working.is_of_settings(run, stored.current)):
        _tell(revoke.revoke_all(run, stored.current))
    if run.settings.auth.type == "password" and not works:
        _log_in_and_revoke(run)


def _log_in_and_revoke(run: Context) -> None:
    """Log in once, if the credential still exists, to revoke keys of the release that no stored key can revoke.

    After a refused install it does not log in: that has revoked its keys, and a refused password is not sent again.
    """
    login = Login(run.settings.server.url, run.settings.auth.username, run.credential())
    recorded = record.mounted(run.files)
    if recorded is not None and recorded.is_of(login):
        log.info("Argo CD refused this password before, or did not answer, so it is not used to look for keys.")
        return
    with run.argocd.session(login.account, login.password, again_in_doubt=False) as token:
        for key in issue.account_of_session(run, login.account, token).keys:
            if run.installation.owns(key.id):
                run.argocd.delete_key(login.account, key.id, token)
                log.info(f"Revoked the API key {key.id} of account {login.account}.")


def _delete_secret(run: Context) -> None:
    if run.key_secret.delete():
        log.info(f'Deleted Secret "{run.settings.key_secret.name}".')
    run.key_secret.delete_former()


def _delete_record(run: Context) -> None:
    """Delete the record of a refused password, unless the password must not be sent again yet.

    An installer that retries uninstalls after a refused install and installs again at once (Flux does, for each of its
    ``retries``). Without the record, each try would send the password, and five of them lock the account.
    """
    name, namespace = run.settings.refused_record, run.release.namespace
    kept, version = record.read(run)
    seconds = lockout.counts_for(kept, run.argocd.now(), run.timing)
    if seconds:
        log.info(
            f"ConfigMap {name} stays for {seconds:.0f} s, so that the next install does not send the refused password"
            " again. It contains no secret, and you may delete it after that."
        )
    elif version:
        run.cluster.delete(configmap_path(namespace, name))


def _delete(run: Context, path: str, what: str) -> None:
    _try(lambda: run.cluster.delete(path), f"deleting {what}")


def _tell(left: str | None) -> None:
    if left:
        log.warning(left)


def _revoking(stored: StoredKeys) -> str:
    ids = [key.key_id for key in stored.all if key.key_id]
    return f"revoking the API key {', '.join(ids)}" if ids else "looking for API keys to revoke"


def _try(step: Callable[[], None], what: str) -> None:
    try:
        step()
    except LoginRefusedError as e:
        log.warning(f"{e.problem} {revoke.BY_HAND}")
    except AuthError as e:
        log.warning(f"{what[0].upper()}{what[1:]} failed: {e} {revoke.BY_HAND}")
