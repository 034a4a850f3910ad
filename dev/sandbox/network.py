"""Makes the sandbox's network: one namespace with the node, its bridge and all Pods, apart from the machine's own."""

import re
from collections.abc import Sequence
from pathlib import Path

from dev.sandbox.shell import SandboxError, run, wait_for

NAME = "gitops-auth"
NAMESPACE = Path("/run/netns") / NAME
BRIDGE = "cni0"
NODE_IP = "10.88.0.1"
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_IP = "10.96.0.1"

_POLICY_CHAIN = re.compile(r"\bKUBE-(ROUTER|NWPLCY|POD-FW)-")
"""Names of kube-router's chains."""
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


def has_policies() -> bool:
    """Tell whether kube-router has made its rules for each Pod. Its health page is there before them."""
    return "-j KUBE-POD-FW-" in run(inside(["iptables-save", "-t", "filter"]))


def drop_policies() -> None:
    """Remove the rules and address sets by which kube-router enforced NetworkPolicies; the kubelet's rules stay.

    kube-router leaves them when it ends, and its ``--cleanup-config`` removes none of them. Raises SandboxError.
    """
    rules = run(inside(["iptables-save", "-t", "filter"])).splitlines(keepends=True)
    run(inside(["iptables-restore"]), stdin="".join(rule for rule in rules if not _POLICY_CHAIN.search(rule)))
    wait_for("the end of kube-router's address sets", 10, _no_sets)


def _no_sets() -> bool:
    """Remove all address sets and tell whether none is left: the kernel lets go of one some time after its rules."""
    run(inside(["ipset", "destroy"]), check=False)
    return not run(inside(["ipset", "list", "-name"]))


def _is_mounted() -> bool:
    return f" {NAMESPACE} " in Path("/proc/self/mounts").read_text()
