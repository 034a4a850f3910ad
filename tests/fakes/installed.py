"""Copies the state that a story, a series of the product's runs, left in one world into the worlds of tests.

Each story runs once in each test process, because a first install takes longer than most tests that begin with one.
"""

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.kubeobjects import Object
from tests.fakes.world import CM, World

AGE = 100.0
"""Seconds that pass, by Argo CD's clock, between a story and the tests that begin with it. In reality that time differs
from process to process; after so many seconds, no test can depend on it. A test about that time runs the story itself.
"""


def install(world: World) -> None:
    """Install the release for the first time: the shortest story."""
    done = world.install()
    assert done.code == 0, done.said


@cache
def _after(story: Callable[[World], None]) -> World:
    """Run a story in a world of its own, and return that world. Its servers are closed."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.argocd.ahead = -AGE
        story(world)
        world.argocd.ahead += AGE
        world.close()
    return world


def bring_into(world: World, story: Callable[[World], None]) -> None:
    """Copy keys, objects and requests of a story into a world, which has the settings of the story's end already.

    Only the Argo CD of the settings is copied, not the other one.
    """
    made = _after(story)
    assert not world.runs, "a story begins with the first install"
    assert _settings(world) == _settings(made), "the story has other settings"
    assert not any(other.server.log for other in made.argocds[1:]), "the story went to the Argo CD that is not copied"
    world.uid = made.uid  # a part of each key's id
    data = {**world.get(CM)["data"], **made.get(CM)["data"]}
    store = world.kubernetes.store
    store.objects |= {path: _moved(found, made.url, world.url) for path, found in made.kubernetes.objects.items()}
    store.version = max(store.version, made.kubernetes.store.version)  # a version never comes twice
    world.put(CM, {"data": data})
    argocd = world.argocd
    argocd.signature = made.argocd.signature
    argocd.ahead += made.argocd.ahead
    argocd.accounts.secret |= deepcopy(made.argocd.accounts.secret)
    argocd.made += made.argocd.made
    argocd.received |= made.argocd.received
    argocd.logins.seen += made.argocd.logins.seen
    argocd.server.log += made.argocd.server.log
    world.kubernetes.server.log += made.kubernetes.server.log
    world.runs += made.runs


def _settings(world: World) -> object:
    document = world.document()
    for workloads in ("consumers", "waitFor"):  # an install touches none of them
        del document["derived"][workloads]
    return _moved(document, world.url, "")


def _moved(found: Object, url: str, to: str) -> Object:
    """Return an object with another address of Argo CD, in the data of a Secret too."""
    moved: Object = json.loads(json.dumps(found).replace(url, to))
    if found.get("kind") == "Secret":
        for key, value in found["data"].items():
            moved["data"][key] = base64.b64encode(base64.b64decode(value).replace(url.encode(), to.encode())).decode()
    return moved
