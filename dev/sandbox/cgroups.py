"""Makes and removes the Pods' cgroups, below the sandbox's own group, so that no other kubelet's Pods are touched."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from dev.sandbox.paths import STATE

ROOT = "/gitops-runtime-auth-sandbox"
"""The kubelet's ``cgroupRoot``: it takes what it finds there for its own, and removes what it does not know."""

_MOUNT = Path("/sys/fs/cgroup")
_TASKS = STATE / "containerd-run" / "io.containerd.runtime.v2.task" / "k8s.io"
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


def make() -> None:
    """Make the sandbox's group in every hierarchy; the kubelet refuses to start without it."""
    for hierarchy in _hierarchies():
        if hierarchy == _MOUNT:
            _delegate(hierarchy)
        (hierarchy / ROOT.lstrip("/")).mkdir(exist_ok=True)


def kill() -> None:
    """Kill what is left in the sandbox's cgroups, and remove them."""
    for group in sorted(_own(), key=lambda p: -len(p.parts)):
        for _ in range(20):
            _kill_in(group)
            if _remove(group):
                break
            time.sleep(0.1)


def _own() -> set[Path]:
    """Return the sandbox's own groups: below its root, and those that its containerd lists."""
    own = set()
    for hierarchy in _hierarchies():
        tree = hierarchy / ROOT.lstrip("/")
        if tree.is_dir():
            own |= {tree, *(p for p in tree.rglob("*") if p.is_dir())}
        # A kubelet that died at its start, or one of an older sandbox, had its pods elsewhere.
        own |= {group for path in _listed() if (group := hierarchy / path.lstrip("/")).is_dir()}
    return own


def _listed() -> Iterator[str]:
    """Yield the groups of the containers that the sandbox's containerd runs, or ran when it was killed."""
    for config in _TASKS.glob("*/config.json"):
        try:
            path = json.loads(config.read_text())["linux"]["cgroupsPath"]
        except (OSError, ValueError, KeyError):
            continue
        if path.strip("/"):
            yield path


def _hierarchies() -> list[Path]:
    """Return where cgroups live: the one tree of version 2, or a tree for each controller of version 1."""
    if (_MOUNT / "cgroup.procs").exists():
        return [_MOUNT]
    return sorted({p.parent.resolve() for p in _MOUNT.glob("*/cgroup.procs")})


def _delegate(hierarchy: Path) -> None:
    """Hand the controllers down, as far as this machine has and allows them (version 2)."""
    there = (hierarchy / "cgroup.controllers").read_text().split()
    for name in _CONTROLLERS:
        if name in there:
            try:
                (hierarchy / "cgroup.subtree_control").write_text(f"+{name}")
            except OSError:
                continue


def _kill_in(group: Path) -> None:
    try:
        pids = (group / "cgroup.procs").read_text().split()
    except OSError:
        return
    for pid in pids:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _remove(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
