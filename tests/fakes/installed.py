"""Brings a world into the state after a first install.

The product runs that install once in each test process, because it takes longer than most tests that begin with one.
"""

import base64
import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.kubeobjects import Object
from tests.fakes.world import ACCOUNT, CM, NAMESPACE_PATH, World


@cache
def _made() -> World:
    """Run the install, and return its world, whose servers are closed."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        done = world.install()
        world.close()
    assert done.code == 0, done.said
    return world


def bring_into(world: World) -> None:
    """Copy key, objects and requests of the install into a world that has the same settings."""
    made = _made()
    assert not world.runs, "only the first install can be brought in"
    assert _settings(world) == _settings(made), "the install had other settings"
    world.uid = made.uid  # a part of the key's id
    world.kubernetes.objects[NAMESPACE_PATH]["metadata"]["uid"] = made.uid
    for path in sorted(set(made.kubernetes.objects) - set(world.kubernetes.objects)):
        world.kubernetes.put(path, _moved(made.kubernetes.objects[path], made.url, world.url))
    argocd = world.argocd
    argocd.signature = made.argocd.signature
    argocd.accounts.secret[ACCOUNT].keys = deepcopy(made.argocd.accounts.secret[ACCOUNT].keys)
    world.put(CM, {"data": {**world.get(CM)["data"], **made.get(CM)["data"]}})
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
