"""Makes the sandbox's network: one namespace with the node, its bridge and all Pods, apart from the machine's own."""

from collections.abc import Sequence
from pathlib import Path

from dev.sandbox.shell import SandboxError, run

NAME = "gitops-auth"
NAMESPACE = Path("/run/netns") / NAME
BRIDGE = "cni0"
NODE_IP = "10.88.0.1"
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_IP = "10.96.0.1"

_MARK = Path("/run") / f"{NAME}.netns-made-by-sandbox"


def inside(command: Sequence[str | Path]) -> list[str | Path]:
    """Return ``command`` as run in the namespace, by nsenter, because ``ip netns exec`` hides the cgroups."""
    return ["nsenter", f"--net={NAMESPACE}", "--", *command]


def up() -> None:
    """Make the namespace with its bridge, or repair it. Raises SandboxError if the name is somebody else's."""
    if NAMESPACE.exists() and not _MARK.exists():
        raise SandboxError(
            f"A network namespace {NAME} exists that this sandbox did not make. Remove it: ip netns delete {NAME}"
        )
    if NAMESPACE.exists() and not _is_mounted():
        NAMESPACE.unlink()  # what a reboot or a kill in the middle of `ip netns add` leaves
    _MARK.touch()
    if not NAMESPACE.exists():
        run(["ip", "netns", "add", NAME])
    commands = [["ip", "link", "set", "lo", "up"]]
    if BRIDGE not in run(inside(["ip", "-brief", "link"])):
        commands += [
            ["ip", "link", "add", BRIDGE, "type", "bridge"],
            ["ip", "address", "add", f"{NODE_IP}/16", "dev", BRIDGE],
        ]
    commands += [
        ["ip", "link", "set", BRIDGE, "up"],
        # The kubelet looks for the node's address on the way out; nothing answers there, nothing leaves.
        ["ip", "route", "replace", "default", "dev", BRIDGE],
        ["sysctl", "-qw", "net.ipv4.ip_forward=1"],
    ]
    for command in commands:
        run(inside(command))


def down() -> None:
    """Delete the namespace, and with it bridge, addresses and nftables rules."""
    if _MARK.exists():
        if NAMESPACE.exists():
            run(["ip", "netns", "delete", NAME])
        _MARK.unlink()


def _is_mounted() -> bool:
    return f" {NAMESPACE} " in Path("/proc/self/mounts").read_text()
