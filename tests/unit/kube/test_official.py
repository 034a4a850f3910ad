"""The official client: what of it is loaded, where its configuration comes from, and which certificates it accepts."""

import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from urllib3.util import parse_url

from gitops_runtime_auth.errors import ConfigurationError
from gitops_runtime_auth.kube import api, official
from gitops_runtime_auth.retry import Deadline
from tests.fakes.authority import authority
from tests.fakes.kubernetes import TOKEN, FakeKubernetes
from tests.fakes.web import Server, as_json
from tests.unit.kube.conftest import QUICK


def python(code: str) -> Any:
    """Run ``code`` in a process of its own; return what it prints as JSON."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PARTS = ("pydantic", "requests", "oauthlib", "websocket")


def test_only_what_is_needed_is_loaded() -> None:
    assert (
        python(
            f"""
import json, sys
from gitops_runtime_auth.kube import official
official.prepare()
import kubernetes.client.configuration, kubernetes.client.rest, kubernetes.config.incluster_config
print(json.dumps([name for name in {PARTS} if name in sys.modules]))
"""
        )
        == []
    )


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No part of the official client is loaded; afterwards the present ones are back."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "kubernetes"}
    for name in before:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "kubernetes"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.usefixtures("unloaded")
def test_the_rest_is_loaded_when_it_is_used() -> None:
    official.prepare()
    import kubernetes.client.rest

    assert "kubernetes.config.kube_config" not in sys.modules
    assert "kubernetes.client.api_client" not in sys.modules
    import kubernetes.config
    import kubernetes.utils

    assert sys.modules["kubernetes.config"] is kubernetes.config
    assert callable(kubernetes.config.load_kube_config)
    assert callable(kubernetes.utils.parse_quantity)
    assert "kubernetes.watch" not in sys.modules
    assert kubernetes.__version__ > "3"
    assert "kubernetes.watch" in sys.modules
    assert callable(kubernetes.watch.Watch)
    for package in (kubernetes, kubernetes.config, kubernetes.utils):
        with pytest.raises(AttributeError, match="wishes"):
            package.wishes  # noqa: B018 (that is the test)


@pytest.mark.usefixtures("unloaded")
def test_a_package_that_is_loaded_already_stays() -> None:
    import kubernetes.config
    import kubernetes.utils

    loaded = (kubernetes, kubernetes.config, kubernetes.utils)
    official.prepare()
    assert tuple(sys.modules[name] for name in ("kubernetes", "kubernetes.config", "kubernetes.utils")) == loaded


@pytest.mark.usefixtures("unloaded")
def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"^kubernetes$") as raised:
        official.prepare()
    assert raised.value.name == "kubernetes"
    assert "kubernetes" not in sys.modules


def test_a_pod_uses_its_service_account(kubernetes: FakeKubernetes, in_pod: Path) -> None:
    client = official.client()
    assert client.configuration.host == kubernetes.url
    assert client.configuration.ssl_ca_cert == in_pod / "ca.crt"
    assert client.configuration.retries is False
    assert client.configuration.keep_alive is True
    client.close()


@pytest.mark.usefixtures("in_pod")
@pytest.mark.parametrize(("no_proxy", "proxy"), [("", "http://proxy.test:3128"), ("127.0.0.1", None)])
def test_a_proxy_of_the_environment_is_used_unless_the_host_is_excluded(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    client = official.client()
    assert getattr(client.pool_manager, "proxy", None) == (parse_url(proxy) if proxy else None)
    client.close()


def test_a_folder_of_the_service_account_that_every_pod_has() -> None:
    assert official._SERVICE_ACCOUNT == "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.parametrize("absent", ["token", "ca.crt", "environment", "all that a pod has"])
def test_no_service_account(in_pod: Path, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    if absent == "all that a pod has":
        monkeypatch.delenv("GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT")
    if absent in ("environment", "all that a pod has"):
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    else:
        (in_pod / absent).unlink()
    with pytest.raises(ConfigurationError) as raised:
        official.client()
    assert raised.value.problem == "There is no way to the Kubernetes API from here (ConfigException)."
    assert raised.value.remedy == "Run this in a pod whose ServiceAccount token is mounted."


def test_a_kubeconfig(kubernetes: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubernetes.kubeconfig(tmp_path)
    for given in (str(path), ""):
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        cluster = api.connect(Deadline(5), QUICK, given)
        assert cluster.get("/api/v1/namespaces/ns")
        cluster.close()
    assert kubernetes.server.log[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_context_that_a_kubeconfig_has_not(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    path = str(kubernetes.kubeconfig(tmp_path))
    api.connect(Deadline(5), QUICK, path, "fake").close()
    for config, context in ((path, "other"), (f"{path}-absent", None)):
        with pytest.raises(ConfigurationError) as raised:
            api.connect(Deadline(5), QUICK, config, context)
        assert raised.value.problem == "There is no way to the Kubernetes API from here (ConfigException)."
        assert raised.value.remedy == (
            "Check --kubeconfig, --context and KUBECONFIG: kubectl config get-contexts lists the contexts."
        )


def change_cluster(path: Path, **fields: object) -> str:
    """Change the kubeconfig's cluster; return its path."""
    content = json.loads(path.read_text())
    cluster = {**content["clusters"][0]["cluster"], **fields}
    content["clusters"][0]["cluster"] = {key: value for key, value in cluster.items() if value is not None}
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_kubeconfig_that_asks_for_no_verification(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    fields = {"certificate-authority": None, "insecure-skip-tls-verify": True}
    cluster = api.connect(Deadline(5), QUICK, change_cluster(kubernetes.kubeconfig(tmp_path), **fields))
    assert cluster.get("/api/v1/namespaces/ns")
    cluster.close()


def test_a_kubeconfig_without_a_ca_means_the_public_ones(
    kubernetes: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = change_cluster(kubernetes.kubeconfig(tmp_path), **{"certificate-authority": None})
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "kube-ca.crt"))
    cluster = api.connect(Deadline(5), QUICK, path)
    assert cluster.get("/api/v1/namespaces/ns")
    cluster.close()
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    cluster = api.connect(Deadline(5), QUICK, path)
    with pytest.raises(ConfigurationError):
        cluster.get("/api/v1/namespaces/ns")
    cluster.close()


def test_a_kubeconfig_with_a_ca_means_no_public_one(
    kubernetes: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubernetes.kubeconfig(tmp_path)
    (tmp_path / "other.crt").write_text(authority("nobody").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "kube-ca.crt"))
    for ca, trusted in (("kube-ca.crt", True), ("other.crt", False)):
        cluster = api.connect(Deadline(5), QUICK, change_cluster(path, **{"certificate-authority": str(tmp_path / ca)}))
        with nullcontext() if trusted else pytest.raises(ConfigurationError):
            assert cluster.get("/api/v1/namespaces/ns")
        cluster.close()


@pytest.fixture
def simple_authority(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server whose CA has no more than what older EKS clusters' have: no key identifiers, no key usage."""
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
        made = x509.CertificateBuilder(
            issuer, called, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        return made.add_extension(extension, critical=True).sign(ca_key, hashes.SHA256())

    ca_key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("kubernetes", ca_key, x509.BasicConstraints(ca=True, path_length=None))
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = certificate("kube-apiserver", own, loopback)
    (tmp_path / "ca.crt").write_bytes(ca.public_bytes(Encoding.PEM))
    pair = leaf.public_bytes(Encoding.PEM) + own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "pair").write_bytes(pair)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair")
    server = Server(lambda _: as_json(200, {"kind": "Namespace"}), context)
    yield server, tmp_path
    server.close()


def test_certificates_are_verified_as_kubectl_does(
    simple_authority: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, folder = simple_authority
    (folder / "token").write_text("t")
    monkeypatch.setenv("GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as urllib3 makes it since Python 3.13
    monkeypatch.setattr("urllib3.util.ssl_.create_urllib3_context", lambda **_: strict)
    cluster = api.connect(Deadline(5), QUICK)
    assert cluster.get("/api/v1/namespaces/ns") == {"kind": "Namespace"}
    cluster.close()
