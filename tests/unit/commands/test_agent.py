"""The connection agent beside an Argo CD that speaks HTTP: which key it tries, and what it tells of the answer."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth.commands import agent
from gitops_runtime_auth.commands.agent import Agent, Injected
from gitops_runtime_auth.errors import UsageError
from gitops_runtime_auth.mounted import Mounted
from gitops_runtime_auth.service.health import Health, Status
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON, wait_until
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.keeper import metric
from tests.fakes.world import left_behind

FAST = Timing(first_retry=0.01, agent_interval=0.05, agent_patience=0.2, look=0.01, probe_request=1.0)
ACCEPTED = (Status.READY, "Argo CD accepts the key of account runtime.")


@pytest.fixture
def argocd() -> Iterator[FakeArgoCD]:
    fake = FakeArgoCD()
    fake.account("runtime")
    yield fake
    fake.close()


@pytest.fixture
def key(argocd: FakeArgoCD) -> str:
    return argocd.make_key("runtime", "mine")


def checked(argocd: FakeArgoCD, *keys: str, folder: Path = Path("/nonexistent")) -> tuple[Status, str]:
    """Check with a mounted key (the first) and the environment's (the last)."""
    file = folder / "token"
    if folder.exists():
        file.write_text(keys[0])
    with closing(Agent(Injected(argocd.url, keys[-1], file), Mounted(folder), FAST)) as agent:
        return agent.check()


def test_an_accepted_key_is_ready(argocd: FakeArgoCD, key: str) -> None:
    assert checked(argocd, key) == ACCEPTED
    assert [str(r) for r in argocd.server.asked()] == ["GET /api/v1/account/runtime"]


def test_a_revoked_key_is_refused_with_the_reason(argocd: FakeArgoCD, key: str) -> None:
    argocd.revoke("runtime")
    assert checked(argocd, key) == (
        Status.REFUSED,
        "Argo CD refuses the key of account runtime: the key has been revoked.",
    )


def test_an_argocd_that_is_down_is_unreachable_within_its_patience(key: str) -> None:
    with socket.socket() as reserved:  # nobody listens, and nobody else gets the port
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        began = time.monotonic()
        with closing(Agent(Injected(url, key, None), Mounted(Path("/none")), FAST)) as agent:
            status, reason = agent.check()
    assert status is Status.UNREACHABLE
    assert url in reason
    assert reason.endswith(".")
    assert time.monotonic() - began < SOON


def test_an_argocd_that_is_busy_for_a_moment_is_asked_again(argocd: FakeArgoCD, key: str) -> None:
    fault = argocd.server.fault("account", times=1, cut="before")
    assert checked(argocd, key) == ACCEPTED
    assert fault.met == 2


def test_the_environments_key_counts_where_the_files_is_another_servers(
    argocd: FakeArgoCD, key: str, tmp_path: Path
) -> None:
    assert checked(argocd, "of-another-server", key, folder=tmp_path) == ACCEPTED
    refused = (Status.REFUSED, "The injected key is not an Argo CD token.")
    assert checked(argocd, "of-another-server", folder=tmp_path) == refused


def test_of_two_refused_keys_the_files_is_told_of(argocd: FakeArgoCD, key: str, tmp_path: Path) -> None:
    argocd.revoke("runtime")
    assert checked(argocd, key, "not a token", folder=tmp_path)[1].endswith("the key has been revoked.")


def test_no_key_at_all_is_refused_and_nothing_is_sent(argocd: FakeArgoCD) -> None:
    assert checked(argocd, "")[0] is Status.REFUSED
    assert argocd.server.asked() == []


def test_the_file_comes_first_and_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    given = agent.injected({"ARGO_CD_URL": "https://x", "ARGO_CD_TOKEN": " old\n", "ARGO_CD_TOKEN_FILE": str(file)})
    assert given.keys() == ("old",)
    file.write_text("new\n")
    assert given.keys() == ("new", "old")
    file.write_text("old")
    assert given.keys() == ("old",)


def test_a_file_that_is_no_text_is_no_token_and_the_environments_counts(argocd: FakeArgoCD, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe")
    given = agent.injected({"ARGO_CD_URL": "https://x", "ARGO_CD_TOKEN": "mine", "ARGO_CD_TOKEN_FILE": str(file)})
    assert given.keys()[1:] == ("mine",)
    assert checked(argocd, given.keys()[0])[0] is Status.REFUSED


def test_the_injected_key_shows_in_no_repr() -> None:
    given = agent.injected({"ARGO_CD_URL": "https://x", "ARGO_CD_TOKEN": "canary"})
    assert repr(given) == "Injected(url='https://x', file=None)"


@pytest.mark.parametrize("environ", [{}, {"ARGO_CD_URL": "https://x"}, {"ARGO_CD_TOKEN": "t"}])
def test_an_environment_that_the_chart_did_not_make_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="ARGO_CD") as refused:
        agent.injected(environ)
    assert refused.value.remedy == "Let a Deployment of the chart run this command: the chart sets them."


def test_the_answer_is_measured(argocd: FakeArgoCD) -> None:
    key = argocd.make_key("runtime", "ends", expires_in=1000)
    before = metric("refusals_total", what="key") or 0.0
    checked(argocd, key)
    assert metric("key_valid") == 1
    assert (metric("key_expires_timestamp_seconds") or 0) == pytest.approx(time.time() + 1000, abs=LONG)
    argocd.revoke("runtime")
    checked(argocd, key)
    assert metric("key_valid") == 0
    refusals = metric("refusals_total", what="key")
    assert refusals == before + 1


class Loop:
    """A running agent in a thread, and the statuses that it reported."""

    def __init__(self, given: Injected, mounted: Mounted, timing: Timing = FAST) -> None:
        self.statuses: list[Status] = []
        self.health = Health(60.0)
        self.stopped = threading.Event()
        self.agent = runner = Agent(given, mounted, timing)
        check = runner.check

        def noted() -> tuple[Status, str]:
            verdict = check()
            self.statuses.append(verdict[0])
            return verdict

        runner.check = noted  # type: ignore[method-assign]
        self.thread = threading.Thread(target=runner.run, args=(self.health, self.stopped), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(LONG)
        assert not self.thread.is_alive()
        self.agent.close()


def test_it_checks_at_each_interval_and_follows_what_is_mounted(argocd: FakeArgoCD, key: str, tmp_path: Path) -> None:
    """The key, the CA, request headers: Secrets change without a restart."""
    (tmp_path / "headers").mkdir()
    loop = Loop(Injected(argocd.url, key, None), Mounted(tmp_path))
    wait_until(lambda: len(loop.statuses) >= 2)
    (tmp_path / "headers" / "X-Proxy-Secret").write_text("canary\n")
    asked = len(argocd.server.asked())
    wait_until(lambda: len(argocd.server.asked()) >= asked + 2)
    loop.stop()
    first, last = argocd.server.asked()[0].headers, argocd.server.asked()[-1].headers
    assert (first.get("X-Proxy-Secret"), last.get("X-Proxy-Secret")) == (None, "canary")


def test_a_new_key_is_checked_at_once(argocd: FakeArgoCD, key: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("none")
    loop = Loop(Injected(argocd.url, "", file), Mounted(tmp_path), Timing(agent_interval=60.0, look=0.01))
    wait_until(lambda: loop.statuses == [Status.REFUSED])
    file.write_text(key)
    wait_until(lambda: loop.statuses == [Status.REFUSED, Status.READY])
    assert loop.health.ready
    time.sleep(0.1)
    assert len(loop.statuses) == 2, "and then not before the interval is over"
    loop.stop()


def test_it_is_alive_while_it_waits(argocd: FakeArgoCD, key: str) -> None:
    loop = Loop(Injected(argocd.url, key, None), Mounted(Path("/none")), Timing(agent_interval=60.0, look=0.01))
    loop.health._stalls_after = 0.1
    beats, beat = list[float](), loop.health.beat

    def noted() -> None:
        beats.append(time.monotonic())
        beat()

    loop.health.beat = noted  # type: ignore[method-assign]
    wait_until(lambda: bool(loop.statuses))
    time.sleep(0.2)
    wait_until(loop.health.alive)
    loop.stop()
    looks = [b - a for a, b in pairwise(beats)]
    assert sum(looks) / len(looks) >= 0.009, "it looks for another key now and then, and does not spin"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", [True, False], ids=["url", "host and port, as gitops-operator has it"])
def test_the_program_serves_its_endpoints_and_ends_with_0_at_sigterm(
    argocd: FakeArgoCD, key: str, scheme: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGO_CD_URL", argocd.url if scheme else argocd.url.partition("://")[2])
    more = [] if scheme else [f"--url={argocd.url}"]
    monkeypatch.setenv("ARGO_CD_TOKEN", key)
    monkeypatch.setenv("ARGO_CD_TOKEN_SECRET_NAME", "argocd-token")
    if scheme:
        monkeypatch.setenv("ARGO_CD_TOKEN_SECRET_KEY", "token")
    before, ended = set(threading.enumerate()), threading.Event()
    port, seen = _free_port(), list[tuple[int, str]]()

    def look() -> None:
        def ready() -> bool:
            with suppress(httpx.TransportError):
                answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
                if answer.status_code == 200:
                    seen.append((answer.status_code, answer.text))
            return bool(seen)

        wait_until(ready)
        for path in ("healthz", "metrics"):
            answer = httpx.get(f"http://127.0.0.1:{port}/{path}")
            seen.append((answer.status_code, answer.text))

    def look_and_end() -> None:
        try:
            look()
        finally:  # or the program would never end
            if not ended.is_set():  # or the tests would
                os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look_and_end, daemon=True).start()
    try:
        assert program.main(["agent", "--port", str(port), *more], FAST) == 0
    finally:
        ended.set()
    left_behind(before)
    ready, alive, metrics = seen
    assert (ready, alive) == ((200, "ready\n"), (200, "ok\n"))
    key_name = "token" if scheme else ""
    assert f'gitops_runtime_auth_key_info{{key="{key_name}",secret="argocd-token"}} 1.0' in metrics[1]
    line = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (line["message"], line["ready"]) == (ACCEPTED[1], True)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/readyz")
