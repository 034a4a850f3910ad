"""Starts and stops the node: containerd, kubelet, kube-proxy and CoreDNS."""

import json
import shutil
from pathlib import Path

from dev.sandbox import cgroups, images, pki, processes, tools
from dev.sandbox.controlplane import kubectl
from dev.sandbox.debian import CNI_PLUGINS
from dev.sandbox.network import BRIDGE, NODE_IP, POD_CIDR
from dev.sandbox.paths import PKI, STATE
from dev.sandbox.shell import run, wait_for
from dev.sandbox.tools import which

KUBELET = STATE / "kubelet"

_CONTAINERD = f"""
version = 2
root = "{STATE}/containerd"
state = "{STATE}/containerd-run"
[grpc]
  address = "{images.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  # The machine lacks CAP_SYS_RESOURCE: lowering oom_score_adj fails there, and runc with it.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{STATE}/cni"
"""
_CNI = {
    "cniVersion": "0.4.0",
    "name": "sandbox",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(STATE / "ipam"),
                "ranges": [[{"subnet": POD_CIDR, "rangeStart": "10.88.1.1"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"x509": {"clientCAFile": str(PKI / "ca.crt")}, "anonymous": {"enabled": False}},
    "failCgroupV1": False,
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": cgroups.ROOT,
    "failSwapOn": False,
    "localStorageCapacityIsolation": False,
    "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    "clusterDNS": [NODE_IP],
    "clusterDomain": "cluster.local",
    "resolvConf": str(STATE / "resolv.conf"),
    "containerRuntimeEndpoint": f"unix://{images.CONTAINERD_SOCKET}",
    "syncFrequency": "10s",
    "maxPods": 250,
    "kubeAPIQPS": 100,
    "kubeAPIBurst": 200,
    "serializeImagePulls": False,
    "volumePluginDir": str(STATE / "volumeplugins"),
    "podLogsDir": str(STATE / "pod-logs"),
}
_PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    # Needed up to Kubernetes 1.30 alone; from 1.33 on the mode has no gate any more, and the proxy would refuse one.
    **({"featureGates": {"NFTablesProxyMode": True}} if tools.KUBERNETES.startswith("1.30.") else {}),
    "clientConnection": {"kubeconfig": str(pki.kubeconfig("proxy"))},
    "hostnameOverride": pki.NODE,
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    "nftables": {"minSyncPeriod": "100ms"},
}
_COREDNS = f"""
.:53 {{
  bind {NODE_IP}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {pki.kubeconfig("admin")}
  }}
  cache 2
}}
"""


def start_containerd() -> None:
    """Start containerd and wait for its CRI plugin: the kubelet exits when it comes first."""
    _write("containerd.toml", _CONTAINERD)
    (STATE / "cni").mkdir(exist_ok=True)
    _write("cni/10-sandbox.conflist", json.dumps(_CNI))
    processes.start("containerd", ["containerd", "--config", STATE / "containerd.toml"])
    wait_for(
        "containerd",
        30,
        lambda: (
            " cri "
            in run(["ctr", f"--address={images.CONTAINERD_SOCKET}", "plugins", "ls"], check=False).replace("\t", " ")
            and images.CONTAINERD_SOCKET.exists()
        ),
    )


def start_kubelet() -> None:
    """Start kubelet, kube-proxy and CoreDNS, and wait until the node is ready."""
    cgroups.make()
    _write("kubelet.json", json.dumps(_KUBELET))
    _write("proxy.json", json.dumps(_PROXY))
    _write("Corefile", _COREDNS)
    _write("resolv.conf", f"nameserver {NODE_IP}\n")
    processes.start(
        "kubelet",
        [
            which("kubelet"),
            f"--config={STATE / 'kubelet.json'}",
            f"--root-dir={KUBELET}",
            f"--kubeconfig={pki.kubeconfig('kubelet')}",
            f"--hostname-override={pki.NODE}",
            f"--node-ip={NODE_IP}",
            f"--cert-dir={KUBELET / 'pki'}",
        ],
    )
    processes.start("kube-proxy", [which("kube-proxy"), f"--config={STATE / 'proxy.json'}"])
    processes.start("coredns", [which("coredns"), "-conf", STATE / "Corefile"])
    _bind_proxy_role()
    wait_for(
        "the node",
        60,
        lambda: (
            kubectl(
                "get", "node", pki.NODE, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}", check=False
            )
            == "True"
        ),
    )


def stop_pods() -> None:
    """End all containers with their shims and cgroups, then what is mounted below the state folder."""
    processes.stop("kubelet")
    processes.stop("containerd")
    processes.kill_shims(images.CONTAINERD_SOCKET)
    cgroups.kill()
    unmount_below(STATE)


def unmount_below(folder: Path) -> None:
    """Unmount everything below ``folder``, innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        run(["umount", "--lazy", mount], check=False)


def _bind_proxy_role() -> None:
    if not kubectl("get", "clusterrolebinding", "sandbox-proxy", "--ignore-not-found", "-o", "name"):
        kubectl(
            "create",
            "clusterrolebinding",
            "sandbox-proxy",
            "--clusterrole=system:node-proxier",
            "--user=system:kube-proxy",
        )


def _write(name: str, content: str) -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / name).write_text(content)


def remove_state() -> None:
    """Delete the state folder. Refuses while something is mounted in it: that would delete what is mounted."""
    unmount_below(STATE)
    if f" {STATE}/" in Path("/proc/self/mounts").read_text():
        raise OSError(f"something is still mounted below {STATE}")
    shutil.rmtree(STATE, ignore_errors=True)
