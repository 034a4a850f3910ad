"""Who takes a Pod of the chart over does not obtain another ServiceAccount's token, but in ways that are known."""

import base64
from collections.abc import Callable
from itertools import product

import pytest

from dev.cluster import Cluster, path_of
from dev.keys import KEY_SECRET
from dev.site import CONFIG
from tests.faults.minting import VICTIM, WITH_A_KEY, WITHOUT_A_KEY, Sequence, succeeds
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.roles import COMMANDS, CONSUMER

KNOWN = {
    # ``create`` on Secrets can't be limited to a name, and the Secret's name is free until it exists.
    ("ensure", "create, get"),
    ("keep", "create, get"),
    # ``update`` lets its holder name an owner that does not exist, whereupon the garbage collector deletes the Secret.
    ("ensure", "have it collected, create, get"),
    ("keep", "have it collected, create, get"),
    # ``patch`` on a Deployment is to run any Pod.
    ("keep", "run a Pod by a Deployment"),
    ("retire", "run a Pod by a Deployment"),
}
"""By identity and sequence: what docs/security.md says is left, and ``keeper.admissionPolicy`` closes."""


def attempt(site: Site, namespace: str, token: str, sequence: Sequence, *, with_a_key: bool) -> bool:
    """Try a sequence in a namespace that is as the chart leaves it, but for what was made before."""
    own = path_of(namespace, "secrets", KEY_SECRET)
    site.cluster.delete(own)
    site.cluster.delete(path_of(namespace, "secrets", "another"))
    if with_a_key:
        body = {"metadata": {"name": KEY_SECRET}, "data": {"token": base64.b64encode(b"key").decode()}}
        site.cluster.create(path_of(namespace, "secrets"), body)
    key = base64.b64encode(b"key").decode()

    def sought(cluster: Cluster, where: str) -> str:
        found = sequence(cluster, where)
        return "" if found == key else found  # the key itself is what it may read

    return succeeds(sought, Cluster(CONFIG, site.cluster.server, token), namespace)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sequence_of_requests_mints_a_token(site: Site, release: Callable[[], Release], command: str) -> None:
    one = release()
    site.consumers(one.namespace, CONSUMER)
    site.cluster.create(path_of(one.namespace, "serviceaccounts"), {"metadata": {"name": VICTIM}})
    token = one.token_of(command)
    tried = [*product([True], WITH_A_KEY.items()), *product([False], WITHOUT_A_KEY.items())]
    minted = {
        (command, name)
        for with_a_key, (name, sequence) in tried
        if attempt(site, one.namespace, token, sequence, with_a_key=with_a_key)
    }
    assert minted == {(who, name) for who, name in KNOWN if who == command}
