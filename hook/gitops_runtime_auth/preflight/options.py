"""Reads the command line of ``check``: a few flags of its own; all other flags are passed to helm."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitops_runtime_auth.errors import UsageError

_VALUES = {
    "--set": "KEY=VALUE",
    "--set-string": "KEY=VALUE",
    "--set-file": "KEY=FILE",
    "--set-json": "KEY=JSON",
    "--set-literal": "KEY=VALUE",
}


@dataclass(frozen=True)
class CheckOptions:
    """The options of one run of ``check``."""

    release: str = ""
    """Name of the release, empty if it was not given."""
    namespace: str = ""
    """The release's namespace, empty for that of the kubeconfig."""
    chart: str = ""
    """The chart to render, empty for the one in this package."""
    kubeconfig: str = ""
    """A kubeconfig file, empty for the default one."""
    context: str = ""
    """A context of the kubeconfig, empty for its current one."""
    server: str = ""
    """Argo CD's address as seen from this machine; empty for the one in the values, if need be by port-forward."""
    ca_file: Path | None = None
    timeout: float = 60.0
    """Seconds for the whole run."""
    output: str = "table"
    helm_values: Sequence[str] = field(default=(), repr=False)
    """The flags for values, with their arguments, which may contain a credential."""
    helm_flags: Sequence[str] = field(default=(), repr=False)
    """All other flags, for helm."""

    @property
    def reads_stdin(self) -> bool:
        """Whether a flag for values has the argument ``-`` or ``KEY=-``, or a list with one of these (``a.yaml,-``)."""
        parts = (part for argument in self.helm_values[1::2] for part in argument.split(","))
        return any(part.rpartition("=")[2].strip() == "-" for part in parts)

    def cluster_flags(self, context_flag: str) -> list[str]:
        """Return the flags that name the user's cluster; helm calls the context ``--kube-context``."""
        flags = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return flags + ([context_flag, self.context] if self.context else [])


class _ForHelm(argparse.Action):
    """Stores a flag of helm with its argument, in the order of the command line."""

    def __call__(
        self, _: argparse.ArgumentParser, options: argparse.Namespace, value: Any, flag: str | None = None
    ) -> None:
        options.helm_values = [*options.helm_values, flag, value]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command line of ``check``. Flags that the parser does not know are for helm (``parse_known_args``)."""
    parser.description = "Checks from your laptop whether helm install will work. Changes nothing."
    parser.epilog = "All other flags go to helm template: --version, --repo, --kube-version, ..."
    parser.allow_abbrev = False
    parser.set_defaults(helm_values=[])
    parser.add_argument("--release", default="", help="the release's name, by which its own Secret is recognized")
    parser.add_argument("-n", "--namespace", default="", help="the release's namespace (default: the kubeconfig's)")
    parser.add_argument(
        "--chart",
        default="",
        help="another chart, or a parent chart that contains this one (default: the one in this package)",
    )
    parser.add_argument(
        "-f", "--values", action=_ForHelm, dest="helm_values", metavar="FILE", help="values, - for standard input"
    )
    for flag, argument in _VALUES.items():
        parser.add_argument(flag, action=_ForHelm, dest="helm_values", metavar=argument, help="as helm's")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: $KUBECONFIG or ~/.kube/config")
    parser.add_argument(
        "--context", "--kube-context", dest="context", default="", metavar="NAME", help="context of the kubeconfig"
    )
    parser.add_argument("--server", default="", metavar="URL", help="Argo CD's address as seen from here")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="CA certificate to trust instead of the values'")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for the whole run (default 60)")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def from_arguments(options: argparse.Namespace, unknown: Sequence[str]) -> CheckOptions:
    """Return the options of a parsed command line. Raises UsageError for a --server that is not a URL."""
    given = {name: getattr(options, name) for name in CheckOptions.__dataclass_fields__ if hasattr(options, name)}
    context = options.context or os.environ.get("HELM_KUBECONTEXT", "")  # helm's own variable
    found = CheckOptions(**{**given, "context": context, "helm_flags": list(unknown)})
    if found.server and urlsplit(found.server).scheme not in ("http", "https"):
        raise UsageError(f"--server {found.server} is not a URL.", "Write it as https://argocd.example.com.")
    return found


def default_namespace(options: CheckOptions) -> str:
    """Return the namespace that helm would use: --namespace, else HELM_NAMESPACE, else that of the kubeconfig."""
    given = options.namespace or os.environ.get("HELM_NAMESPACE", "")
    if given:
        return given
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import list_kube_config_contexts

    try:
        contexts, current = list_kube_config_contexts(options.kubeconfig or None)
    except (ConfigException, OSError):
        return "default"
    if options.context:
        current = next((c for c in contexts if c["name"] == options.context), {})
    return str((current.get("context") or {}).get("namespace") or "default")
