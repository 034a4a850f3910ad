"""An API key of the Secret that still works: with one, nobody logs in and nothing is issued."""

from dataclasses import dataclass, replace

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import ConflictError, KeyRefusedError, Refusal
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys


@dataclass(frozen=True)
class WorkingKey:
    """A key that Argo CD accepts, its account as Argo CD shows it, and the Secret that it was found in."""

    key: StoredKey
    account: Account
    stored: StoredKeys
    created: bool = False

    @property
    def is_current(self) -> bool:
        """Tell whether the Secret holds it as the key in use, not as one that was replaced."""
        return self.stored.current is not None and self.stored.current.token == self.key.token


@dataclass(frozen=True)
class Answered:
    """What Argo CD says to a stored key: the account when it accepts the key, else why not.

    Both are None for a key that was not sent, because it belongs to another account, server or release.
    """

    account: Account | None = None
    refusal: Refusal | None = None


def ask(run: Context, key: StoredKey | None) -> Answered:
    """Ask Argo CD about a stored key, with one request and no login. The key goes only to the server that made it.

    Raises PrivilegeError when the account is disabled, missing or lost ``apiKey``: the key works again once that is put
    right, and a login is no help. Raises WrongServerError when something in front of Argo CD answers.
    """
    if key is None or not is_of_settings(run, key) or not run.release.named_by(key.key_id):
        return Answered()
    try:
        return Answered(account=run.argocd.account(key.account, key.token))
    except KeyRefusedError as e:
        why = privileges.explained(run, e, key.account)
        curable = e.refusal is Refusal.NO_API_KEY_CAPABILITY and run.settings.enable_api_key
        if why is not e and not curable:
            raise why from None
        log.info(f"The stored API key {key.key_id} no longer works: {e.refusal.value}.")
        return Answered(refusal=e.refusal)


def is_of_settings(run: Context, key: StoredKey) -> bool:
    """Tell whether a key is of the account and server that the settings name."""
    return (key.account, key.url) == (run.settings.auth.username, run.settings.server.url)


def find(run: Context, stored: StoredKeys, *, of_installation: bool = True) -> WorkingKey | None:
    """Return the first key of the Secret that Argo CD accepts: the one in use, or one that an upgrade replaced.

    Without ``of_installation`` the key may be one that another cluster made for a release of this name, whose Secret
    was copied: telling needs the Kubernetes API, and the keeper tells at its first check. Raises what ``ask`` does.
    """
    for key in filter(None, (stored.current, *stored.previous)):
        if of_installation and not run.installation.owns(key.key_id):
            continue
        answered = ask(run, key)
        if answered.account:
            return WorkingKey(key, answered.account, stored)
    return None


def adopt(run: Context, found: WorkingKey) -> WorkingKey | None:
    """Make a working key that had been replaced the key in use again; None when somebody else wrote the Secret."""
    wanted = found.stored.moved_to(found.key, run.argocd.now())
    try:
        written = run.key_secret.write(wanted, run.argocd.now())
    except ConflictError:
        return None
    return WorkingKey(found.key, found.account, written)


def tidy(run: Context, found: WorkingKey) -> WorkingKey:
    """Write the Secret again if it is not named or filled as the values ask for now, although its key is good."""
    if not found.stored.outdated:
        return found
    stored = run.key_secret.read()  # a mounted Secret has no version to write over
    current = stored.current
    if current is None or current.token != found.key.token or not stored.outdated:
        return replace(found, stored=stored)
    try:
        return replace(found, stored=run.key_secret.write(stored, run.argocd.now()))
    except ConflictError:
        log.debug("Somebody else wrote the Secret meanwhile; the next check looks at it again.")
        return found
