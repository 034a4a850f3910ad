"""Checks the user's own token (``type: token``), and says what to do if it can't be used."""

from dataclasses import dataclass

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.argocd.token import Claims, Kind
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import ConfigurationError, KeyRefusedError
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.release import Release

_FRESH = "Make one with argocd account generate-token --account NAME (without --expires-in) and use that."
_CLOCK_SKEW = 60.0
"""Seconds by which clocks may differ."""


@dataclass(frozen=True)
class UserToken:
    """A token of the user that Argo CD accepts."""

    account: Account
    claims: Claims

    @property
    def issued_at(self) -> int:
        """Unix time at which the token was made, 0 if Argo CD does not list it."""
        return self.account.issued_at(self.claims.key_id)


def check(run: Context) -> UserToken:
    """Check the mounted token and its account.

    Raises ConfigurationError (not an API key of Argo CD, or one that expires, or that this release made),
    KeyRefusedError, PrivilegeError.
    """
    token = run.credential()
    claims = read(run.settings, run.release, token, run.argocd.now())
    try:
        account = run.argocd.account(claims.account, token)
    except KeyRefusedError as e:
        why = privileges.explained(run, e, claims.account)
        raise (refused(run.settings, run.release.namespace, claims.account, e) if why is e else why) from None
    privileges.require(run, account)
    return UserToken(account, claims)


def read(settings: Settings, release: Release, token: str, now: float) -> Claims:
    """Return the claims of the user's token. ``now`` is the Unix time by Argo CD's clock.

    Raises ConfigurationError unless the token is an API key of Argo CD that the user made.
    """
    auth, secret = settings.auth, settings.key_secret.name
    origin, claims = auth.origin(), tokens.read(token)
    if claims is None:
        raise ConfigurationError(f"The token from {origin} is not an Argo CD token (no JWT).", _FRESH)
    if claims.kind is Kind.PROJECT_ROLE:
        raise ConfigurationError(
            f"The token from {origin} is one of a project's role, which can't be checked and has no account.",
            "Make an account and a key for it: argocd account generate-token --account NAME.",
        )
    if claims.kind is Kind.SESSION:
        raise ConfigurationError(
            f"The token from {origin} is a login session of account {claims.account}, which ends within a day.", _FRESH
        )
    if claims.kind is not Kind.API_KEY:
        raise ConfigurationError(f"The token from {origin} is not an API key of an Argo CD account.", _FRESH)
    if release.named_by(claims.key_id) or auth.credential.name == secret:
        raise ConfigurationError(
            f"The token from {origin} is the API key that this release made for itself and will revoke.",
            f'Keep type: password, or put a key of your own into a Secret with another name than "{secret}". {_FRESH}',
        )
    if claims.expires_at and not auth.accept_expiring:
        raise ConfigurationError(
            f"The API key of account {claims.account} from {origin} expires.",
            f"{_FRESH} If somebody else renews it in time, set {auth.path}.acceptExpiring=true.",
        )
    if claims.not_before > now + _CLOCK_SKEW:
        raise ConfigurationError(
            f"The API key of account {claims.account} from {origin} is not valid yet.", "Correct the clocks, or wait."
        )
    return claims


def refused(settings: Settings, namespace: str, account: str, error: KeyRefusedError) -> KeyRefusedError:
    """Return the error for a token that Argo CD does not accept, with the commands that replace it."""
    auth, credential = settings.auth, settings.auth.credential
    stored = (
        f"helm upgrade with --set {auth.path}.token=$TOKEN"
        if auth.inline
        else f"kubectl -n {namespace} patch secret {credential.name} --type merge"
        f' -p "{{\\"stringData\\": {{\\"{credential.key}\\": \\"$TOKEN\\"}}}}"'
    )
    return KeyRefusedError(
        f"Argo CD at {settings.server.url} refuses the API key of account {account} from {auth.origin()}:"
        f" {error.refusal.value}.",
        f"Replace it: TOKEN=$(argocd account generate-token --account {account}) and {stored}.",
        refusal=error.refusal,
    )
