"""The watch: every change is told, and so is every moment in which one may have been missed."""

import threading
from collections.abc import Iterator

import pytest

from gitops_runtime_auth.errors import UnreachableError
from gitops_runtime_auth.kube import watch as watching
from gitops_runtime_auth.kube.cluster import Object
from gitops_runtime_auth.kube.watch import Watch
from tests.unit.fakes.cluster import FakeCluster


class Script(FakeCluster):
    """Plays one list of events per watch, or an outage."""

    def __init__(self, stopped: threading.Event, *plays: list[str] | None) -> None:
        super().__init__()
        self.plays, self.stopped, self.paths = list(plays), stopped, list[str]()

    def watch(self, path: str, seconds: float, resource_version: str = "") -> Iterator[Object]:
        self.paths.append(path)
        assert resource_version == ""
        play = self.plays.pop(0)
        if not self.plays:
            self.stopped.set()
        if play is None:
            raise UnreachableError("down", "wait")
        yield from ({"type": kind} for kind in play)


def test_events_outages_and_410_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_FIRST_PAUSE", 0.01)
    stopped, told = threading.Event(), list[int]()
    cluster = Script(stopped, ["ADDED", "DELETED"], None, ["ERROR", "never reached"], ["ADDED"])
    Watch(cluster, "ns", lambda: told.append(len(cluster.paths)), stopped).run()
    # Before each watch, and for each event in it.
    assert told == [0, 1, 1, 1, 2, 3, 4]
    assert set(cluster.paths) == {"/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name=argocd-token"}
