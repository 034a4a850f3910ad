"""Upgrades that change who authenticates and how: no refusal meanwhile, nothing of the old kind afterwards."""

from collections.abc import Iterator

import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET, StoredKey, understood
from dev.runtime import BLOCK, CHART, CONSUMERS, Runtime, runtime, within
from tests.e2e.client import Client


@pytest.fixture
def release() -> Iterator[Runtime]:
    with runtime("e2e-upgrade") as made:
        made.install()
        within(30, made.settled)
        yield made


def test_another_account_and_back(release: Runtime) -> None:
    second = f"{release.name}-2"
    release.account(second)
    old = release.key()
    with Client(release, release.key) as client:
        release.install(*release.sets(second))
        within(60, release.settled)
        assert release.keys() == [], "the old account has no key left"
        new = release.key()
        assert new is not None
        assert new.account == second
        assert not release.accepts(old)
        release.helm("rollback", "r", "--wait")
        within(60, release.settled)
    assert (release.keys(second), len(release.keys())) == ([], 1)
    assert client.uses > 20
    assert client.refusals == 0


def test_a_failed_upgrade_leaves_old_and_new_pods_authenticated(release: Runtime) -> None:
    second = f"{release.name}-2"
    release.account(second)
    old = release.key()
    assert old is not None
    with Client(release, lambda: old) as before, Client(release, release.key) as after:
        bad = [*release.sets(second), "--set", "event-reporter.image.repository=localhost/none"]
        said = release.helm("upgrade", "r", CHART, "--wait", "--timeout", "20s", *bad, check=False)
        assert "UPGRADE FAILED" in said
        release.helm("rollback", "r", "--wait")
        within(60, release.settled)
    assert (before.refusals, after.refusals) == (0, 0)
    assert release.key() == old


def rolled_back(release: Runtime) -> bool:
    return all(map(release.ready, CONSUMERS))


def test_another_address_and_other_secrets(release: Runtime) -> None:
    """Two addresses lead to one Argo CD: what one calls the old server's key is the other's present one."""
    release.secret("other", pw=f"password-of-{release.name}")
    old = release.key()
    ref = f"{BLOCK}.auth.passwordSecretKeyRef"
    there = {f"{BLOCK}.server.svc": "argocd-server.argocd.svc", f"{ref}.name": "other", f"{ref}.key": "pw"}
    sets = release.sets(**there)
    with Client(release, release.key) as client:
        bad = [*sets, "--set", "event-reporter.image.repository=localhost/none"]
        said = release.helm("upgrade", "r", CHART, "--wait", "--timeout", "20s", *bad, check=False)
        assert "UPGRADE FAILED" in said
        new = release.key()
        assert new is not None
        assert new.url == "https://argocd-server.argocd.svc"
        with Client(release, lambda: release.key() if rolled_back(release) else new) as pods_of_the_upgrade:
            release.helm("rollback", "r")
        assert pods_of_the_upgrade.uses > 5
        release.helm("upgrade", "r", CHART, "--wait", "--timeout", "3m", *sets)
        within(60, release.settled)
    assert (pods_of_the_upgrade.refusals, client.refusals) == (0, 0)
    assert not release.accepts(old)
    settled = release.key()
    assert settled is not None
    assert settled.url == "https://argocd-server.argocd.svc"


def test_from_password_to_token_and_back(release: Runtime) -> None:
    other = f"{release.name}-2"
    release.account(other)
    token = release.argocd.create_key(other, "users-own", release.session)
    release.secret("users-key", token=token)
    given = ["--set", f"{BLOCK}.auth.type=token", "--set", f"{BLOCK}.auth.tokenSecretKeyRef.name=users-key"]
    given += ["--set", f"{BLOCK}.auth.tokenSecretKeyRef.key=token"]
    users = understood(token)

    def what_pods_use() -> StoredKey | None:
        return users if release.take("users-key") else release.key() or users

    with Client(release, what_pods_use) as client:
        release.install(*release.sets(), *given)
        assert release.cluster.get(path_of(release.name, "secrets", KEY_SECRET)) is None
        assert release.keys() == []
        release.install()
        within(60, release.settled)
    assert client.refusals == 0
    assert release.keys(other) == ["users-own"], "the user's own key is not ours to revoke"
