"""The part of ``check`` that asks Argo CD about the account: one login at most, ended afterwards."""

from dataclasses import dataclass, field

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account, ArgoCD
from gitops_runtime_auth.commands import ensure
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import KeyRefusedError, PrivilegeError
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube.secret import Stored
from gitops_runtime_auth.preflight.access import Laptop
from gitops_runtime_auth.preflight.report import Report, StopError
from gitops_runtime_auth.release import Owner
from gitops_runtime_auth.retry import Deadline

LOGIN_ROW = {"password": "Login", "token": "Token"}


@dataclass
class Look:
    """What is known before Argo CD is asked, and the report to fill."""

    settings: Settings
    release: str
    report: Report
    laptop: Laptop
    argocd: ArgoCD
    secret: str = field(repr=False)
    stored: Stored

    def run(self, deadline: Deadline) -> None:
        """Fill the rows on the account. Raises StopError when the credential is refused."""
        context = Context(
            settings=self.settings,
            owner=Owner("", self.laptop.namespace, self.release),
            deadline=deadline,
            connect_argocd=lambda *_: self.argocd,
        )
        claims = tokens.read(self.secret) if self.settings.auth.type == "token" else None
        name = claims.account if claims else self.settings.auth.username
        with self.report.step(LOGIN_ROW[self.settings.auth.type]):
            reused = "" if claims else self._working_key()
            try:
                bearer = self.secret if claims else reused or self._login(name)
                account = self.argocd.account(name, bearer)
            except KeyRefusedError as e:
                explained = privileges.explained(e, name, context.argocd_namespace)
                if isinstance(explained, PrivilegeError):
                    self._refused(name, e.reason, explained)
                    raise StopError from None
                if not claims:
                    raise
                refused = ensure.refused_token(context, claims, e)
                if self.settings.auth.ref is None:
                    refused.remedy = (
                        f"Make a new one (argocd account generate-token --account {name}) and set it instead."
                    )
                raise refused from None
        if claims:
            self.report.ok("Token", "an API key without expiry, and Argo CD accepts it")
        elif reused:
            self.report.ok("Login", "not needed, so not tried: the stored API key still works")
        else:
            self.report.ok("Login", "Argo CD accepts the password")
        self._privileges(account, context.argocd_namespace)
        ours = sum(keyid.startswith("gra.") for keyid in (key.id for key in account.keys))
        self.report.ok("API keys", f"{len(account.keys)} now, {ours} of them made by releases of this chart")
        with self.report.step("RBAC role"):
            if self.argocd.may_see_applications(bearer):
                self.report.ok("RBAC role", f"{name} may see applications")
            else:
                problem, _, remedy = privileges.no_role(name, context.argocd_namespace).partition(". ")
                self.report.warn("RBAC role", f"{problem}.", remedy)

    def _login(self, name: str) -> str:
        session = self.argocd.login(name, self.secret)
        self.laptop.stack.callback(keys.end_session, self.argocd, session)
        return session

    def _working_key(self) -> str:
        """Return the stored key if Argo CD accepts it for this account: then nobody need log in."""
        entry, username = self.stored.current, self.settings.auth.username
        if entry is None or (entry.account, entry.url) != (username, self.settings.server.url):
            return ""
        claims = entry.claims()
        if claims is None or claims.expires_at or claims.account != username:
            return ""
        try:
            self.argocd.account(username, entry.token)
        except KeyRefusedError:
            return ""
        return entry.token

    def _refused(self, name: str, reason: str, error: PrivilegeError) -> None:
        """A refusal for a missing privilege, which only a right credential is told, belongs in the privilege's row."""
        self.report.ok(LOGIN_ROW[self.settings.auth.type], "the credential is right")
        self.report.ok("Account", f"{name} exists")
        self.report.fail(next((c for c in privileges.CAPABILITIES if c in reason), "Enabled"), error)

    def _privileges(self, account: Account, namespace: str) -> None:
        self.report.ok("Account", f"{account.name} exists")
        if account.enabled:
            self.report.ok("Enabled", "yes")
        else:
            self.report.fail("Enabled", privileges.disabled(account.name, namespace))
        kind = self.settings.auth.type
        missing = privileges.lacking(account, kind)
        for capability in sorted(privileges.NEEDED[kind], reverse=True):
            if capability not in missing:
                self.report.ok(capability, "yes")
            elif capability == "apiKey" and self.settings.enable_api_key:
                self.report.warn(capability, "lacking; the hook will add it (hook.enableApiKey)")
            else:
                self.report.fail(capability, privileges.lacks(account.name, missing, account.capabilities, namespace))
