"""An Argo CD that the argocd-operator runs, with an instance named as OpenShift GitOps names it.

The operator takes back what others write into ``argocd-cm``, keeps the certificate in ``argocd-secret`` under names
that are not the Service's, and the password in ``NAME-cluster``.
"""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from dev.argocd import ArgoCD, ArgoCDError, Forward
from dev.cluster import Cluster, decoded, path_of
from dev.keys import stored
from dev.runtime import BLOCK, CHART, IMAGE, within
from dev.sandbox import cli, images
from dev.site import CONFIG

pytestmark = [pytest.mark.zoo, pytest.mark.alone]
NAME = "openshift-gitops"
NAMESPACE = "openshift-gitops"
INSTANCES = f"/apis/argoproj.io/v1beta1/namespaces/{NAMESPACE}/argocds"
CM = path_of(NAMESPACE, "configmaps", "argocd-cm")


class Instance:
    """The instance, and a release of the chart in its namespace."""

    def __init__(self) -> None:
        self.cluster = Cluster(CONFIG)
        self.argocd = ArgoCD(Forward(CONFIG, NAMESPACE, f"{NAME}-server"))

    def make(self) -> None:
        """Have the operator make Argo CD, and wait until its admin can log in."""
        repository, _, version = images.ARGOCD_IMAGE.rpartition(":")
        redis, _, redis_version = images.REDIS_IMAGE.rpartition(":")
        spec = {
            "image": repository,
            "version": version,
            "redis": {"image": redis, "version": redis_version},
            "controller": {"enabled": False},
            "repo": {"enabled": False},
            "applicationSet": {"enabled": False},
        }
        self.cluster.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        instance = {"apiVersion": "argoproj.io/v1beta1", "kind": "ArgoCD", "metadata": {"name": NAME}, "spec": spec}
        self.cluster.create(INSTANCES, instance)
        deployment = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}-server"
        within(240, lambda: (self.cluster.get(deployment) or {}).get("status", {}).get("readyReplicas") == 1)

    def session(self) -> str:
        """Log in as its admin."""
        return self.argocd.login("admin", decoded(self.cluster, NAMESPACE, f"{NAME}-cluster")["admin.password"])

    def has(self, capability: str, account: str = "admin") -> bool:
        """Tell whether Argo CD shows a capability of an account."""
        try:
            return capability in self.argocd.account(account, self.session()).capabilities
        except ArgoCDError:
            return False

    def change(self, **spec: object) -> None:
        """Change the ``ArgoCD`` resource."""
        self.cluster.patch(f"{INSTANCES}/{NAME}", {"spec": spec})

    def helm(self, *words: str) -> str:
        """Run helm in the instance's namespace and return what it printed."""
        command = ["helm", *words, "-n", NAMESPACE, "--kubeconfig", CONFIG]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return done.stdout + done.stderr

    def install(self, **values: str) -> str:
        """Install or upgrade the hook without the Deployments, with only what this Argo CD has under another name."""
        repository, _, tag = IMAGE.rpartition(":")
        given = {
            "image.repository": repository,
            "image.tag": tag,
            "runtime.enabled": "false",
            f"{BLOCK}.server.svc": f"{NAME}-server",
            f"{BLOCK}.auth.passwordSecretKeyRef.name": f"{NAME}-cluster",
            f"{BLOCK}.auth.passwordSecretKeyRef.key": "admin.password",
            **values,
        }
        sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
        return self.helm("upgrade", "--install", "r", CHART, "--timeout", "3m", *sets)

    def remove(self) -> None:
        """Let the operator take its Argo CD away, then delete the namespace."""
        self.cluster.delete(f"{INSTANCES}/{NAME}")
        within(120, lambda: self.cluster.get(f"{INSTANCES}/{NAME}") is None)
        self.cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")
        within(180, lambda: self.cluster.get(f"/api/v1/namespaces/{NAMESPACE}") is None)
        self.argocd.close()
        self.cluster.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Instance]:
    assert cli.main(["neighbour", "argocd-operator", "up"]) == 0
    instance = Instance()
    try:
        instance.make()
        yield instance
    finally:
        instance.remove()
        assert cli.main(["neighbour", "argocd-operator", "down"]) == 0


@pytest.fixture
def instance(running: Instance) -> Iterator[Instance]:
    """The instance as it was made, without a release."""
    yield running
    running.helm("uninstall", "r", "--wait", "--ignore-not-found")
    running.change(extraConfig=None, localUsers=None)
    within(60, lambda: not running.has("apiKey"))


def remedy(printed: str) -> str:
    """Return the command that the hook prints for this kind of Argo CD."""
    found = re.search(r"kubectl[^\n]*? patch argocd [^\n]*?'\{.*?\}'", printed.replace('\\"', '"'))
    assert found, printed
    return found[0]


def test_the_remedy_that_lasts_is_printed_and_works_as_it_is(instance: Instance) -> None:
    refused = instance.install()
    assert "failed" in refused.lower()
    assert "lacks the apiKey capability" in refused
    command = remedy(refused)
    environ = {**os.environ, "KUBECONFIG": CONFIG}
    subprocess.run(["bash", "-c", command], env=environ, check=True, capture_output=True)
    within(60, lambda: instance.has("apiKey"))
    assert "STATUS: deployed" in instance.install()
    key = stored(instance.cluster, NAMESPACE)
    assert key is not None
    assert instance.argocd.accepts("admin", key.token)


def test_enable_api_key_is_refused_before_anything_is_changed(instance: Instance) -> None:
    before = (instance.cluster.get(CM) or {})["metadata"]["resourceVersion"]
    refused = instance.install(**{"hook.enableApiKey": "true"})
    assert "patch argocd" in remedy(refused)
    assert (instance.cluster.get(CM) or {})["metadata"]["resourceVersion"] == before
    assert instance.argocd.account("admin", instance.session()).keys == ()
    assert stored(instance.cluster, NAMESPACE) is None


@pytest.mark.parametrize(
    ("lifetime", "accept", "accepted"), [("", "", True), ("12h", "", False), ("12h", "true", True)]
)
def test_a_token_of_its_local_users(instance: Instance, lifetime: str, accept: str, accepted: bool) -> None:
    """With a lifetime the operator makes a token that expires, and renews it: to be accepted only if that is said."""
    user = {"name": "runtime", "apiKey": True, **({"tokenLifetime": lifetime} if lifetime else {})}
    instance.change(localUsers=[user])
    secret = f"{user['name']}-local-user"
    within(60, lambda: bool(decoded(instance.cluster, NAMESPACE, secret).get("apiToken")))
    within(60, lambda: instance.has("apiKey", "runtime"))
    ref = f"{BLOCK}.auth.tokenSecretKeyRef"
    given = {f"{BLOCK}.auth.type": "token", f"{ref}.name": secret, f"{ref}.key": "apiToken"}
    printed = instance.install(**given, **({f"{BLOCK}.auth.acceptExpiring": accept} if accept else {}))
    assert ("STATUS: deployed" in printed) == accepted, printed
    assert accepted or "expires" in printed
