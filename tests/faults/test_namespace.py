"""No key outlives its namespace: the keeper revokes it when the namespace is deleted without ``helm uninstall``."""

import signal
from collections.abc import Callable

import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import within
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.roles import CONSUMER
from tests.faults.running import keeper

HELD = {"metadata": {"finalizers": ["gitops-runtime-auth.example/held"]}}
"""Keeps a namespace that is being deleted there for a while, as a finalizer of anything in it does."""
FREED = {"metadata": {"finalizers": None}}
PATIENCE = 90.0
"""Seconds: the Pod's grace (90) is longer than a check and what follows from it."""


def installed(release: Release) -> str:
    release.site.consumers(release.namespace, CONSUMER)
    release.values = {"keeper": {"interval": 3600}}
    done = release.run()
    assert done.code == 0, done.said
    (key,) = release.live()
    return key


def test_the_keeper_revokes_the_key_when_its_namespace_is_deleted(site: Site, release: Callable[[], Release]) -> None:
    """Kubernetes deletes the Pods first (from 1.33 on), so the kubelet sends SIGTERM while all else is still there."""
    one = release()
    installed(one)
    with keeper(one) as running:
        site.cluster.delete(f"/api/v1/namespaces/{one.namespace}")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
    assert one.live() == []


def test_the_keeper_revokes_the_key_when_all_else_was_deleted_before_it(
    site: Site, release: Callable[[], Release]
) -> None:
    """Kubernetes before 1.33 deletes everything at once, the keeper's Role and ServiceAccount among it."""
    one = release()
    installed(one)
    with keeper(one) as running:
        site.cluster.delete(f"/api/v1/namespaces/{one.namespace}")
        within(
            30, lambda: site.cluster.get(path_of(one.namespace, "secrets", KEY_SECRET)) is None, "the Secret is gone"
        )
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
    assert one.live() == []


def test_a_keeper_that_is_told_to_stop_leaves_the_key_alone(release: Callable[[], Release]) -> None:
    """A rollout, a drained node: its successor needs the key."""
    one = release()
    key = installed(one)
    with keeper(one) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
    assert one.live() == [key]
    assert one.holds_a_good_key()


@pytest.mark.parametrize("command", ["ensure", "rollback"])
def test_nothing_is_made_in_a_namespace_that_is_being_deleted(
    site: Site, release: Callable[[], Release], command: str
) -> None:
    """The hook's rights are there for a moment longer than anything can be made."""
    one = release()
    one.token_of("ensure")
    for kind in ("serviceaccounts", "roles", "rolebindings"):
        hold = f"/api/v1/namespaces/{one.namespace}/serviceaccounts/ensure"
        if kind != "serviceaccounts":
            hold = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{one.namespace}/{kind}/ensure"
        site.cluster.patch(hold, HELD)
    site.cluster.delete(f"/api/v1/namespaces/{one.namespace}")
    try:
        refused = one.run(command=command)
    finally:
        for path in ("serviceaccounts", "roles", "rolebindings"):
            where = "/api/v1" if path == "serviceaccounts" else "/apis/rbac.authorization.k8s.io/v1"
            site.cluster.patch(f"{where}/namespaces/{one.namespace}/{path}/ensure", FREED)
    assert refused.code == (77 if command == "ensure" else 0), refused.said
    assert "is being deleted" in refused.said
    assert one.live() == []
    assert one.live_sessions() == []
