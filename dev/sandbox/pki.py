"""Makes the certificates of the control plane with openssl, and the kubeconfigs that contain them."""

import base64
import json
from pathlib import Path

from dev.sandbox.network import KUBERNETES_IP, NODE_IP
from dev.sandbox.paths import KUBECONFIG, PKI
from dev.sandbox.shell import run

NODE = "sandbox"

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
_SERVER_NAMES = ",".join(
    (
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "DNS:localhost",
        "IP:127.0.0.1",
        f"IP:{NODE_IP}",
        f"IP:{KUBERNETES_IP}",
    )
)
_CLIENTS = {
    "admin": "/O=system:masters/CN=sandbox-admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "proxy": "/CN=system:kube-proxy",
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
}


def make(port: int) -> None:
    """Make what is missing; ``port`` is the one on 127.0.0.1 through which the host reaches the API server."""
    PKI.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _path("ca").exists():
        run(["openssl", "req", "-x509", *_EC, "-subj", "/CN=sandbox-ca", "-keyout", _key("ca"), "-out", _path("ca")])
    if not _path("apiserver").exists():
        _issue("apiserver", "/CN=kube-apiserver", f"subjectAltName={_SERVER_NAMES}", "serverAuth")
    for name, subject in _CLIENTS.items():
        if not _path(name).exists():
            _issue(name, subject, "", "clientAuth")
        if name != "apiserver-kubelet":
            write_kubeconfig(name, kubeconfig(name), f"https://{NODE_IP}:6443")
    if not _key("service-accounts").exists():
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", _key("service-accounts")])
        run(["openssl", "ec", "-in", _key("service-accounts"), "-pubout", "-out", PKI / "service-accounts.pub"])
    write_kubeconfig("admin", KUBECONFIG, f"https://127.0.0.1:{port}")


def kubeconfig(name: str) -> Path:
    """Return the kubeconfig of a component, for use inside the namespace."""
    return PKI / f"{name}.kubeconfig"


def write_kubeconfig(name: str, path: Path, server: str) -> None:
    """Write a kubeconfig (JSON is YAML) with everything in it."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [
            {"name": "sandbox", "cluster": {"server": server, "certificate-authority-data": data(_path("ca"))}}
        ],
        "users": [
            {"name": name, "user": {"client-certificate-data": data(_path(name)), "client-key-data": data(_key(name))}}
        ],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": name, "namespace": "default"}}],
    }
    path.write_text(json.dumps(content, indent=1))
    path.chmod(0o600)


def _issue(name: str, subject: str, names: str, usage: str) -> None:
    extensions = ["-addext", f"extendedKeyUsage={usage}", *(["-addext", names] if names else [])]
    run(
        [
            "openssl",
            "req",
            "-x509",
            "-CA",
            _path("ca"),
            "-CAkey",
            _key("ca"),
            *_EC,
            "-subj",
            subject,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            *extensions,
            "-keyout",
            _key(name),
            "-out",
            _path(name),
        ]
    )


def _path(name: str) -> Path:
    return PKI / f"{name}.crt"


def _key(name: str) -> Path:
    return PKI / f"{name}.key"
