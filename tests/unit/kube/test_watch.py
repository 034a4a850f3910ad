"""The watch: every change is told, and so is every moment in which one may have been missed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import pytest

from gitops_runtime_auth import log
from gitops_runtime_auth.kube import namespace
from gitops_runtime_auth.kube.api import Cluster, Object, watched_namespace_path, watched_secret_path
from gitops_runtime_auth.kube.watch import Watch
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON, wait_until
from tests.fakes.kubernetes import FakeKubernetes, Rule
from tests.fakes.web import Answer, Request, as_text
from tests.unit.kube.conftest import QUICK

X = "/api/v1/namespaces/ns/secrets/x"
WATCHED = watched_secret_path("ns", "x")


class Told:
    """How often ``changed`` was called, and what stood in the Secret then."""

    def __init__(self, kubernetes: FakeKubernetes) -> None:
        self.seen: list[object] = []
        self.types: list[object] = []
        self._kubernetes = kubernetes
        self._more = threading.Condition()

    def __call__(self, event: Object | None) -> None:
        with self._more:
            self.types.append(event and event["type"])
            self.seen.append(self._kubernetes.objects.get(X, {}).get("data"))
            self._more.notify_all()

    def until(self, enough: Callable[[], bool]) -> None:
        with self._more:
            assert self._more.wait_for(enough, LONG), self.seen

    def count(self, wanted: int) -> None:
        self.until(lambda: len(self.seen) >= wanted)


@pytest.fixture(autouse=True)
def none_goes_on(kubernetes: FakeKubernetes) -> Iterator[None]:
    """Or a watch would write its log into the output of what comes later."""
    yield
    kubernetes.watches.finish()


@contextmanager
def watching(
    cluster: Cluster, told: Callable[[Object | None], None], timing: Timing = QUICK, path: str = WATCHED
) -> Iterator[threading.Event]:
    stopped = threading.Event()
    watch = Watch(cluster, path, told, stopped, timing)
    watch.start()
    try:
        yield stopped
    finally:
        stopped.set()


def watches(kubernetes: FakeKubernetes) -> list[str]:
    return [request.query for request in kubernetes.server.asked("GET .*/secrets$")]


def test_changes_of_this_secret_are_told(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    told = Told(kubernetes)
    with watching(cluster, told):
        told.count(1)
        kubernetes.put(f"{X}-other", {})
        kubernetes.put(X, {"data": {"a": "YQ=="}})
        told.count(2)
        kubernetes.put(X, {"data": {"a": "Yg=="}})
        told.count(3)
        kubernetes.remove(X)
        told.count(4)
        assert told.seen == [None, {"a": "YQ=="}, {"a": "Yg=="}, None]
        assert told.types == [None, "ADDED", "MODIFIED", "DELETED"]
        assert watches(kubernetes) == ["fieldSelector=metadata.name=x&resourceVersion=0&watch=true&timeoutSeconds=240"]


@pytest.mark.parametrize("before", [False, True], ids=["while it is watched", "before that"])
def test_a_namespace_is_seen_going_with_the_rights_of_a_role(
    kubernetes: FakeKubernetes, cluster: Cluster, before: bool
) -> None:
    kubernetes.allowed = {Rule("watch", "", "namespaces", "ns", "ns")}
    path, heard = "/api/v1/namespaces/ns", SimpleQueue[Object | None]()
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    kubernetes.namespace("ns-other")
    if before:
        kubernetes.put(path, going)
    with watching(cluster, heard.put, path=watched_namespace_path("ns")):
        assert heard.get(timeout=SOON) is None
        told = [heard.get(timeout=SOON)]
        if not before:
            kubernetes.put("/api/v1/namespaces/ns-other", going)
            kubernetes.put(path, going)
            told.append(heard.get(timeout=SOON))
        kubernetes.remove(path)
        told.append(heard.get(timeout=SOON))
    seen = [namespace.tells_of_deletion(event) for event in told if event]
    assert seen == [True, True] if before else [False, True, True]


def test_that_a_namespace_is_gone_is_seen_without_its_mark() -> None:
    assert namespace.tells_of_deletion({"type": "DELETED", "object": {"metadata": {"name": "ns"}}})


def test_a_role_that_names_the_secret_is_enough(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.allowed = {Rule("watch", "", "secrets", "x")}
    told = Told(kubernetes)
    with watching(cluster, told):
        told.count(1)


def test_what_changed_before_the_watch_was_open_is_told(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {"data": {"a": "YQ=="}})
    kubernetes.fault("GET", does=lambda: kubernetes.remove(X), times=1)
    told = Told(kubernetes)
    with watching(cluster, told):
        told.count(1)
        assert told.seen == [None], "told when the watch was open, not before"


def test_what_changes_as_soon_as_the_watch_is_open_is_told(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {"data": {"a": "YQ=="}})
    answer = kubernetes.server.handle

    def answer_then_change(request: Request) -> Answer:
        answered = answer(request)
        kubernetes.put(X, {"data": {"a": "Yg=="}})
        return answered

    kubernetes.server.handle = answer_then_change
    told = Told(kubernetes)
    with watching(cluster, told):
        told.until(lambda: told.types == [None, "ADDED", "MODIFIED"])


@pytest.mark.parametrize("expired", [True, False])
def test_a_watch_that_ends_is_begun_anew(kubernetes: FakeKubernetes, cluster: Cluster, expired: bool) -> None:
    kubernetes.put(X, {})
    told = Told(kubernetes)
    with watching(cluster, told):
        told.count(2)  # it is open, and the Secret is there
        kubernetes.watches.end(expired=expired)
        told.count(4)
        kubernetes.remove(X)
        told.count(5)
        assert len(watches(kubernetes)) == 2
        assert len(set(watches(kubernetes))) == 1, "it begins with the present state again"


def test_nothing_after_an_error_counts(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    lines = iter([b'{"type":"ADDED","object":{}}\n{"type":"ERROR","object":{}}\n', b'{"type":"ADDED","object":{}}\n'])
    kubernetes.fault("GET", answer=Answer(200, stream=lines), times=1)
    told = Told(kubernetes)
    with watching(cluster, told):
        wait_until(lambda: len(watches(kubernetes)) == 2)
        told.count(3)
        assert len(told.seen) == 3, "opened, added, and opened again"


@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_outage_is_told_when_it_is_over(kubernetes: FakeKubernetes, cluster: Cluster, cut: str) -> None:
    kubernetes.put(X, {"data": {"a": "YQ=="}})
    told = Told(kubernetes)
    with watching(cluster, told):
        told.count(2)
        down = kubernetes.fault("GET", cut=cut, times=3)
        kubernetes.server.hang_up()
        wait_until(lambda: down.met == 3)
        assert len(told.seen) == 2, "what can't be seen is not told"
        kubernetes.put(X, {"data": {"a": "Yg=="}})
        told.until(lambda: told.seen[-1] == {"a": "Yg=="})


class Pauses(threading.Event):
    """Notes each pause and lets none last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.noted: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.noted.append(timeout)
        if len(self.noted) == self._most:
            self.set()
        return super().wait(0)


PACED = Timing(first_retry=0.1, longest_retry=0.5)


def within(pauses: list[float], *ceilings: float) -> None:
    assert len(pauses) == len(ceilings)
    assert all(c / 2 <= pause <= c for pause, c in zip(pauses, ceilings, strict=True)), pauses
    assert len(set(pauses)) == len(pauses), "there is jitter"


def test_pauses_grow_while_watches_fail_and_have_an_end(
    kubernetes: FakeKubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(log, "debug", lambda message, **_: lines.append(message))
    kubernetes.fault("GET", answer=as_text(403, "no"))
    pauses = Pauses(6)
    Watch(cluster, WATCHED, lambda _: None, pauses, PACED).run()
    within(pauses.noted, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5)
    assert len(kubernetes.log) == 6
    assert {line for line in lines if "ended" in line} == {
        f"The watch ended: Something other than the Kubernetes API answers GET {X[:-2]} (HTTP 403)."
    }


def test_a_server_that_ends_each_watch_at_once_does_not_make_it_spin(
    kubernetes: FakeKubernetes, cluster: Cluster
) -> None:
    kubernetes.fault("GET", answer=Answer(200, b'{"type":"ADDED","object":{}}\n'))
    pauses, told = Pauses(4), Told(kubernetes)
    Watch(cluster, WATCHED, told, pauses, PACED).run()
    within(pauses.noted, 0.1, 0.2, 0.4, 0.5)
    assert len(told.seen) == 8


def test_the_pause_is_short_again_after_a_watch_that_lasted(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.fault("GET", answer=as_text(403, "no"), times=3)
    kubernetes.fault("GET", answer=as_text(403, "no"), delay=0.6, skip=0, times=1)
    kubernetes.fault("GET", answer=as_text(403, "no"))
    pauses = Pauses(6)
    Watch(cluster, WATCHED, lambda _: None, pauses, PACED).run()
    within(pauses.noted, 0.1, 0.2, 0.4, 0.1, 0.2, 0.4)


def test_it_ends_with_the_next_event_when_it_is_stopped(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    told, stopped = Told(kubernetes), threading.Event()
    watch = Watch(cluster, WATCHED, told, stopped, QUICK)
    assert (watch.daemon, watch.name) == (True, "watch")
    watch.start()
    told.count(1)
    stopped.set()
    kubernetes.put(X, {})
    watch.join(LONG)
    assert not watch.is_alive()
    assert len(told.seen) == 2


def test_a_long_pause_ends_when_it_is_stopped(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    timing, stopped = replace(QUICK, first_retry=60.0, longest_retry=60.0), threading.Event()
    kubernetes.fault("GET", answer=as_text(403, "no"))
    watch = Watch(cluster, WATCHED, lambda _: None, stopped, timing)
    watch.start()
    wait_until(lambda: bool(kubernetes.server.asked()))
    stopped.set()
    watch.join(LONG)
    assert not watch.is_alive()


def test_a_watch_that_was_stopped_before_asks_nothing(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    stopped = threading.Event()
    stopped.set()
    Watch(cluster, WATCHED, lambda _: None, stopped, QUICK).run()
    assert kubernetes.log == []


def test_how_long_a_watch_lasts_is_handed_in(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    told = Told(kubernetes)
    with watching(cluster, told, replace(QUICK, watch=7.0)):
        told.count(1)
        assert watches(kubernetes) == ["fieldSelector=metadata.name=x&resourceVersion=0&watch=true&timeoutSeconds=7"]
