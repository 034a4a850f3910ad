"""``keep`` as it runs: its loop, its watch, its endpoints and its end, with checks an hour apart."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest import mock

import httpx
import pytest

from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.service import health
from gitops_runtime_auth.service.health import Status, Verdict
from gitops_runtime_auth.timing import Timing
from tests.fakes import SOON, wait_until
from tests.fakes.keeper import metric
from tests.fakes.world import ACCOUNT, FAST, NO_RIGHT, ONCE, PASSWORD, World, cheap_scrypt, left_behind, set_environment

STEADY = replace(FAST, watch=60.0)
"""No watch ends by itself, which would wake the keeper."""


class Running:
    """A keeper that runs, as the kubelet and Prometheus see it."""

    def __init__(self) -> None:
        self.serves = threading.Event()
        self.port = 0

    def get(self, path: str) -> httpx.Response:
        assert self.serves.wait(SOON)
        return httpx.get(f"http://127.0.0.1:{self.port}{path}")

    def is_ready(self) -> bool:
        return self.get("/readyz").status_code == 200


def watched(world: World) -> None:
    """Wait until the keeper watches both the key Secret and the namespace."""
    wait_until(lambda: world.kubernetes.watches.open == 2)


def settle(world: World) -> None:
    """Wait until the keeper rests: opening its watch wakes it a few times."""
    watched(world)
    checks = -1
    while checks != (checks := len(world.kubernetes.server.asked("/secrets/argocd-token$"))):
        time.sleep(0.2)


def end(server: health.Server) -> None:
    server.shutdown()
    server.server_close()


def keeping(world: World, story: Callable[[Running], None], timing: Timing = STEADY) -> int:
    """Run ``keep`` with ``story`` beside it, then end it as Kubernetes does; return its exit code."""
    running, failed, serve, ends = Running(), list[BaseException](), health.serve, list[health.Server]()
    before, ended = set(threading.enumerate()), threading.Event()

    def serving(state: health.Health, port: int, timing: Timing) -> health.Server:
        assert port == health.PORT
        server = serve(state, 0, timing)
        running.port = server.server_port
        running.serves.set()
        ends.append(server)
        return server

    def tell() -> None:
        try:
            story(running)
        except BaseException as e:
            failed.append(e)
        if not ended.is_set():  # or it would end the tests
            os.kill(os.getpid(), signal.SIGTERM)

    world.set("keeper.interval", 3600)
    world.remount()
    environ = world.environment()
    with mock.patch.object(health, "serve", serving), set_environment(environ), cheap_scrypt():
        beside = threading.Thread(target=tell)
        beside.start()
        try:
            code = keep.run(environ, timing)
        finally:
            ended.set()
            beside.join()
    left_behind(before)
    world.kubernetes.watches.finish()
    for server in ends:  # its process would end; here it takes half a second, which nobody waits for
        threading.Thread(target=end, args=(server,), daemon=True).start()
    if failed:
        raise failed[0]
    return code


@pytest.fixture
def installed(world: World) -> World:
    world.begin_installed()
    return world


def test_it_is_ready_alive_and_measured_until_it_is_told_to_stop(
    installed: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def story(running: Running) -> None:
        wait_until(running.is_ready)
        assert running.get("/healthz").status_code == 200
        metrics = running.get("/metrics").text
        assert "gitops_runtime_auth_key_valid 1.0" in metrics
        assert 'gitops_runtime_auth_key_info{key="token",secret="argocd-token"} 1.0' in metrics
        assert (metric("argocd_request_seconds_count", method="GET") or 0) > asked

    asked = metric("argocd_request_seconds_count", method="GET") or 0
    assert keeping(installed, story) == 0
    levels = {json.loads(line)["level"] for line in capsys.readouterr().err.splitlines() if line.startswith("{")}
    assert levels == {"debug", "info"}, "as hook.logLevel says"
    assert len(installed.live()) == 1, "an ordinary end revokes nothing"


def test_it_is_alive_while_it_waits(installed: World) -> None:
    beats = list[float]()

    def counted(self: health.Health, beat: Callable[[health.Health], None] = health.Health.beat) -> None:
        beats.append(time.monotonic())
        beat(self)

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        settle(installed)
        beats.clear()
        time.sleep(0.4)
        wait_until(lambda: running.get("/healthz").status_code == 200)

    with mock.patch.object(health.Health, "beat", counted):
        keeping(installed, story, replace(STEADY, stalls_after=0.3))
    looks = [b - a for a, b in pairwise(beats)]
    assert sum(looks) / len(looks) >= 0.009, "it looks for another password now and then, and does not spin"


def test_a_deleted_secret_is_made_anew_at_once(installed: World) -> None:
    """The watch tells; the next check by the clock would come in an hour."""

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        watched(installed)
        installed.remove(installed.path())
        wait_until(lambda: installed.argocd.accepts(installed.token))

    keeping(installed, story)
    assert len(installed.argocd.logins.seen) == 1


def test_a_replaced_key_is_revoked_soon_after_its_grace_period(installed: World) -> None:
    """Long before the next check by the clock."""
    installed.set("keeper.gracePeriod", 100)
    installed.set("keeper.maxAge", "60s")
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    installed.keeper().check()
    installed.set("keeper.maxAge", "")
    assert len(installed.live()) == 2

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        installed.argocd.ahead = 200
        wait_until(lambda: installed.live() == [installed.key])

    assert keeping(installed, story) == 0


def test_a_new_password_is_noticed_at_once(installed: World) -> None:
    installed.argocd.revoke(ACCOUNT)
    installed.give("wrong")

    def story(running: Running) -> None:
        wait_until(lambda: "refused" in running.get("/readyz").text)
        settle(installed)
        installed.give(PASSWORD)
        wait_until(running.is_ready)

    keeping(installed, story)
    assert installed.live() == [installed.key]


def test_why_it_is_not_ready_is_told_in_a_word_to_whoever_asks(installed: World) -> None:
    """Any Pod that reaches the port may ask: server and account stand in the log and the Event."""
    installed.argocd.accounts.enable(ACCOUNT, False)

    def story(running: Running) -> None:
        wait_until(lambda: running.get("/readyz").text != "not ready: not checked yet\n")
        said = running.get("/readyz").text
        assert ACCOUNT not in said
        assert "127.0.0.1" not in said
        assert running.get("/healthz").status_code == 200, "a restart would not help"

    keeping(installed, story)
    kind, reason, message = installed.events()[-1]
    assert (kind, reason) == ("Warning", "AuthenticationFailed")
    assert message.startswith(f"Argo CD account {ACCOUNT} is disabled. ")


@pytest.mark.parametrize("trouble", ["none", "argocd", "kubernetes", "password"])
def test_it_does_not_spin(installed: World, trouble: str) -> None:
    match trouble:
        case "argocd":
            installed.argocd.server.go_down()
        case "kubernetes":
            installed.kubernetes.fault(".*", answer=NO_RIGHT)
        case "password":
            installed.argocd.revoke(ACCOUNT)
            installed.give("wrong")
    began, ended = list[float](), list[float]()

    def noted(self: keep.Loop, turn: Callable[[keep.Loop], Any] = keep.Loop.turn) -> Any:
        began.append(time.monotonic())
        try:
            return turn(self)
        finally:
            ended.append(time.monotonic())

    def rests_or_spins() -> bool:
        rests = len(began) == len(ended) > 0 and time.monotonic() - ended[-1] > 0.1
        return rests or len(began) > 4

    with mock.patch.object(keep.Loop, "turn", noted):
        keeping(installed, lambda _: wait_until(rests_or_spins), ONCE)
    assert len(began) <= 4, "checks are an hour apart, or as long as the shortest pause after an error"


def test_the_pause_after_a_check_depends_on_what_it_came_to(installed: World) -> None:
    """Soon, then less and less often, but not less often than usual; never at once after a failure."""
    usual = pytest.approx(3600 * 0.95, abs=3600 * 0.05)
    ready, failed = Verdict(Status.READY, ""), Verdict(Status.REFUSED, "")
    soon, failed_soon = replace(ready, again_soon=True), replace(failed, again_soon=True)
    script = [ready, soon, soon, soon, ready, soon, failed_soon, failed_soon, failed]
    pauses, done = list[float](), threading.Event()

    def wait(loop: keep.Loop, seconds: float, _: object) -> None:
        pauses.append(seconds)
        if len(pauses) == len(script):
            done.set()
            wait_until(loop.stopped.is_set)

    with (
        mock.patch.object(keep.Loop, "turn", side_effect=script),
        mock.patch.object(keep.Loop, "_wait", wait),
    ):
        keeping(installed, lambda _: wait_until(done.is_set), replace(FAST, look=1200.0, after_error=3000.0))
    assert pauses == [usual, 1800, 2700, 3600, usual, 1800, 3000, 3600, usual]


def test_a_namespace_that_is_being_deleted_leaves_no_key(installed: World) -> None:
    """Deleted without ``helm uninstall``: the Pod ends with its namespace, and nobody comes after it."""

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        installed.namespace_goes()

    assert keeping(installed, story) == 0
    assert installed.live() == []


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "during its last check"])
def test_rights_that_go_with_the_namespace_leave_no_key(installed: World, busy: bool) -> None:
    """Kubernetes before 1.33 deletes all at once; later, ``helm uninstall`` at the same time takes the rights away."""

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        settle(installed)
        checking, gone = threading.Event(), threading.Event()

        def last_check() -> None:
            checking.set()
            assert gone.wait(SOON)

        if busy:
            installed.argocd.server.fault(f"GET .*/api/v1/account/{ACCOUNT}$", times=1, does=last_check)
            installed.edit_secret({**installed.secret(), "more": ""})  # wakes the keeper
            assert checking.wait(SOON)
        installed.kubernetes.fault(".*", answer=NO_RIGHT)
        installed.namespace_goes()
        gone.set()

    assert keeping(installed, story) == 0
    assert installed.live() == []


def test_rights_that_go_alone_leave_the_key_to_the_next_keeper(installed: World) -> None:
    """An upgrade to another ServiceAccount; or the Pod was deleted by force, or its node lost for a while."""

    def story(running: Running) -> None:
        wait_until(running.is_ready)
        watched(installed)
        installed.kubernetes.fault(".*", answer=NO_RIGHT)

    assert keeping(installed, story) == 0
    assert installed.live() == [installed.key]
