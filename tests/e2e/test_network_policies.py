"""A namespace in which all traffic is denied, and kube-router, which enforces that.

It learns of a Pod a moment after its start, and denies it nothing until then. So here every Pod begins with a
container that waits until it is denied what nobody allows: Argo CD's metrics.
"""

import subprocess
from collections.abc import Iterator

import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import CONFIG, IMAGE, Runtime, runtime, within
from dev.sandbox import cli
from tests.e2e.admission import inject

pytestmark = [pytest.mark.zoo, pytest.mark.alone]
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
UNTIL_DENIED = """
import socket
while True:
    try:
        socket.create_connection(('{address}', 8083), 5).close()
    except ConnectionRefusedError:
        break
"""


@pytest.fixture(scope="module", autouse=True)
def enforced() -> Iterator[None]:
    assert cli.main(["neighbour", "network-policies", "up"]) == 0
    yield
    assert cli.main(["neighbour", "network-policies", "down"]) == 0


@pytest.fixture
def place() -> Iterator[Runtime]:
    """The surroundings of a release, in a namespace that denies its Pods all traffic, from their start."""
    with runtime("e2e-denied") as made:
        nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        made.create(POLICIES.format(made.name), {"metadata": {"name": "deny-all"}, "spec": nothing})
        metrics = made.cluster.get(path_of("argocd", "services", "argocd-server-metrics")) or {}
        waits = UNTIL_DENIED.format(address=metrics["spec"]["clusterIP"])
        container = f"Object.spec.initContainers{{name: 'denied', image: '{IMAGE}', command: {command(waits)}}}"
        patch = f'[JSONPatch{{op: "add", path: "/spec/initContainers", value: [{container}]}}]'
        inject(made, {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}, "true")
        yield made


def command(program: str) -> str:
    """Return the command that runs a Python program, in the words of CEL."""
    return f"['/app/bin/python', '-c', {program!r}]"


def test_without_policies_of_its_own_an_install_is_refused(place: Runtime) -> None:
    said = place.install(*place.hook_alone(hook__timeout="10"), check=False)
    assert "failed pre-install" in said
    assert "Argo CD at https://argocd-server.argocd does not answer" in said
    assert "in the chart, networkPolicy.enabled allows what it needs" in said
    assert place.keys() == []


def test_its_own_policies_are_enough(place: Runtime) -> None:
    """They let hooks, keeper, agents and ``helm test`` do all of their work."""
    second = f"{place.name}-2"
    place.account(second)
    place.install(*place.sets(networkPolicy__enabled="true"))
    within(60, place.settled)
    old = place.key()
    assert old is not None
    place.revoke(old)
    within(60, lambda: place.settled() and place.key() != old, "the keeper heals")
    assert place.helm("test", "r").count("  accepted") == 7
    place.install(*place.sets(second, networkPolicy__enabled="true"))
    within(60, lambda: place.settled() and place.keys() == [], "the hook after an upgrade revokes")
    place.helm("uninstall", "r", "--wait")
    assert place.keys(second) == []
    assert place.cluster.get(path_of(place.name, "secrets", KEY_SECRET)) is None


def test_only_those_that_are_named_read_the_metrics(place: Runtime) -> None:
    friend, stranger = f"{place.name}-friend", f"{place.name}-stranger"
    for namespace in (friend, stranger):
        place.namespace(namespace)
        container = {"name": "reader", "image": IMAGE, "command": ["/app/bin/python", "-m", "http.server"]}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        place.cluster.create(path_of(namespace, "pods"), {"metadata": {"name": "reader"}, "spec": spec})
    selector = r"networkPolicy.from[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name"
    place.install(*place.hook_alone(networkPolicy__enabled="true"), "--set", f"{selector}={friend}")
    keepers = f"{path_of(place.name, 'pods')}?labelSelector=app.kubernetes.io/component=key-keeper"
    (keeper,) = (place.cluster.get(keepers) or {})["items"]
    address = keeper["status"]["podIP"]
    within(60, lambda: "gitops_runtime_auth" in read(place, friend, address))
    assert "Connection refused" in read(place, stranger, address)


def read(place: Runtime, namespace: str, address: str) -> str:
    """Return the metrics as a Pod in ``namespace`` gets them, or the error."""
    program = (
        f"import urllib.request as r; print(r.urlopen('http://{address}:8080/metrics', timeout=5).read().decode())"
    )
    kubectl = ("kubectl", f"--kubeconfig={CONFIG}", "-n", namespace, "exec", "reader", "--")
    done = subprocess.run([*kubectl, "/app/bin/python", "-c", program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
