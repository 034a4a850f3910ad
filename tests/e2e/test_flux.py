"""Flux' real helm-controller installs the chart: it outlives every refusal, and a retry does not lock the account.

Helm's SDK prints the logs of a hook that has ``helm.sh/hook-output-log-policy`` through a function that only helm's
command line sets. In Flux that is a nil pointer: one failed hook took down every HelmRelease of the cluster
(fluxcd/helm-controller#1562).
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.cluster import path_of
from dev.flux import Controller, HelmRelease
from dev.keys import KEY_SECRET
from dev.runtime import IMAGE, Runtime, runtime, within
from dev.sandbox import cli

pytestmark = [pytest.mark.zoo, pytest.mark.alone]
RETRIES = 3


@pytest.fixture(scope="module", autouse=True)
def flux() -> Iterator[None]:
    """Flux' resources are known to the cluster meanwhile, by which the chart knows who may install it."""
    yield
    assert cli.main(["neighbour", "flux", "down"]) == 0


@pytest.fixture
def controller() -> Controller:
    """The helm-controller, started anew if an earlier test brought it down."""
    assert cli.main(["neighbour", "flux", "up"]) == 0
    return Controller()


@pytest.fixture
def release(controller: Controller) -> Iterator[tuple[Runtime, HelmRelease]]:
    with runtime("e2e-flux") as made:
        released = HelmRelease(made)
        yield made, released
        released.delete()
        if controller.lives():
            within(90, released.gone, "Flux uninstalls, and the clean-up hook with it")
        else:
            released.abandon()


def until(controller: Controller, seconds: float, condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds, as long as the controller lives."""
    within(seconds, lambda: not controller.lives() or condition(), what)
    assert controller.lives(), controller.panics()


def values(release: Runtime) -> dict[str, Any]:
    """Return the chart's values as a HelmRelease has them."""
    repository, _, tag = IMAGE.rpartition(":")
    server = {"svc": "argocd-server.argocd", "caSecretKeyRef": {"name": "argocd-ca", "key": "ca.crt"}}
    password = {"name": release.name, "key": "password"}
    auth = {"type": "password", "username": release.name, "passwordSecretKeyRef": password}
    block = {"external-arg-cd": {"server": server, "auth": auth}}
    return {"global": block, "image": {"repository": repository, "tag": tag}}


def last_words(release: Runtime) -> list[str]:
    """Return the termination messages of the release's failed Pods."""
    listed = release.cluster.get(f"{path_of(release.name, 'pods')}?labelSelector=app.kubernetes.io/instance=r") or {}
    containers = [c for pod in listed["items"] for c in pod["status"].get("containerStatuses") or []]
    return [c["state"]["terminated"]["message"] for c in containers if c["state"].get("terminated", {}).get("message")]


def test_a_refused_password_is_sent_once_and_the_controller_lives(
    release: tuple[Runtime, HelmRelease], controller: Controller
) -> None:
    made, released = release
    made.secret(made.name, password="not-the-password")
    before = made.login_failures()
    released.apply(values(made), retries=RETRIES)
    until(controller, 240, released.failed, "Flux gives up")
    assert controller.panics() == []
    status, reason, message = released.condition("Released")
    assert (status, reason) == ("False", "InstallFailed"), message
    assert released.status()["installFailures"] == RETRIES + 1
    assert made.login_failures() - before == 1, "the retries did not send the password again"
    (problem, remedy) = last_words(made)[-1].splitlines()
    assert made.name in problem
    assert remedy.strip()
    told = [message for reason, message in made.events() if reason == "AuthenticationFailed"]
    assert any(problem in message and remedy in message for message in told), told
    assert "not-the-password" not in repr((message, told, problem, remedy))
    assert made.keys() == []


def test_what_was_refused_is_installed_once_the_password_is_right(
    release: tuple[Runtime, HelmRelease], controller: Controller
) -> None:
    made, released = release
    made.secret(made.name, password="not-the-password")
    released.apply(values(made))
    until(controller, 120, released.failed, "Flux gives up")
    made.secret(made.name, password=f"password-of-{made.name}")
    released.apply({**values(made), "hook": {"timeout": 170}}, retries=1)
    until(controller, 180, released.ready, "Flux is done")
    within(60, made.settled)
    assert controller.panics() == []


def test_flux_uninstalls_and_the_key_is_revoked(release: tuple[Runtime, HelmRelease], controller: Controller) -> None:
    made, released = release
    released.apply(values(made))
    until(controller, 180, released.ready, "Flux is done")
    assert made.one_key()
    released.delete()
    until(controller, 90, released.gone, "the log of a hook that succeeded is no business of Flux either")
    assert made.keys() == []
    assert made.cluster.get(path_of(made.name, "secrets", KEY_SECRET)) is None
    assert controller.lives()
    assert controller.panics() == []
