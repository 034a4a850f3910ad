"""A fault at every request of an install: the run heals it or ends with its exit code; the next one puts it right."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.fakes.kubestatus import RefusedError
from tests.fakes.logins import Verdict
from tests.fakes.web import Answer, Fault, Request, as_text
from tests.fakes.world import REFUSED, World, ids_in
from tests.faults.traffic import step_name

FAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "lost": {side: {"cut": "after"} for side in ("argocd", "kubernetes")},
    "503": {
        "argocd": {"answer": as_text(503, "no healthy upstream")},
        "kubernetes": {"answer": RefusedError(503, "ServiceUnavailable", "no").answer},
    },
    "html": {
        side: {"answer": Answer(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"})}
        for side in ("argocd", "kubernetes")
    },
}
"""The answer is lost, the server is not there, somebody else answers. ``tests/faults`` has all kinds, for real."""


def step(side: str, request: Request) -> str:
    """Name a request by what is the same in every run."""
    path = re.sub(r"gra\.[^/]+", "KEY", request.path)
    path = re.sub(r"/api/v1/namespaces/runtime-ns(?=/)", "", path)
    return f"{side} {request.method} {path}"


def requests(world: World) -> list[tuple[str, int]]:
    """Return every request to either server, with how many times it came before."""
    seen: Counter[str] = Counter()
    for side, log in (("argocd", world.argocd.server.log), ("kubernetes", world.kubernetes.server.log)):
        seen.update(step(side, request) for request in log)
    return [(name, n) for name, times in sorted(seen.items()) for n in range(times)]


@cache
def steps_of_an_install() -> list[tuple[str, int]]:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        assert world.install().code == 0
        world.close()
        return requests(world)


def break_at(world: World, name: str, occurrence: int, kind: str) -> Fault:
    side, method, path = name.split(" ", 2)
    server = world.argocd.server if side == "argocd" else world.kubernetes.server
    pattern = f"^{method} .*{re.escape(path).replace('KEY', '[^/]+')}$"
    return server.fault(pattern, skip=occurrence, times=1, **FAULTS[kind][side])


def expected(name: str, occurrence: int, kind: str) -> int:
    """Return the exit code in the table of ``tests/faults``, where the release is called otherwise."""
    # Imported here, because it loads the official Kubernetes client, which takes a fifth of the time that a test
    # process needs to start. Only this test needs it.
    from tests.faults import outcomes, roles

    shared = step_name(*name.split(" ", 2)).replace(REFUSED, roles.REFUSED)
    return outcomes.expected("install", shared, occurrence + 1, kind)


def test_an_install_has_the_steps_that_are_meant() -> None:
    names = [name for name, _ in steps_of_an_install()]
    assert len(names) >= 14
    assert "argocd POST /api/v1/session" in names
    assert "kubernetes POST /secrets" in names


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_any_request_is_put_right(tmp_path: Path, kind: str) -> None:
    wrong = []
    for number, (name, occurrence) in enumerate(steps_of_an_install()):
        world = World(tmp_path / str(number))
        fault = break_at(world, name, occurrence, kind)
        first = world.install()
        if first.code != expected(name, occurrence, kind):
            wrong.append(f"{name} ({occurrence}): exit {first.code}: {first.problem}")
        assert fault.met > occurrence, f"{name} ({occurrence}) did not come up"
        assert first.code == 0 or first.remedy, "two sentences"
        second = world.install()
        if (second.code, world.live()) != (0, [world.key]):
            wrong.append(f"{name} ({occurrence}): afterwards exit {second.code}, keys {world.live()}")
        assert set(world.argocd.logins.verdicts()) == {Verdict.OK}
        ids = [i for request in world.argocd.server.asked("POST .*/token$") for i in ids_in(request.body.decode())]
        assert len(ids) == len(set(ids)) > 0, "an id is never used twice"
        world.close()
    assert wrong == []
