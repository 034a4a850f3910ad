"""What the account has and lacks, a row for each, with the remedy that lasts at this Argo CD."""

from collections.abc import Collection

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.errors import KeyRefusedError, PrivilegeError, Refusal
from gitops_runtime_auth.keys import privileges, remedies
from gitops_runtime_auth.preflight.proof import PRIVILEGE, Question, account_name, prove
from gitops_runtime_auth.preflight.report import Report, StopError

ROW = {"password": "Login", "token": "Token"}
"""Name of the row on the credential, by auth type."""
_OURS = "gra."
"""How the ids of all API keys begin that this product made."""


def look(question: Question, report: Report) -> None:
    """Fill the rows on the credential and the account. Raises StopError when there is nothing more to ask."""
    row = ROW[question.settings.auth.type]
    with report.step(row):
        try:
            proof = prove(question)
        except KeyRefusedError as e:
            if e.refusal not in PRIVILEGE:
                raise
            report.ok(row, "the credential is right")
            _refused(question, report, account_name(question), e.refusal)
            raise StopError from None
    report.ok(row, proof.how)
    account = proof.account
    report.ok("Account", f"{account.name} exists")
    _privileges(question, report, account)
    ours = sum(key.id.startswith(_OURS) for key in account.keys)
    report.ok("API keys", f"{len(account.keys)} now, {ours} of them made by releases of this chart")
    with report.step("RBAC role"):
        if question.argocd.may_see_applications(proof.bearer):
            report.ok("RBAC role", f"{account.name} may see all applications")
        else:
            problem = f"{account.name} may not see all applications, which is right if the Runtime is to see some only"
            report.warn("RBAC role", problem, remedies.granting(question.manager, account.name))


def _refused(question: Question, report: Report, name: str, why: Refusal) -> None:
    """Report a refusal that says nothing against the credential in the row of the privilege that is missing."""
    manager, needed = question.manager, privileges.NEEDED[question.settings.auth.type]
    if why is Refusal.ACCOUNT_MISSING:
        problem = f"Argo CD has no account {name} any more; its keys would work again if it came back."
        report.fail("Account", PrivilegeError(problem, remedies.making(manager, name, needed)))
        return
    report.ok("Account", f"{name} exists")
    if why is Refusal.ACCOUNT_DISABLED:
        _disabled(question, report, name)
        return
    # Of an account that may log in but not use keys, or the other way round, argocd-cm says what else it has.
    lacking = PRIVILEGE[why]
    listed = (manager.settings or {}).get(f"accounts.{name}", "login" if lacking == "apiKey" else "apiKey")
    _lacks(question, report, name, (lacking,), {part.strip() for part in listed.split(",")})


def _privileges(question: Question, report: Report, account: Account) -> None:
    if account.enabled:
        report.ok("Enabled", "yes")
    else:
        _disabled(question, report, account.name)
    kind = question.settings.auth.type
    for capability in privileges.NEEDED[kind]:
        if capability in account.capabilities:
            report.ok(capability, "yes")
    if missing := privileges.lacking(account, kind):
        _lacks(question, report, account.name, missing, account.capabilities)


def _disabled(question: Question, report: Report, name: str) -> None:
    remedy = remedies.enabling(question.manager, name)
    report.fail("Enabled", PrivilegeError(f"Argo CD account {name} is disabled.", remedy))


def _lacks(question: Question, report: Report, name: str, missing: tuple[str, ...], has: Collection[str]) -> None:
    """Add a row for each missing capability; one remedy gives all of them."""
    manager, adds, note = question.manager, question.settings.enable_api_key, ""
    if adds and manager.takes_changes_back:
        note = f" hook.enableApiKey can't add it, because {manager} would take it back."
    remedy = remedies.remedy(manager, name, missing, has)
    for capability in missing:
        if capability == "apiKey" and adds and not note:
            report.warn(capability, "lacking; the hook will add it (hook.enableApiKey)")
        else:
            problem = f"Argo CD account {name} lacks the {' and '.join(missing)} capability.{note}"
            report.fail(capability, PrivilegeError(problem, remedy))
