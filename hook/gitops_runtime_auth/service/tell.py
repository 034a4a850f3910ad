"""Reports the result of a keeper's check: in metrics, and by Events if something changed."""

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.keys.working import WorkingKey
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.decision import Memory
from gitops_runtime_auth.service.health import Status, Verdict


def measure(run: Context, found: WorkingKey) -> None:
    """Set the metrics for a key that works."""
    now = run.argocd.now()
    metrics.KEY_VALID.set(1)
    metrics.KEY_AGE.set(max(0.0, now - (found.account.issued_at(found.key.key_id) or now)))
    metrics.expires(found.key.expires_at)


def of_new_key(run: Context, found: WorkingKey) -> None:
    """Report that the keeper issued a key."""
    metrics.REGENERATIONS.inc()
    message = f"Issued the API key {found.key.key_id} of account {found.key.account}."
    log.info(message)
    run.emit("Normal", "ApiKeyRegenerated", message)


def of_storm(run: Context, memory: Memory) -> None:
    """Report that somebody resets the account's keys again and again."""
    verdict = reset_by_others(run, memory)
    message = f"{verdict.reason} {verdict.remedy}"
    run.emit("Warning", "ApiKeysResetByOthers", message)


def reset_by_others(run: Context, memory: Memory) -> Verdict:
    """Return the verdict for a time in which somebody resets the account's keys."""
    account, where = run.settings.auth.username, run.settings.server.namespace
    field = f"accounts.{account}.tokens"
    return Verdict(
        Status.REFUSED,
        f"Somebody else resets the API keys of account {account} in Argo CD: {len(memory.lost)} keys were lost within"
        f" {run.timing.storm_window / 60:.0f} minutes, so the next one is issued later and no consumer is restarted.",
        f"Find who writes {field} in Secret argocd-secret: kubectl -n {where} get secret argocd-secret"
        " --show-managed-fields -o yaml. Then exclude that field there: ignoreDifferences (an Application),"
        " creationPolicy Merge without that key (External Secrets), ignore_changes (Terraform).",
    )
