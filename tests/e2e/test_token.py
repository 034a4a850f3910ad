"""``type: token``: the user makes the key. If it stops working, that is reported, and a new one of theirs is taken."""

from collections.abc import Iterator

import pytest

from dev.keys import StoredKey, understood
from dev.runtime import BLOCK, CONSUMERS, Runtime, runtime, within


@pytest.fixture
def release() -> Iterator[Runtime]:
    with runtime("e2e-token") as made:
        give(made, "first")
        ref = f"{BLOCK}.auth.tokenSecretKeyRef"
        sets = made.sets(**{f"{BLOCK}.auth.type": "token", f"{ref}.name": "users-key", f"{ref}.key": "api"})
        made.install(*sets)
        yield made


def give(release: Runtime, key_id: str) -> StoredKey:
    """Make a key and store it, as the two commands of the remedy do."""
    token = release.key_by_hand(key_id)
    release.secret("users-key", api=token)
    return understood(token)


def test_a_revoked_token_is_told_and_its_successor_is_taken_without_an_upgrade(release: Runtime) -> None:
    services = ("app-proxy", *CONSUMERS)
    release.argocd.delete_key(release.name, "first", release.session)
    within(30, lambda: not any(map(release.ready, services)), "no pod is ready")
    (message,) = [m for reason, m in release.events() if reason == "AuthenticationFailed"]
    for word in ("users-key", "has been revoked", "argocd account generate-token", "patch secret users-key"):
        assert word in message
    proxied = f"/api/v1/namespaces/{release.name}/pods/{pod(release)}:8080/proxy/metrics"
    told = release.cluster.text(proxied)
    assert "gitops_runtime_auth_key_valid 0.0" in told
    assert 'gitops_runtime_auth_key_info{key="api",secret="users-key"} 1.0' in told
    assert release.keys() == [], "nothing is made in the user's place"

    give(release, "second")
    within(150, lambda: all(map(release.ready, services)), "the kubelet updates the mounted Secret")
    assert release.keys() == ["second"]
    assert release.restarted_for() == {""}, "by the file alone"


def pod(release: Runtime) -> str:
    path = f"/api/v1/namespaces/{release.name}/pods?labelSelector=app.kubernetes.io/component=app-proxy"
    return str((release.cluster.get(path) or {})["items"][0]["metadata"]["name"])
