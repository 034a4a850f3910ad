"""What the commands meet in a release's life: how each situation is made, what runs in it, and what must follow."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dev.runtime import within
from tests.faults.release import Release, Result
from tests.faults.settings import GRACE_PERIOD

ROLLOUT, GRACE_ENDS = "rollout", "grace"
"""Among the commands: the Deployments follow, as they do between an upgrade's two hooks; the grace period ends."""
LOCKOUT_SECONDS = 331
"""After this long a password is sent again whose login was refused or not answered."""


class End(Enum):
    """What there must be once everything has been put right."""

    KEY = "one live key, the one in the Secret"
    EMPTY = "no live key and no Secret"
    NO_KEY = "no live key; the Secret goes with its namespace"


@dataclass(frozen=True)
class Scenario:
    """``command`` is run with a fault after ``prepare``; ``then`` are the runs that must put everything right."""

    prepare: Callable[[Release], None]
    command: str = "ensure"
    then: tuple[str, ...] = ("ensure",)
    end: End = End.KEY
    code: int = 0
    """How the runs end that met no fault."""
    live: int | None = None
    """How many keys are valid after the run that met a fault; None if that depends on the fault."""
    logins: int = 2
    """How many times a password may be sent by the run that met a fault: once more than without, when in doubt."""

    def follow(self, release: Release) -> Iterator[tuple[str, Result]]:
        """Run what puts everything right. Doubt about a login lasts as long for the keeper as a refusal does."""
        for command in self.then:
            if command in ("keep", "leave"):
                time.sleep(1.1)  # a container's restart takes longer, and Argo CD tells keys' ages in whole seconds
                if release.record():
                    release.age_record(LOCKOUT_SECONDS)
            match command:
                case "rollout":
                    _followed(release)
                case "grace":
                    release.values = {}
                case _:
                    yield command, release.run(command=command)


def done(release: Release, command: str = "ensure") -> None:
    result = release.run(command=command)
    assert result.code == 0, result.said


def _upgraded(release: Release) -> None:
    done(release)
    _followed(release)


def _followed(release: Release) -> None:
    """The Deployments follow an upgrade's first hook, and the grace period ends before the second one starts."""
    release.site.roll_out(release.namespace)
    time.sleep(GRACE_PERIOD)


def _installed(release: Release) -> None:
    done(release)


def _revoked(release: Release) -> None:
    done(release)
    release.revoke_all()


def _wiped(release: Release) -> None:
    """Whoever writes argocd-secret does not know of the keys."""
    done(release)
    release.site.wipe_keys(release.account)
    within(30, lambda: not release.holds_a_good_key(), "Argo CD forgets the keys")


def _replaced(release: Release) -> None:
    """An upgrade made another key in the same place, and there is no keeper: the pods still have the first one."""
    _revoked(release)
    done(release)
    time.sleep(GRACE_PERIOD)


def _deleted(release: Release) -> None:
    """Somebody deletes the Secret; its key is still valid."""
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


def _rolled_back(release: Release) -> None:
    """An upgrade to another account is rolled back: the settings of before are there, the hook has not run."""
    first = (release.account, release.password)
    _moved_to_another_account(release)
    release.use(*first)


def _moved_to_another_address(release: Release) -> None:
    """One Argo CD by two names, which to the product are two servers."""
    done(release)
    release.host = "localhost"
    _upgraded(release)


def _a_token(release: Release) -> None:
    """The user brings a key of their own, from the beginning."""
    account, argocd = release.account, release.site.argocd
    # The scenario that wipes an account's keys takes the user's away, too.
    if "token" not in release.spare or not release.site.accepts(release.spare["token"][1]):
        key = argocd.create_key(account, f"users-own-{secrets.token_hex(4)}", release.site.session)
        release.spare["token"] = (account, key)
    auth: dict[str, Any] = {"type": "token"}
    release.values = {"global": {"external-arg-cd": {"auth": auth}}}
    release.use(*release.spare["token"])


def _moved_to_a_token(release: Release) -> None:
    done(release)
    _a_token(release)
    _upgraded(release)


def _in_its_grace_period(release: Release) -> None:
    """The consumers run with the new key, but what mounts it may still have the one before."""
    _another_account(release)
    done(release)
    release.site.roll_out(release.namespace)
    release.values = {"keeper": {"gracePeriod": 30}}


def _without_api_key(release: Release) -> None:
    """An account that may only log in, and a hook that may change that."""
    if "robot" not in release.spare:
        release.spare["robot"] = release.site.new_account("login")
        release.token_of("ensure")  # whose rights are extended
        release.site.let_into_argocds_namespace(release.namespace)
    release.use(*release.spare["robot"])
    release.site.give(release.account, "login")
    release.values = {"hook": {"enableApiKey": True, "argocdNamespace": "argocd"}}


def _old(release: Release) -> None:
    """The key is older than ``keeper.maxAge``, which is at least a second."""
    done(release)
    release.values = {"keeper": {"maxAge": "1s"}}
    time.sleep(2.1)  # Argo CD counts in whole seconds


def _being_deleted(release: Release) -> None:
    """The namespace is being deleted; the API server answers as it does then, until it takes the rights away."""
    done(release)
    release.between.kubernetes.namespace = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


SCENARIOS = {
    "install": Scenario(lambda _: None),
    "upgrade": Scenario(_installed, logins=0),
    "revoked": Scenario(_revoked),
    "account": Scenario(_another_account, then=("ensure", ROLLOUT, "retire")),
    "rollback": Scenario(_rolled_back, "rollback", ("ensure", ROLLOUT, "retire"), logins=0),
    "apikey": Scenario(_without_api_key),
    "given": Scenario(_a_token, end=End.EMPTY, logins=0),
    "retire": Scenario(_moved_to_another_account, "retire", ("retire",), logins=0),
    "grace": Scenario(_in_its_grace_period, "retire", ("retire", GRACE_ENDS, "retire"), live=2, logins=0),
    "restart": Scenario(_replaced, "retire", ("retire",), logins=0),
    "address": Scenario(_moved_to_another_address, "retire", ("retire",), logins=0),
    "token": Scenario(_moved_to_a_token, "retire", ("retire",), End.EMPTY, logins=0),
    "cleanup": Scenario(_moved_to_another_account, "cleanup", ("cleanup",), End.EMPTY, logins=1),
    # The second check is the one that revokes what the killed one made and did not store: until there is a younger
    # key in the Secret, somebody may be about to store it.
    "rotate": Scenario(_old, "keep", ("keep", "keep"), logins=0),
    "restore": Scenario(_wiped, "keep", ("keep",), logins=1),
    "deleted": Scenario(_deleted, "keep", ("keep",), logins=1),
    "namespace": Scenario(_being_deleted, "leave", ("leave",), End.NO_KEY, logins=0),
}
