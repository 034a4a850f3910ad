"""Starts etcd, API server, controller manager and scheduler, and forwards a port of the host to the API server."""

import socket
from pathlib import Path

from dev.sandbox import pki, processes
from dev.sandbox.network import NODE_IP, SERVICE_CIDR
from dev.sandbox.paths import KUBECONFIG, PKI, STATE
from dev.sandbox.shell import SandboxError, run, wait_for
from dev.sandbox.tools import which

PORT = 16443
"""On 127.0.0.1 of the host."""

_SOCKET = STATE / "apiserver.sock"


def check_port() -> None:
    """Raise SandboxError when somebody else listens where the forwarder must."""
    if processes.running("forward-host"):
        return
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise SandboxError(
                f"Port {PORT} on 127.0.0.1 is taken. Stop what listens there: ss -ltnp 'sport = :{PORT}'"
            )


def start_etcd() -> None:
    """Start etcd. Nothing here must survive a power failure, so it need not wait for the disk."""
    url = "http://127.0.0.1:2379"
    processes.start(
        "etcd",
        [
            "etcd",
            "--data-dir",
            STATE / "etcd",
            "--unsafe-no-fsync",
            "--listen-client-urls",
            url,
            "--advertise-client-urls",
            url,
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--log-level",
            "warn",
        ],
    )


def start_apiserver() -> None:
    """Start the API server and wait until it is ready."""
    processes.start(
        "kube-apiserver",
        [
            which("kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={NODE_IP}",
            "--secure-port=6443",
            f"--tls-cert-file={PKI / 'apiserver.crt'}",
            f"--tls-private-key-file={PKI / 'apiserver.key'}",
            f"--client-ca-file={PKI / 'ca.crt'}",
            f"--kubelet-client-certificate={PKI / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={PKI / 'apiserver-kubelet.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={PKI / 'service-accounts.key'}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ],
    )
    # Two halves, joined by a socket in the file system: the only thing that crosses the namespace.
    _SOCKET.unlink(missing_ok=True) if not processes.running("forward-inside") else None
    processes.start("forward-inside", ["socat", f"UNIX-LISTEN:{_SOCKET},fork,mode=0600", f"TCP:{NODE_IP}:6443"])
    processes.start(
        "forward-host",
        [
            "socat",
            f"TCP-LISTEN:{PORT},bind=127.0.0.1,fork,reuseaddr",
            f"UNIX-CONNECT:{_SOCKET}",
        ],
        in_namespace=False,
    )
    wait_for("the API server", 60, lambda: kubectl("get", "--raw", "/readyz", check=False) == "ok")


def start_controllers() -> None:
    """Start the controller manager and the scheduler."""
    processes.start(
        "kube-controller-manager",
        [
            which("kube-controller-manager"),
            f"--kubeconfig={pki.kubeconfig('controller-manager')}",
            "--leader-elect=false",
            f"--root-ca-file={PKI / 'ca.crt'}",
            f"--service-account-private-key-file={PKI / 'service-accounts.key'}",
            "--use-service-account-credentials=true",
        ],
    )
    processes.start(
        "kube-scheduler",
        [
            which("kube-scheduler"),
            f"--kubeconfig={pki.kubeconfig('scheduler')}",
            "--leader-elect=false",
        ],
    )


def kubectl(*arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl on the sandbox as cluster admin and return what it printed."""
    return run([which("kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments], stdin=stdin, check=check)
