"""The way to a Service: the user's kubectl, which is ended with the run, and what is said when there is no way."""

import os
from pathlib import Path

import pytest

from gitops_runtime_auth.errors import UnreachableError
from gitops_runtime_auth.preflight.forward import PortForward, Service, service_of
from gitops_runtime_auth.retry import Deadline
from tests.fakes import LONG, wait_until
from tests.fakes.kubernetes import Rule
from tests.fakes.laptop import FakeLaptop

LABELS = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/component": "server"}


def service(laptop: FakeLaptop, name: str = "argocd-server", namespace: str = "argocd", *ports: int) -> None:
    laptop.put(
        "services",
        name,
        {"metadata": {"labels": LABELS}, "spec": {"ports": [{"port": port} for port in ports or (80, 443)]}},
        namespace,
    )


def by_service(laptop: FakeLaptop, *arguments: str, svc: str = "localhost.argocd") -> tuple[str, ...]:
    return ("--set", f"global.external-arg-cd.server.svc={svc}", *arguments)


def test_a_service_is_reached_by_kubectl_and_its_certificate_is_still_verified(laptop: FakeLaptop) -> None:
    """The certificate of the fake is for localhost, the name that the chart's URL begins with."""
    asked = laptop.forwarding_kubectl()
    service(laptop, "localhost", "ns")
    found = laptop.check(*by_service(laptop, svc="localhost"), "--context", "fake", by_service=True)
    assert found.code == 0, found.out
    assert "by port-forward to Service localhost in namespace ns" in found.row("Argo CD")["found"]
    flags = f"--kubeconfig {laptop.kubeconfig} --context fake --namespace ns"
    assert asked.read_text() == f"{flags} port-forward --address 127.0.0.1 service/localhost :443\n"
    assert {r.headers["Host"] for r in laptop.argocd.server.asked()} == {"localhost"}


def test_with_server_no_kubectl_is_needed(laptop: FakeLaptop) -> None:
    found = laptop.check(*by_service(laptop), "--server", laptop.argocd.url, by_service=True)
    assert found.code == 0, found.out
    assert found.row("Argo CD")["found"] == f"answers at {laptop.argocd.url}"


def test_without_kubectl_one_sentence_says_so(laptop: FakeLaptop) -> None:
    service(laptop, "localhost")
    found = laptop.check(*by_service(laptop), by_service=True)
    assert (found.code, found.failed()) == (64, ["Argo CD"])
    assert "kubectl is not on PATH" in found.only_failure()["found"]
    assert "--server" in found.only_failure()["remedy"]


def test_what_kubectl_says_is_shown(laptop: FakeLaptop) -> None:
    service(laptop, "localhost")
    laptop.program("kubectl", "echo 'error: unable to forward port because pod is not running' >&2\nexit 1")
    found = laptop.check(*by_service(laptop), by_service=True)
    assert (found.code, found.failed()) == (69, ["Argo CD"])
    assert "unable to forward port because pod is not running" in found.only_failure()["found"]


def test_kubectl_is_ended_with_the_run_and_when_it_says_nothing(laptop: FakeLaptop) -> None:
    """It is asked to end: what is killed after a wait would not note that."""
    pid, asked = laptop.folder / "pid", laptop.folder / "asked"
    runs = f"trap 'kill $!; : > {asked}; exit' TERM\n/bin/sleep {LONG} > /dev/null &\necho $$ > {pid}\n"

    class OnceItRuns(Deadline):
        def left(self) -> float:
            wait_until(pid.exists)
            return 0.0

    laptop.program("kubectl", f"{runs}wait")
    with pytest.raises(UnreachableError), PortForward(Service("a", "b", 1), [], OnceItRuns(0)):
        pass
    assert asked.exists()
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    asked.unlink()
    laptop.program("kubectl", f"{runs}echo 'Forwarding from 127.0.0.1:5 -> 1'\nwait")
    with PortForward(Service("a", "b", 1), [], Deadline(LONG)) as port:
        assert port == 5
        os.kill(int(pid.read_text()), 0)
    assert asked.exists()
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_service_that_is_not_there_leads_to_the_ones_that_are(laptop: FakeLaptop) -> None:
    service(laptop, "argo-cd-argocd-server", "gitops")
    service(laptop, "argo-cd-argocd-server-metrics", "gitops", 8083)
    found = laptop.check(by_service=True)
    assert (found.code, found.failed()) == (78, ["Argo CD"])
    assert "There is no Service argocd-server in namespace ns" in found.only_failure()["found"]
    block = "global.external-arg-cd.server"
    assert found.only_failure()["remedy"] == (
        f"Argo CD's Service here is: --set {block}.svc=argo-cd-argocd-server.gitops --set {block}.port=443"
    )


def test_services_are_looked_for_where_one_may_look(laptop: FakeLaptop) -> None:
    service(laptop, "openshift-gitops-server", "openshift-gitops")
    service(laptop, "hidden-server", "elsewhere")
    everything = {Rule("get", "", kind) for kind in ("secrets", "configmaps", "services")}
    laptop.kubernetes.allowed = everything | {Rule("list", "", "services", "*", "openshift-gitops")}
    remedy = laptop.check(by_service=True).only_failure()["remedy"]
    assert "openshift-gitops-server.openshift-gitops" in remedy
    assert "hidden" not in remedy


def test_an_argocd_without_an_api_server_is_told_at_once(laptop: FakeLaptop) -> None:
    labels = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/component": "repo-server"}
    body = {"metadata": {"labels": labels}, "spec": {"ports": [{"port": 8081}]}}
    laptop.put("services", "argocd-repo-server", body, "argocd")
    remedy = laptop.check(by_service=True).only_failure()["remedy"]
    assert "The Argo CD in namespace argocd has no API server" in remedy


def test_a_port_that_the_service_has_not_is_named(laptop: FakeLaptop) -> None:
    service(laptop, "argocd-server", "ns", 80)
    found = laptop.check(by_service=True)
    assert "has no port 443, only 80" in found.only_failure()["found"]
    assert "port=80" in found.only_failure()["remedy"]


@pytest.mark.parametrize(
    ("url", "from_url", "found"),
    [
        ("https://argocd-server", False, Service("ns", "argocd-server", 443)),
        ("http://argocd-server.argocd:8080/x", False, Service("argocd", "argocd-server", 8080)),
        ("http://argocd-server", False, Service("ns", "argocd-server", 80)),
        ("https://argocd-server", True, Service("ns", "argocd-server", 443)),
        ("https://argocd-server.argocd.svc", True, Service("argocd", "argocd-server", 443)),
        ("https://argocd-server.argocd.svc.cluster.local", True, Service("argocd", "argocd-server", 443)),
        ("https://argocd.example.com", True, None),
        ("https://argocd.example", True, None),
        ("http://localhost:8080", True, None),
        ("http://127.0.0.1:8080", True, None),
        ("http://[::1]:8080", True, None),
    ],
)
def test_only_services_are_reached_by_port_forward(url: str, from_url: bool, found: Service | None) -> None:
    assert service_of(url, "ns", from_url=from_url) == found
