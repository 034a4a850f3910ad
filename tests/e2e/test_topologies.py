"""Argo CD as people run it: under a root path, without TLS, behind a proxy. Real servers, the hook alone."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from dev.cluster import Object
from dev.runtime import BLOCK, CHART, IMAGE, Runtime, runtime, within

ARGOCD = "/apis/apps/v1/namespaces/argocd/deployments"
PODS = Path(__file__).parent / "pods"


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with runtime("e2e-topology") as made:
        yield made


def serve_as_pod(
    place: Runtime,
    name: str,
    ports: Mapping[int, int],
    volumes: Sequence[Object] = (),
    mounts: Sequence[Object] = (),
) -> None:
    """Run a program of ``pods/`` with the product's image as a pod behind a Service of that name, until the end.

    ``ports`` are the Service's, with the program's own.
    """
    pods, label = f"/api/v1/namespaces/{place.name}/pods", {"app": name}
    command = ["/app/bin/python", "-c", (PODS / f"{name}.py").read_text(encoding="utf-8")]
    container = {"name": name, "image": IMAGE, "command": command, "volumeMounts": [*mounts]}
    pod = {"metadata": {"name": name, "labels": label}, "spec": {"containers": [container], "volumes": [*volumes]}}
    place.cluster.create(pods, pod)
    named = [{"name": f"p{port}", "port": port, "targetPort": target} for port, target in ports.items()]
    service = {"metadata": {"name": name}, "spec": {"selector": label, "ports": named}}
    place.cluster.create(f"/api/v1/namespaces/{place.name}/services", service)
    within(60, lambda: (place.cluster.get(f"{pods}/{name}") or {})["status"].get("phase") == "Running")


@contextmanager
def server(place: Runtime, name: str, *flags: str, port: int = 443) -> Iterator[None]:
    """Run one more Argo CD server with ``flags`` beside the stock one, as Service ``name``."""
    stock = place.cluster.get(f"{ARGOCD}/argocd-server") or {}
    template: dict[str, Any] = stock["spec"]["template"]
    label = {"app.kubernetes.io/name": name}
    template["metadata"] = {"labels": label}
    template["spec"]["containers"][0]["args"] += flags
    spec = {"selector": {"matchLabels": label}, "template": template}
    services = "/api/v1/namespaces/argocd/services"
    place.cluster.create(ARGOCD, {"metadata": {"name": name}, "spec": spec})
    ports = [{"port": port, "targetPort": 8080}]
    body = {"metadata": {"name": name}, "spec": {"selector": label, "ports": ports}}
    place.cluster.create(services, body)
    try:
        within(90, lambda: (place.cluster.get(f"{ARGOCD}/{name}") or {})["status"].get("readyReplicas") == 1)
        yield
    finally:
        place.cluster.delete(f"{ARGOCD}/{name}")
        place.cluster.delete(f"{services}/{name}")


@dataclass(frozen=True)
class Outcome:
    """What helm said, and whether Argo CD accepts the key that was stored."""

    said: str
    accepted: bool


def install(place: Runtime, server: dict[str, str], **values: str) -> Outcome:
    """Install the hook alone, see what came of it, and take it away again."""
    # What of the stock server is not given here is taken away: the harness names a Service and a CA.
    lines = [f"{BLOCK}.server.{key}={value}" for key, value in server.items()]
    lines += [f"{BLOCK}.server.{key}=null" for key in ("svc", "caSecretKeyRef") if not any(key in g for g in server)]
    sets = place.hook_alone(hook__timeout="20", **values)
    sets += [word for line in lines for word in ("--set", line)]
    try:
        said = place.helm("install", "r", CHART, "--timeout", "90s", *sets, check=False)
        return Outcome(said, place.works())
    finally:
        place.helm("uninstall", "r", "--wait", "--ignore-not-found")
        assert place.keys() == []


CA = {"caSecretKeyRef.name": "argocd-ca", "caSecretKeyRef.key": "ca.crt"}


def test_a_root_path(place: Runtime) -> None:
    with server(place, "argocd-rootpath", "--rootpath", "/argocd"):
        there = {"svc": "argocd-rootpath.argocd", "insecureSkipVerify": "true"}
        assert install(place, {**there, "rootpath": "argocd/"}).accepted
        wrong = install(place, there)
        assert "https://argocd-rootpath.argocd answers with something that is not JSON (HTTP 404)" in wrong.said
        assert not wrong.accepted


def test_without_tls(place: Runtime) -> None:
    with server(place, "argocd-insecure", "--insecure", port=80):
        assert install(place, {"url": "http://argocd-insecure.argocd"}).accepted
        wrong = install(place, {"url": "https://argocd-insecure.argocd:80"})
        assert "Argo CD at https://argocd-insecure.argocd:80 does not answer (" in wrong.said, "it hangs up"
        assert not wrong.accepted


def test_http_where_argocd_speaks_tls_is_explained(place: Runtime) -> None:
    wrong = install(place, {"url": "http://argocd-server.argocd"})
    assert "credentials are never sent along" in wrong.said
    assert not wrong.accepted


def test_certificates(place: Runtime) -> None:
    assert install(place, {"svc": "argocd-server.argocd", **CA}).accepted
    unknown = install(place, {"svc": "argocd-server.argocd"})
    assert f"is not signed by a known CA ({BLOCK}.server.caSecretKeyRef is not set)." in unknown.said
    with server(place, "argocd-other-name"):
        pinned = install(place, {"svc": "argocd-other-name.argocd", **CA})
        assert pinned.accepted, "the server's own certificate is trusted for itself, whatever names stand in it"
        unverified = install(place, {"svc": "argocd-other-name.argocd", "insecureSkipVerify": "true"})
        assert unverified.accepted
    assert not unknown.accepted


def test_a_proxy_is_used_for_argocd_alone_and_not_where_no_proxy_says_so(place: Runtime) -> None:
    serve_as_pod(place, "proxy", {3128: 3128})
    path = f"/api/v1/namespaces/{place.name}/pods"
    stock, url = {"svc": "argocd-server.argocd", **CA}, f"http://proxy.{place.name}:3128"
    assert install(place, stock, proxy__httpsProxy=url, proxy__noProxy="argocd-server.argocd").accepted
    assert place.cluster.text(f"{path}/proxy/log") == ""
    assert install(place, stock, proxy__httpsProxy=url).accepted
    asked = set(place.cluster.text(f"{path}/proxy/log").splitlines())
    assert asked == {"CONNECT argocd-server.argocd:443 HTTP/1.1"}, "the Kubernetes API is reached directly"


@pytest.fixture(scope="module")
def authority(place: Runtime) -> trustme.CA:
    """A CA: its certificate is in ConfigMap and Secret ``ingress-ca``, one for the programs of ``pods/`` in ``tls``.

    That one has the Services' full names, as OpenShift's service-ca makes it.
    """
    authority = trustme.CA()
    ca = authority.cert_pem.bytes().decode()
    place.secret("ingress-ca", **{"ca.crt": ca})
    configmap = {"metadata": {"name": "ingress-ca"}, "data": {"service-ca.crt": ca}}
    place.cluster.create(f"/api/v1/namespaces/{place.name}/configmaps", configmap)
    leaf = authority.issue_cert(*(f"{name}.{place.name}.svc" for name in ("ingress", "balancer")))
    place.secret("tls", **{"tls.pem": leaf.private_key_and_cert_chain_pem.bytes().decode(), "ca.crt": ca})
    return authority


TLS: Object = {
    "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    "mounts": [{"name": "tls", "mountPath": "/tls"}],
}


@pytest.fixture(scope="module")
def ingress(place: Runtime, authority: trustme.CA) -> str:
    """An ingress, and Secrets with what it asks for; return its host name."""
    client = authority.issue_cert("client@example.com")
    chain = "".join(blob.bytes().decode() for blob in client.cert_chain_pems)
    pair = {"tls.crt": chain, "tls.key": client.private_key_pem.bytes().decode()}
    body = {"metadata": {"name": "client"}, "type": "kubernetes.io/tls", "stringData": pair}
    place.cluster.create(f"/api/v1/namespaces/{place.name}/secrets", body)
    place.secret("proxy-headers", **{"X-Proxy-Key": "a-key-for-the-proxy"})
    serve_as_pod(place, "ingress", {443: 8443, 8443: 8443, 8444: 8444, 8445: 8445}, **TLS)
    return f"ingress.{place.name}.svc"


INGRESS_CA = {"caSecretKeyRef.name": "ingress-ca", "caSecretKeyRef.key": "ca.crt"}


def test_an_ingress_that_speaks_http_1_alone(place: Runtime, ingress: str) -> None:
    """What gRPC's clients need ``--grpc-web`` for; and one that lets nothing else than gRPC-Web pass."""
    assert install(place, {"url": f"https://{ingress}:8443", **INGRESS_CA}).accepted
    only = install(place, {"url": f"https://{ingress}:8444", **INGRESS_CA})
    assert "is not JSON (HTTP 415), not with Argo CD's API" in only.said
    assert not only.accepted
    log = place.cluster.text(f"/api/v1/namespaces/{place.name}/pods/ingress/log")
    assert "http/1.1 GET /api/version HTTP/1.1" in log, "what came first on each connection, and what was agreed on"
    roots = re.search(r"^([0-9]+) public CAs$", log, re.MULTILINE)
    assert roots
    assert int(roots[1]) > 50, "what the image trusts without a setting, by the names that OpenSSL looks up"


@pytest.mark.zoo
def test_a_ca_in_a_configmap(place: Runtime, ingress: str) -> None:
    """The CA and the names that OpenShift's service-ca gives: of the Service's full name, not of ``svc.namespace``."""
    ca = {"caConfigMapKeyRef.name": "ingress-ca", "caConfigMapKeyRef.key": "service-ca.crt"}
    assert install(place, {"svc": ingress, **ca}).accepted
    wrong = install(place, {"svc": ingress.removesuffix(".svc"), **ca})
    assert f"is for other host names: {ingress}" in wrong.said
    assert not wrong.accepted


@pytest.mark.zoo
def test_an_ingress_that_asks_for_a_client_certificate_and_for_headers(place: Runtime, ingress: str) -> None:
    """Such an ingress ends TLS, and the Argo CD behind it is started with ``--insecure``."""
    there = {"url": f"https://{ingress}:8445", **INGRESS_CA}
    with server(place, "argocd-insecure", "--insecure", port=80):
        without = install(place, {**there, "headersSecretRef.name": "proxy-headers"})
        assert f"{there['url']} wants a client certificate." in without.said
        assert not without.accepted
        both = {**there, "clientCertSecretRef.name": "client"}
        unknown = install(place, both)
        assert f"Something in front of Argo CD at {there['url']} answers (HTTP 401): " in unknown.said
        assert not unknown.accepted
        assert install(place, {**both, "headersSecretRef.name": "proxy-headers"}).accepted


@pytest.mark.zoo
@pytest.mark.usefixtures("authority")
def test_two_replicas_of_which_one_lags_behind_a_balancer(place: Runtime) -> None:
    """A fresh capability and a fresh key, each unknown to every second request: one login, one key, and it stays."""
    serve_as_pod(place, "balancer", {443: 8443}, **TLS)
    place.give(place.name, "login")
    log = f"/api/v1/namespaces/{place.name}/pods/balancer/log"
    block = (f"{BLOCK}.server.svc=balancer.{place.name}.svc", f"{BLOCK}.server.caSecretKeyRef.name=ingress-ca")
    sets = place.hook_alone(hook__enableApiKey="true", hook__argocdNamespace="argocd")
    place.install(*sets, *(word for line in block for word in ("--set", line)))
    try:
        first = place.key()
        lags = [line for line in place.cluster.text(log).splitlines() if line.startswith("lags")]
        assert {"lags: capability", "lags: key"} <= set(lags)
        time.sleep(10)  # five checks of the keeper
        assert place.key() == first
        assert place.one_key()
        assert sum("POST /api/v1/session " in line for line in place.cluster.text(log).splitlines()) == 1
    finally:
        place.helm("uninstall", "r", "--wait", "--ignore-not-found")
        place.give(place.name, "apiKey,login")
    assert place.keys() == []
