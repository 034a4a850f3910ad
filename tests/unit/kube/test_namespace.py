"""The release's namespace: its UID, and whether it is going."""

import pytest

from gitops_runtime_auth.errors import NamespaceGoneError, RbacError
from gitops_runtime_auth.kube import namespace
from gitops_runtime_auth.kube.api import Cluster
from tests.fakes.kubernetes import FakeKubernetes, Rule


def test_the_uid(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    uid = kubernetes.namespace("other")
    assert namespace.uid(cluster, "other") == uid
    assert namespace.uid(cluster, "ns") != uid
    assert kubernetes.log == [("GET", "/api/v1/namespaces/other"), ("GET", "/api/v1/namespaces/ns")]


def test_the_uid_of_no_namespace(cluster: Cluster) -> None:
    with pytest.raises(NamespaceGoneError) as raised:
        namespace.uid(cluster, "absent")
    assert raised.value.problem == "Namespace absent does not exist."
    assert raised.value.remedy == "Install into a namespace that exists (--create-namespace)."


def test_a_role_in_the_namespace_is_enough(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.allowed = {Rule("get", "", "namespaces", "ns", "ns")}
    assert namespace.uid(cluster, "ns")
    with pytest.raises(RbacError):
        namespace.uid(cluster, "other")


def test_is_going(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    assert namespace.is_going(cluster, "ns") is False
    cluster.delete("/api/v1/namespaces/ns")
    assert namespace.is_going(cluster, "ns") is True
    kubernetes.finish_deletion("ns")
    assert namespace.is_going(cluster, "ns") is True
