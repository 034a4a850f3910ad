"""Finds an API key in the Secret that still works, so that no login is needed and no key is issued."""

from dataclasses import dataclass, replace

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import ConflictError, KeyRefusedError, Refusal
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys


@dataclass(frozen=True)
class WorkingKey:
    """A key that Argo CD accepts, its account, and the content of the Secret."""

    key: StoredKey
    account: Account
    stored: StoredKeys
    created: bool = False

    @property
    def is_current(self) -> bool:
        """Whether this is the key in use, and not a replaced one."""
        return self.stored.current is not None and self.stored.current.token == self.key.token


@dataclass(frozen=True)
class Answered:
    """Argo CD's answer about a stored key: the account if it accepts the key, else the refusal.

    Both are None for a key that was not sent, because it belongs to another account, server or release.
    """

    account: Account | None = None
    refusal: Refusal | None = None


def ask(run: Context, key: StoredKey | None) -> Answered:
    """Ask Argo CD about a stored key, with one request and no login. The key is sent only to the server that made it.

    Raises PrivilegeError if the account is disabled, missing or lost ``apiKey``, because the key works again when that
    is corrected, and a login would not help. Raises WrongServerError if something in front of Argo CD answers.
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
    """Tell whether a key belongs to the account and server of the settings."""
    return (key.account, key.url) == (run.settings.auth.username, run.settings.server.url)


def find(run: Context, stored: StoredKeys, *, of_installation: bool = True) -> WorkingKey | None:
    """Return the first key of the Secret that Argo CD accepts: the one in use, or a replaced one.

    Without ``of_installation`` it may be a key of another cluster, from a copied Secret, because recognizing it needs
    the Kubernetes API; the keeper recognizes it at its first check. Raises what ``ask`` does.
    """
    for key in filter(None, (stored.current, *stored.previous)):
        if of_installation and not run.installation.owns(key.key_id):
            continue
        answered = ask(run, key)
        if answered.account:
            return WorkingKey(key, answered.account, stored)
    return None


def adopt(run: Context, found: WorkingKey) -> WorkingKey | None:
    """Use a replaced key that works again. Return None if another run wrote the Secret in the meantime."""
    wanted = found.stored.moved_to(found.key, run.argocd.now())
    try:
        written = run.key_secret.write(wanted, run.argocd.now())
    except ConflictError:
        return None
    return WorkingKey(found.key, found.account, written)


def tidy(run: Context, found: WorkingKey) -> WorkingKey:
    """Write the Secret again if its name or content differ from the values, although its key works."""
    if not found.stored.outdated:
        return found
    stored = run.key_secret.read()  # because the mounted one has no version
    if stored.current is None or not stored.outdated:
        return replace(found, stored=stored)
    try:
        return replace(found, stored=run.key_secret.write(stored, run.argocd.now()))
    except ConflictError:
        log.debug("Somebody else wrote the Secret in the meantime; the next check reads it again.")
        return found
