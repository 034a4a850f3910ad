"""Runs programs that people use beside Argo CD: Flux' helm-controller, the argocd-operator, External Secrets.

One more is kube-router, which enforces NetworkPolicies. Each runs as a process in the sandbox's network with an admin's
kubeconfig. The definitions of its resources come from its module and go with it: what is installed in a cluster decides
what the chart renders.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dev.sandbox import debian, network, pki, processes, tools
from dev.sandbox.controlplane import kubectl
from dev.sandbox.network import NODE_IP, SERVICE_CIDR, inside
from dev.sandbox.paths import STATE
from dev.sandbox.shell import SandboxError, step, wait_for

ARTIFACTS = STATE / "artifacts"
"""A folder that a plain HTTP server shows to Flux, in the place of its source-controller."""
ARTIFACTS_URL = f"http://{NODE_IP}:9439"
_READY_SECONDS = 60


@dataclass(frozen=True)
class Definitions:
    """The custom resource definitions of a module."""

    recipe: str
    """The folder of the go.mod that pins the module."""
    module: str
    folder: str
    only: tuple[str, ...] = ()
    """Parts of file names; empty means all files. Those of Argo CD itself are there already."""

    def files(self) -> list[Path]:
        """Return the files, downloaded on demand."""
        found = sorted((tools.module_folder(self.recipe, self.module) / self.folder).glob("*.*_*.yaml"))
        return [file for file in found if not self.only or any(part in file.name for part in self.only)]


MONITORING = Definitions(
    "prometheus-operator",
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    ("prometheusrules", "servicemonitors"),
)
"""Kinds of the Prometheus operator that the chart makes objects of. The operator itself is not started."""


@dataclass(frozen=True)
class Neighbour:
    """A program and how it is started."""

    tool: str
    definitions: tuple[Definitions, ...]
    arguments: tuple[str, ...]
    runs: Callable[[], bool]
    """Tells whether it does its work."""
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    """Programs that it calls, each with its Debian package."""


def _operators_environment() -> dict[str, str]:
    """Its Redis settings are read from files of its module; it looks after all namespaces."""
    module = tools.module_folder("argocd-operator", "github.com/argoproj-labs/argocd-operator")
    return {"REDIS_CONFIG_PATH": str(module / "build" / "redis"), "WATCH_NAMESPACE": ""}


def _neighbour(name: str) -> Neighbour:
    match name:
        case "flux":
            return Neighbour(
                "helm-controller",
                (
                    Definitions("flux", "github.com/fluxcd/helm-controller", "config/crd/bases"),
                    Definitions("flux-source", "github.com/fluxcd/source-controller", "config/crd/bases"),
                ),
                ("--metrics-addr=0", "--health-addr=:9440", "--watch-all-namespaces", "--enable-leader-election=false"),
                partial(answers, "http://127.0.0.1:9440/healthz"),
                {"RUNTIME_NAMESPACE": "default"},
            )
        case "argocd-operator":
            own = ("argocds", "argocdexports", "notificationsconfigurations", "namespacemanagements", "imageupdaters")
            return Neighbour(
                "argocd-operator",
                (Definitions("argocd-operator", "github.com/argoproj-labs/argocd-operator", "config/crd/bases", own),),
                ("--metrics-bind-address=0", "--metrics-secure=false", "--health-probe-bind-address=:9441"),
                partial(answers, "http://127.0.0.1:9441/healthz"),
                _operators_environment(),
            )
        case "external-secrets":
            module = "github.com/external-secrets/external-secrets"
            return Neighbour(
                "external-secrets",
                (Definitions("external-secrets", module, "config/crds/bases"),),
                (
                    "--metrics-addr=127.0.0.1:9442",
                    "--enable-cluster-store-reconciler=false",
                    "--enable-cluster-external-secret-reconciler=false",
                    "--enable-push-secret-reconciler=false",
                    "--enable-cluster-push-secret-reconciler=false",
                ),
                partial(answers, "http://127.0.0.1:9442/metrics"),
            )
        case "network-policies":
            return Neighbour(
                "kube-router",
                (),
                (
                    f"--kubeconfig={pki.kubeconfig('admin')}",
                    f"--hostname-override={pki.NODE}",
                    f"--service-cluster-ip-range={SERVICE_CIDR}",
                    "--run-firewall=true",
                    "--run-router=false",
                    "--run-service-proxy=false",
                    "--health-port=0",
                ),
                network.has_policies,
                programs={"iptables": "iptables", "ipset": "ipset"},
            )
    raise SandboxError(f"{name} is none of {', '.join(NAMES)}")


NAMES = ("flux", "argocd-operator", "external-secrets", "network-policies")


def up(name: str) -> None:
    """Build a neighbour if that was not done yet, apply its definitions and start it. Raises SandboxError."""
    if not processes.running("kube-apiserver"):
        raise SandboxError("the sandbox is not up: run python -m dev.sandbox up")
    found = _neighbour(name)
    debian.install(found.programs)
    tools.ensure(tuple(tool for tool in tools.NEIGHBOURS if tool.name == found.tool))
    with step(name):
        for definitions in found.definitions:
            for file in definitions.files():
                kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
                wait_for(file.name, _READY_SECONDS, partial(_established, file))
        if name == "flux":
            ARTIFACTS.mkdir(exist_ok=True)
            port = ARTIFACTS_URL.rpartition(":")[2]
            serve = ["-m", "http.server", "--bind", NODE_IP, "--directory", str(ARTIFACTS), port]
            processes.start("artifacts", [sys.executable, *serve])
        environment = {**found.environment, "KUBECONFIG": str(pki.kubeconfig("admin"))}
        processes.start(name, [tools.which(found.tool), *found.arguments], env=environment)
        wait_for(name, _READY_SECONDS, found.runs)


def down(name: str) -> None:
    """Delete a neighbour's definitions, and with them every object of their kinds, then stop it.

    In this order because it may have to clear its objects away first. Raises SandboxError when it does not. Rules by
    which NetworkPolicies were enforced are removed last, because kube-router would make them again.
    """
    found = _neighbour(name)
    if processes.running("kube-apiserver"):
        for definitions in found.definitions:
            for file in definitions.files():
                kubectl("delete", "--ignore-not-found", f"--timeout={_READY_SECONDS}s", "-f", file)
    processes.stop(name)
    if name == "flux":
        processes.stop("artifacts")
    if name == "network-policies" and network.NAMESPACE.exists():
        debian.install(found.programs)
        network.drop_policies()


def _established(file: Path) -> bool:
    """Tell whether the API server serves the resource that a file defines."""
    condition = "jsonpath={.status.conditions[?(@.type=='Established')].status}"
    return kubectl("get", "-f", file, "-o", condition, check=False) == "True"


def answers(url: str) -> bool:
    """Tell whether a page of the sandbox's network answers 200."""
    program = f"import urllib.request as r; r.urlopen({url!r}, timeout=2)"
    done = subprocess.run([*inside([sys.executable, "-c", program])], capture_output=True, check=False)
    return done.returncode == 0
