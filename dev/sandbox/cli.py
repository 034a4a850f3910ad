"""Runs the sandbox's commands."""

import argparse
import fcntl
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dev.sandbox import argocd, controlplane, debian, images, neighbours, network, node, pki, processes, tools
from dev.sandbox.paths import CACHE, KUBECONFIG, STATE
from dev.sandbox.shell import SandboxError, step

PROJECT_IMAGE = "localhost/gitops-runtime-auth:dev"
_SERVERS = (
    "etcd",
    "kube-apiserver",
    "forward-inside",
    "forward-host",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
)


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make the cluster with Argo CD, or repair it")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("down", help="remove all of it but the cache")
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    commands.add_parser("tools", help="make the client programs (helm, helm4, ct, ...) and print their folder")
    commands.add_parser("env", help="print shell lines that set PATH, HELM_PLUGINS and KUBECONFIG")
    load = commands.add_parser("load-image", help="build the project's image and load it into the cluster")
    load.add_argument("--name", default=PROJECT_IMAGE)
    load.add_argument("--containerfile", type=Path, default=Path("Dockerfile"))
    load.add_argument("--context", type=Path, default=Path())
    neighbour = commands.add_parser("neighbour", help="start or stop a program that people run beside Argo CD")
    neighbour.add_argument("name", choices=neighbours.NAMES)
    neighbour.add_argument("action", choices=["up", "down"])
    execute = commands.add_parser("exec", help="run a program in the cluster's network: exec -- PROGRAM ...")
    execute.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except SandboxError as e:
        print(f"sandbox: {e}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "tools":
            with _alone():
                print(tools.ensure_clients())
        case "env":
            print(f'export PATH="{tools.CURRENT}:$PATH" HELM_PLUGINS="{tools.PLUGINS}" KUBECONFIG="{KUBECONFIG}"')
        case "kubeconfig":
            print(KUBECONFIG)
        case "status":
            return _status()
        case "exec":
            words = options.program[1:] if options.program[:1] == ["--"] else options.program
            full = [str(word) for word in network.inside(words)]
            os.execvp(full[0], full)
        case "up":
            _require_root()
            with _alone():
                up()
        case "down":
            _require_root()
            with _alone():
                down()
        case "neighbour":
            _require_root()
            with _alone():
                (neighbours.up if options.action == "up" else neighbours.down)(options.name)
        case "load-image":
            _require_root()
            with _alone():
                debian.install()
                archive = images.build_project(options.name, options.containerfile, options.context.resolve())
                with step(f"loading {options.name}"):
                    images.load(archive)
    return 0


def up() -> None:
    """Make the sandbox. What runs is left alone; what a kill or a reboot left half-made is made anew."""
    began = time.monotonic()
    controlplane.check_port()
    debian.install()
    tools.ensure_clients()
    tools.ensure(tools.SERVERS)
    archives = images.ensure()
    recipe = argocd.recipe(archives)
    fresh = not all(processes.running(name) for name in _SERVERS) or not argocd.is_wanted(recipe)
    if fresh:
        if STATE.exists():
            with step("clearing what an earlier run left"):
                down()
        with step("network and certificates"):
            network.up()
            pki.make(controlplane.PORT)
            node.start_containerd()
        with ThreadPoolExecutor() as pool:  # the images are on their way while the API server starts and takes Argo CD
            loads = [pool.submit(images.load, archive) for archive in archives]
            with step("API server and controllers"):
                controlplane.start_etcd()
                controlplane.start_apiserver()
                controlplane.start_controllers()
            with step("Argo CD's manifests"):
                argocd.apply(recipe)
            with step("images"):
                for load in loads:
                    load.result()
        with step("node"):
            node.start_kubelet()
    with step("Argo CD's server"):
        argocd.wait()
    print(f"The sandbox is up ({time.monotonic() - began:.0f} s). KUBECONFIG={KUBECONFIG}", file=sys.stderr)


def down() -> None:
    """End and remove everything that ``up`` made, except the cache."""
    node.stop_pods()
    for name in processes.names():
        processes.stop(name)
    network.down()
    node.remove_state()


def _status() -> int:
    alive = {name: processes.running(name) for name in _SERVERS}
    for name, runs in alive.items():
        print(f"{name:26} {'runs' if runs else '-'}")
    if all(alive.values()):
        print(controlplane.kubectl("get", "pods", "-A", "--no-headers", check=False), end="")
    return 0 if all(alive.values()) else 1


def _require_root() -> None:
    if platform.system() == "Linux" and os.geteuid() == 0 and debian.is_here():
        return
    raise SandboxError(
        "the cluster needs root on a machine with Debian 12 (bookworm). Elsewhere, point E2E_KUBECONFIG at any cluster"
        " with Argo CD (kind, for one) and E2E_IMAGE at the project's image: demo and e2e tests then run there"
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Let one call at a time change the sandbox."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
