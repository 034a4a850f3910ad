"""The key keeper on a real cluster: whatever becomes of the key, the Runtime works again without help."""

import secrets
import time
from collections.abc import Iterator

import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import CONSUMERS, Runtime, runtime, within

INTERVAL = 10.0


@pytest.fixture(scope="module")
def release() -> Iterator[Runtime]:
    with runtime("e2e-keeper") as made:
        made.install(*made.sets(keeper__interval=f"{INTERVAL:.0f}"))
        within(30, made.settled)
        yield made


def follows(release: Runtime, service: str) -> bool:
    """Tell whether a Pod that was started for the present key is ready, which it is once Argo CD accepts that key."""
    deployment, key = release.deployment(service), release.key()
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    status = deployment["status"]
    return bool(
        key
        and annotations.get("gitops-runtime-auth/key-id") == key.id
        and status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == 1
        and status.get("readyReplicas") == status.get("replicas")
    )


@pytest.mark.alone
def test_a_revoked_key_is_replaced_within_the_interval_and_consumers_follow(release: Runtime) -> None:
    old = release.key()
    assert old is not None
    release.revoke(old)
    within(INTERVAL + 5, lambda: release.works() and all(follows(release, service) for service in CONSUMERS))
    new = release.key()
    assert new is not None
    assert new.token != old.token
    within(60, release.settled)
    assert release.restarted_for() == {new.id}
    assert any(reason == "ApiKeyRegenerated" for reason, _ in release.events())


@pytest.mark.alone
def test_a_deleted_secret_is_back_within_two_seconds_and_nobody_is_refused_meanwhile(release: Runtime) -> None:
    old = release.key()
    release.cluster.delete(path_of(release.name, "secrets", KEY_SECRET))
    within(2, release.works)
    assert release.accepts(old), "pods still hold the old key"
    within(60, release.settled)
    assert not release.accepts(old)


def test_an_account_that_is_disabled_for_some_checks_keeps_its_key(release: Runtime) -> None:
    old, began = release.key(), time.monotonic()
    release.enable(release.name, enabled=False)
    try:
        within(20, lambda: not release.ready("app-proxy"))
        time.sleep(max(0.0, 2.5 * INTERVAL - (time.monotonic() - began)))
    finally:
        release.enable(release.name, enabled=True)
    within(30, release.settled)
    assert release.key() == old


def test_a_changed_password_is_sent_wrong_once_and_right_once_the_secret_has_it(release: Runtime) -> None:
    release.set_password(release.name, "another-password")
    assert not release.works(), "Argo CD refuses keys that are older than the password"
    within(20, lambda: any("refuses the login" in message for _, message in release.events()))
    within(20, lambda: any("not sent again" in message for _, message in release.events()))
    release.secret(release.name, password="another-password")
    within(150, release.works, "the kubelet updates the mounted Secret, then one login")
    within(60, release.settled)


@pytest.mark.alone
def test_a_rotated_signing_key_is_followed_by_one_new_key(release: Runtime) -> None:
    """Argo CD signs with ``server.secretkey``: another one, and every key and session of everybody is refused."""
    old = release.key()
    path = "/api/v1/namespaces/argocd/secrets/argocd-secret"
    release.cluster.patch(path, {"stringData": {"server.secretkey": secrets.token_urlsafe(32)}})
    within(20, lambda: not release.accepts(old))
    release.session = release.argocd.login("admin", release.admin_password)
    within(60, release.works)
    within(60, release.settled)
