"""What is mounted for the connection to Argo CD becomes an endpoint."""

from pathlib import Path

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.mounted import Mounted


def test_nothing_mounted_is_an_endpoint_with_public_trust(tmp_path: Path) -> None:
    endpoint = Mounted(tmp_path).endpoint("https://argocd/path/")
    assert endpoint == Endpoint("https://argocd/path", ca_origin=endpoint.ca_origin)


def test_a_ca_that_no_value_names_has_no_place(tmp_path: Path) -> None:
    """So that a message says which value is not set, and names no file that nobody meant to be there."""
    assert Mounted(tmp_path).endpoint("https://argocd", "").ca_origin == ""


def test_everything_that_is_mounted_counts(tmp_path: Path) -> None:
    for name, content in {
        "ca/ca.crt": "the CA",
        "headers/X-B": "two\n",
        "headers/X-A": "one",
        "headers/..data": "the kubelet's own link",
        "client-cert/tls.crt": "a certificate",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    endpoint = Mounted(tmp_path, insecure=True).endpoint("https://argocd")
    assert endpoint == Endpoint(
        "https://argocd",
        insecure_skip_verify=True,
        ca="the CA",
        ca_origin=f"The mounted CA certificate {tmp_path}/ca/ca.crt",
        headers=(("X-A", "one"), ("X-B", "two")),
        client_cert=tmp_path / "client-cert",
    )
    other = tmp_path / "other.pem"
    assert Mounted(tmp_path, other).endpoint("https://argocd").ca is None
    other.write_text("another CA")
    assert Mounted(tmp_path, other).endpoint("https://argocd").ca == "another CA"
    assert endpoint != Mounted(tmp_path, other).endpoint("https://argocd"), "a renewed CA has its own connections"
