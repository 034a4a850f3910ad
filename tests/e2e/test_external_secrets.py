"""External Secrets beside the release: Secrets that come late, and one that resets Argo CD's keys at every sync."""

import threading
import time
from collections.abc import Iterator

import pytest

from dev.cluster import path_of
from dev.runtime import BLOCK, CONSUMERS, Runtime, runtime, within
from dev.sandbox import cli
from dev.site import Site

pytestmark = [pytest.mark.zoo, pytest.mark.alone]
GROUP = "/apis/external-secrets.io/v1/namespaces"
LATE_SECONDS = 20.0
"""After this long the Secret comes: the hook has started by then and waits."""
USED_WITHIN = 90.0
"""Seconds in which a Secret that came must be used."""


@pytest.fixture(scope="module", autouse=True)
def external_secrets() -> Iterator[None]:
    assert cli.main(["neighbour", "external-secrets", "up"]) == 0
    yield
    assert cli.main(["neighbour", "external-secrets", "down"]) == 0


@pytest.fixture
def release() -> Iterator[Runtime]:
    with runtime("e2e-external") as made:
        yield made


def external(
    site: Site, namespace: str, name: str, data: dict[str, str], policy: str = "Owner", every: str = "1h"
) -> str:
    """Have External Secrets write ``data`` into Secret ``name`` now, and again whenever ``every`` has passed.

    Returns the path of the ExternalSecret, in which ``policy`` says whether the Secret is its own or merged into.
    """
    known = [{"key": f"{name}/{key}", "value": value} for key, value in data.items()]
    store = {"metadata": {"name": name}, "spec": {"provider": {"fake": {"data": known}}}}
    site.create(f"{GROUP}/{namespace}/secretstores", {**_kind("SecretStore"), **store})
    spec = {
        "refreshInterval": every,
        "secretStoreRef": {"name": name, "kind": "SecretStore"},
        "target": {"name": name, "creationPolicy": policy},
        "data": [{"secretKey": key, "remoteRef": {"key": f"{name}/{key}"}} for key in data],
    }
    body = {**_kind("ExternalSecret"), "metadata": {"name": name}, "spec": spec}
    return site.create(f"{GROUP}/{namespace}/externalsecrets", body)


def _kind(kind: str) -> dict[str, object]:
    return {"apiVersion": "external-secrets.io/v1", "kind": kind}


def install_before_its_secret(release: Runtime, name: str, data: dict[str, str], *sets: str) -> float:
    """Install while Secret ``name`` is not there yet; return how long after its coming the install was done."""
    came: list[float] = []

    def come() -> None:
        time.sleep(LATE_SECONDS)
        external(release, release.name, name, data)
        came.append(time.monotonic())

    later = threading.Thread(target=come)
    later.start()
    release.install(*sets, "--set", "hook.waitForSecrets=120")
    done = time.monotonic()
    later.join()
    assert came, "the install was done before the Secret came"
    return done - came[0]


def test_a_password_that_comes_late_is_waited_for(release: Runtime) -> None:
    ref = f"{BLOCK}.auth.passwordSecretKeyRef.name"
    sets = release.hook_alone(**{ref: "late-password"})
    password = {"password": f"password-of-{release.name}"}
    assert install_before_its_secret(release, "late-password", password, *sets) < USED_WITHIN
    assert release.one_key()


def test_a_token_that_comes_late_is_waited_for(release: Runtime) -> None:
    ref = f"{BLOCK}.auth.tokenSecretKeyRef"
    sets = release.hook_alone(**{f"{BLOCK}.auth.type": "token", f"{ref}.name": "late-token", f"{ref}.key": "token"})
    token = {"token": release.key_by_hand("users-own")}
    assert install_before_its_secret(release, "late-token", token, *sets) < USED_WITHIN
    assert release.keys() == ["users-own"]


def test_an_owner_of_argocd_secret_that_resets_the_keys_causes_no_storm(release: Runtime) -> None:
    """``accounts.NAME.tokens`` is emptied every five seconds: the keeper says who does that, and holds back."""
    release.install(*release.sets(keeper__interval="2"))
    within(60, release.settled)
    generations = sum(release.deployment(s)["metadata"]["generation"] for s in CONSUMERS)
    logins = release.logins()
    tokens = {f"accounts.{release.name}.tokens": "[]"}
    resetting = external(release, "argocd", "argocd-secret", tokens, policy="Merge", every="5s")
    try:
        within(120, lambda: any(reason == "ApiKeysResetByOthers" for reason, _ in release.events()))
        time.sleep(60)
        restarts = sum(release.deployment(s)["metadata"]["generation"] for s in CONSUMERS) - generations
        assert restarts <= 12, "consumers are not restarted at every turn"
        assert release.logins() - logins <= 12
        assert "gitops_runtime_auth_keys_reset_by_others 1.0" in metrics(release)
        (told,) = {message for reason, message in release.events() if reason == "ApiKeysResetByOthers"}
        assert f"accounts.{release.name}.tokens" in told
    finally:
        release.cluster.delete(resetting)
    within(600, release.settled, "it heals by itself")


def metrics(release: Runtime) -> str:
    """Return the keeper's metrics."""
    pods = path_of(release.name, "pods")
    listed = release.cluster.get(f"{pods}?labelSelector=app.kubernetes.io/component=app-proxy") or {}
    return release.cluster.text(f"{pods}/{listed['items'][0]['metadata']['name']}:8080/proxy/metrics")
