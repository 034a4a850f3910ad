"""Who takes a Pod of the chart over does not obtain another ServiceAccount's token, but in ways that are known."""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiException

from dev.cluster import Cluster, path_of
from dev.identity import identity
from dev.keys import KEY_SECRET
from dev.runtime import within
from dev.sandbox.tools import CURRENT
from dev.site import CONFIG
from tests.faults import settings
from tests.faults.minting import VICTIM, WITH_A_KEY, WITHOUT_A_KEY, Sequence, succeeds
from tests.faults.place import Site, deployments
from tests.faults.release import Release
from tests.faults.roles import COMMANDS, CONSUMER, RELEASE, rules

PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
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


ACCOUNTS = {"ensure": "auth-ensure", "keep": "key-keeper", "retire": "auth-retire", "cleanup": "auth-cleanup"}
"""The names of the chart's ServiceAccounts, behind the release's own."""


def policies(one: Release, folder: Path) -> list[dict[str, Any]]:
    """Return the admission policies and their bindings that the chart renders."""
    more = {"keeper": {"admissionPolicy": True}}
    (folder / "values.yaml").write_text(json.dumps(settings.given(one.url, one.account, one.timeout, more)))
    command = [str(CURRENT / "helm"), "template", RELEASE, str(settings.CHART), "-n", one.namespace]
    command += ["-f", str(folder / "values.yaml"), "--kube-version", "1.34"]
    documents = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = [document for document in documents if document and "Admission" in document["kind"]]
    assert {document["kind"] for document in found} == {*PLURALS}
    return found


def workload(one: Release) -> str:
    return f"{deployments(one.namespace)}/{CONSUMER}"


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


def minted(site: Site, one: Release, command: str) -> set[str]:
    """Try every sequence by a command's identity, and return those that end with the token."""
    tried = [*product([True], WITH_A_KEY.items()), *product([False], WITHOUT_A_KEY.items())]
    token = one.token_of(command)
    return {
        name
        for with_a_key, (name, sequence) in tried
        if attempt(site, one.namespace, token, sequence, with_a_key=with_a_key)
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sequence_of_requests_mints_a_token(site: Site, release: Callable[[], Release], command: str) -> None:
    one = release()
    site.consumers(one.namespace, CONSUMER)
    site.cluster.create(path_of(one.namespace, "serviceaccounts"), {"metadata": {"name": VICTIM}})
    assert minted(site, one, command) == {name for who, name in KNOWN if who == command}


def test_an_admission_policy_closes_what_is_left_and_lets_the_product_work(
    site: Site, release: Callable[[], Release], tmp_path: Path
) -> None:
    """``keeper.admissionPolicy``, as the chart renders it, with the chart's own ServiceAccounts."""
    one = release()
    site.consumers(one.namespace, CONSUMER)
    site.cluster.create(path_of(one.namespace, "serviceaccounts"), {"metadata": {"name": VICTIM}})
    for command, account in ACCOUNTS.items():
        given = rules(command, one.namespace)
        one.tokens[command] = identity(site.cluster, one.namespace, f"{RELEASE}-{account}", given)
    for policy in policies(one, tmp_path):
        site.create(f"/apis/admissionregistration.k8s.io/v1/{PLURALS[policy['kind']]}", policy)

    def in_force() -> bool:
        annotated = {"spec": {"template": {"metadata": {"annotations": {"tried": str(time.monotonic())}}}}}
        try:
            Cluster(CONFIG, site.cluster.server, one.token_of("keep")).patch(workload(one), annotated)
        except ApiException as e:
            return "may change the annotation" in str(e.reason)
        return False

    within(30, in_force, "the API server goes by the policy")
    assert {command: minted(site, one, command) for command in ACCOUNTS} == {command: set() for command in ACCOUNTS}
    site.cluster.delete(one.path)
    for command in ("ensure", "keep", "retire"):
        done = one.run(command=command)
        assert done.code == 0, done.said
    annotations = (site.cluster.get(workload(one)) or {})["spec"]["template"]["metadata"]["annotations"]
    entry = one.entry()
    assert entry is not None
    assert annotations["gitops-runtime-auth/key-id"] == entry.id, "the consumer was restarted for the key"
    assert one.run(command="cleanup").code == 0
    assert one.live() == []
