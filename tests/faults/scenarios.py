"""What the commands meet in a release's life: how each situation is made, what runs in it, and what must follow."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.release import Release, Result

ROLLOUT = "helm's rollout"
"""Among the commands: the Deployments follow, as they do between an upgrade's two hooks."""


@dataclass(frozen=True)
class Scenario:
    """``command`` is run with a fault after ``prepare``; ``then`` are the runs that must put everything right."""

    prepare: Callable[[Release], None]
    command: str = "ensure"
    then: tuple[str, ...] = ("ensure",)
    ends_empty: bool = False
    """No key and no Secret are what is wanted, instead of one of each."""

    def follow(self, release: Release) -> Iterator[tuple[str, Result]]:
        """Run what puts everything right."""
        for command in self.then:
            if self.command == "keep":
                time.sleep(1.1)  # a container's restart takes longer, and Argo CD tells keys' ages in whole seconds
            if command == ROLLOUT:
                release.site.roll_out(release.namespace)
            else:
                yield command, release.run(command=command)


def done(release: Release, command: str = "ensure") -> None:
    result = release.run(command=command)
    assert result.code == 0, result.said


def _upgraded(release: Release) -> None:
    done(release)
    release.site.roll_out(release.namespace)


def _installed(release: Release) -> None:
    done(release)


def _revoked(release: Release) -> None:
    done(release)
    release.revoke_all()


def _replaced(release: Release) -> None:
    """An upgrade made another key in the same place, and there is no keeper: the pods still have the first one."""
    _revoked(release)
    done(release)


def _deleted(release: Release) -> None:
    """Somebody deletes the Secret; its key lives."""
    done(release)
    release.site.cluster.delete(release.path)


def _another_account(release: Release) -> None:
    """The upgrade's settings are there, its hook has not run."""
    done(release)
    if "another" not in release.spare:
        release.spare["another"] = release.site.new_account()
    release.use(*release.spare["another"])


def _moved_to_another_account(release: Release) -> None:
    _another_account(release)
    _upgraded(release)


def _moved_to_another_address(release: Release) -> None:
    """One Argo CD by two names, which to the product are two servers."""
    done(release)
    release.host = "localhost"
    _upgraded(release)


def _moved_to_a_token(release: Release) -> None:
    done(release)
    account, argocd = release.account, release.site.argocd
    if "token" not in release.spare:
        key = argocd.create_key(account, f"users-own-{secrets.token_hex(4)}", release.site.session)
        release.spare["token"] = (account, key)
    auth = {"type": "token", "tokenSecretKeyRef": {"name": "mine", "key": "token"}}
    release.values = _auth(auth)
    release.use(*release.spare["token"])
    _upgraded(release)


def _auth(given: dict[str, Any]) -> dict[str, Any]:
    return {"global": {"external-arg-cd": {"auth": given}}}


def _without_api_key(release: Release) -> None:
    """An account that may only log in, and a hook that may change that."""
    if "robot" not in release.spare:
        release.spare["robot"] = release.site.new_account("login")
        release.site.let_into_argocds_namespace(release.namespace)
    release.use(*release.spare["robot"])
    release.site.give(release.account, "login")
    release.values = {"hook": {"enableApiKey": True, "argocdNamespace": "argocd"}}


def _old(release: Release) -> None:
    """The key is older than ``keeper.maxAge``, which is at least a second."""
    done(release)
    release.values = {"keeper": {"maxAge": "1s"}}
    time.sleep(2.1)  # Argo CD counts in whole seconds


SCENARIOS = {
    "install": Scenario(lambda _: None),
    "upgrade": Scenario(_installed),
    "revoked": Scenario(_revoked),
    "account": Scenario(_another_account, then=("ensure", ROLLOUT, "retire")),
    "apikey": Scenario(_without_api_key),
    "retire": Scenario(_moved_to_another_account, "retire", ("retire",)),
    "restart": Scenario(_replaced, "retire", ("retire",)),
    "address": Scenario(_moved_to_another_address, "retire", ("retire",)),
    "token": Scenario(_moved_to_a_token, "retire", ("retire",), ends_empty=True),
    "cleanup": Scenario(_moved_to_another_account, "cleanup", ("cleanup",), ends_empty=True),
    # The second check is the one that revokes what the killed one made and did not store: until there is a younger
    # key in the Secret, somebody may be about to store it.
    "rotate": Scenario(_old, "keep", ("keep", "keep")),
    "restore": Scenario(_revoked, "keep", ("keep",)),
    "deleted": Scenario(_deleted, "keep", ("keep",)),
}
