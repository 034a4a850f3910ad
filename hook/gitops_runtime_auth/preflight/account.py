"""Reports what the account has and lacks, row by row, with the remedy that lasts at this Argo CD."""

from collections.abc import Collection

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.errors import KeyRefusedError, PrivilegeError, Refusal
from gitops_runtime_auth.keys import privileges, remedies
from gitops_runtime_auth.preflight.proof import PRIVILEGE, Inputs, account_name, prove
from gitops_runtime_auth.preflight.report import Report, StopError

ROW = {"password": "Login", "token": "Token"}
"""Name of the credential's row, by auth type."""
_OURS = "gra."
"""Beginning of the ids of all API keys that this product made."""


def check(inputs: Inputs, report: Report) -> None:
    """Add the rows for credential and account. Raises StopError if the next ones can't be checked."""
    row = ROW[inputs.settings.auth.type]
    with report.step(row):
        try:
            proof = prove(inputs)
        except KeyRefusedError as e:
            if e.refusal not in PRIVILEGE:
                raise
            report.ok(row, "the credential is right")
            _refused(inputs, report, account_name(inputs), e.refusal)
            raise StopError from None
    report.ok(row, proof.how)
    account = proof.account
    report.ok("Account", f"{account.name} exists")
    _privileges(inputs, report, account)
    ours = sum(key.id.startswith(_OURS) for key in account.keys)
    report.ok("API keys", f"{len(account.keys)} now, {ours} of them made by releases of this chart")
    with report.step("RBAC role"):
        if inputs.argocd.may_see_applications(proof.bearer):
            report.ok("RBAC role", f"{account.name} may see all applications")
        else:
            problem = f"{account.name} may not see all applications, which is right if the Runtime needs only some"
            report.warn("RBAC role", problem, remedies.granting(inputs.manager, account.name))


def _refused(inputs: Inputs, report: Report, name: str, why: Refusal) -> None:
    """Report a refusal because of a missing privilege, in the row of that privilege."""
    manager, needed = inputs.manager, privileges.NEEDED[inputs.settings.auth.type]
    if why is Refusal.ACCOUNT_MISSING:
        problem = f"Argo CD has no account {name} any more; its keys would work again if it was added again."
        report.fail("Account", PrivilegeError(problem, remedies.making(manager, name, needed)))
        return
    report.ok("Account", f"{name} exists")
    if why is Refusal.ACCOUNT_DISABLED:
        _disabled(inputs, report, name)
        return
    lacking = PRIVILEGE[why]
    _lacks(inputs, report, name, (lacking,), privileges.others(manager, name, lacking))


def _privileges(inputs: Inputs, report: Report, account: Account) -> None:
    if account.enabled:
        report.ok("Enabled", "yes")
    else:
        _disabled(inputs, report, account.name)
    kind = inputs.settings.auth.type
    for capability in privileges.NEEDED[kind]:
        if capability in account.capabilities:
            report.ok(capability, "yes")
    if missing := privileges.lacking(account, kind):
        _lacks(inputs, report, account.name, missing, account.capabilities)


def _disabled(inputs: Inputs, report: Report, name: str) -> None:
    remedy = remedies.enabling(inputs.manager, name)
    report.fail("Enabled", PrivilegeError(f"Argo CD account {name} is disabled.", remedy))


def _lacks(inputs: Inputs, report: Report, name: str, missing: tuple[str, ...], has: Collection[str]) -> None:
    """Add a row for each missing capability. They share one remedy, which adds all of them."""
    manager, adds, note = inputs.manager, inputs.settings.enable_api_key, ""
    if adds and manager.takes_changes_back:
        note = f" hook.enableApiKey can't add it, because {manager} would undo that."
    remedy = remedies.remedy(manager, name, missing, has)
    for capability in missing:
        if capability == "apiKey" and adds and not note:
            report.warn(capability, "lacking; the hook will add it (hook.enableApiKey)")
        else:
            problem = f"Argo CD account {name} lacks the {' and '.join(missing)} capability.{note}"
            report.fail(capability, PrivilegeError(problem, remedy))
