"""What the chart would do with the user's values: the settings of the hook, and what they name in the cluster."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitops_runtime_auth.config import document as config
from gitops_runtime_auth.config.schema import chart_file
from gitops_runtime_auth.config.settings import INITIAL_ADMIN_SECRET, Settings
from gitops_runtime_auth.errors import MissingSecretError
from gitops_runtime_auth.keys import lockout, record
from gitops_runtime_auth.keys.lockout import Record
from gitops_runtime_auth.keys.managers import CONFIG, Manager, manager_of
from gitops_runtime_auth.kube import owned
from gitops_runtime_auth.kube.api import configmap_path, secret_path
from gitops_runtime_auth.kube.secret import KeySecret, StoredKeys
from gitops_runtime_auth.preflight.helm import HelmRun, Rendering
from gitops_runtime_auth.preflight.laptop import Laptop
from gitops_runtime_auth.release import Release

_NAMELESS = "release-name"
"""What ``helm template`` calls a release that has no name."""
_RECORD = "-auth-refused"
"""How the names of all releases' records of refused passwords end."""


@dataclass(frozen=True)
class Plan:
    """The rendered chart and what the hook would read of it."""

    rendering: Rendering = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    """``settings.json`` as the chart wrote it."""
    settings: Settings
    given: Mapping[str, Any] = field(repr=False)
    """The user's values, merged, without the chart's defaults."""

    @property
    def server(self) -> Mapping[str, Any]:
        """The block that describes Argo CD, with the chart's defaults laid under it."""
        block: Mapping[str, Any] = self.document["values"]["global"]["external-arg-cd"]["server"]
        return block

    @property
    def server_path(self) -> str:
        """The user's spelling of that block, which remedies name."""
        block = str(self.document["derived"]["block"])
        return block if block.endswith(".server") else f"{block}.server"


def make(laptop: Laptop) -> Plan:
    """Render the chart and read it as the hook would. Raises UsageError, ConfigurationError, UnreachableError."""
    run = _helm_run(laptop)
    cluster = [] if run.describes_the_cluster else laptop.helm_flags()
    rendering = run.render(cluster, laptop.deadline)
    document = rendering.settings()
    return Plan(rendering, document, config.parse(document), run.given_values(laptop.deadline))


def _helm_run(laptop: Laptop) -> HelmRun:
    options = laptop.options
    return HelmRun(
        release=options.release or _NAMELESS,
        namespace=laptop.namespace,
        chart=options.chart or str(chart_file("Chart.yaml").parent),
        values=options.helm_values,
        others=[*options.helm_flags, *options.cluster_flags("--kube-context")],
        stdin=sys.stdin.buffer.read() if options.reads_stdin else None,
    )


def credential(laptop: Laptop, plan: Plan) -> str:
    """Return the password (as it is) or token (without the blanks that pasting adds) that the hook would be given.

    Raises MissingSecretError when it is nowhere, RbacError when it may not be read.
    """
    auth, ref = plan.settings.auth, plan.settings.auth.credential
    found = plan.rendering.secret_value(ref.name, ref.key) if auth.inline else None
    if found is None:
        found = laptop.value("Secret", ref.name, ref.key)
    found = found.strip() if auth.type == "token" else found
    if not found:
        raise _missing(laptop, plan)
    return found


def _missing(laptop: Laptop, plan: Plan) -> MissingSecretError:
    """Return the error for a credential that is not there; Argo CD's own namespace often holds it."""
    auth, ref, where = plan.settings.auth, plan.settings.auth.credential, laptop.namespace
    home, value, known = plan.settings.server.namespace, "...", ""
    if home != where and laptop.object(secret_path(home, ref.name)):
        known = f" Namespace {home} has one of that name."
        path = ref.key.replace(".", "\\.")
        value = f"\"$(kubectl -n {home} get secret {ref.name} -o jsonpath='{{.data.{path}}}' | base64 -d)\""
    elif ref.name == INITIAL_ADMIN_SECRET:
        known = " Argo CD asks people to delete it after the first login."
    return MissingSecretError(
        f'Secret "{ref.name}" in namespace {where} does not exist, or its key "{ref.key}" is missing or empty.{known}',
        f"Correct {auth.path}.{auth.type}SecretKeyRef, or run: kubectl -n {where} create secret generic {ref.name}"
        f" --from-literal={ref.key}={value}",
    )


def stored_keys(laptop: Laptop, plan: Plan) -> tuple[StoredKeys, str]:
    """Return what the key Secret holds, and the release that it is of (empty when there is none).

    Without --release any release's Secret counts as this one's. Raises ForeignSecretError when it is somebody else's.
    """
    spec, release = plan.settings.key_secret, laptop.options.release
    found = laptop.cluster.get(secret_path(laptop.namespace, spec.name))
    if not release and found is not None:
        release = str(owned.mapping(owned.mapping(found.get("metadata")).get("labels")).get(owned.INSTANCE, ""))
    keys = KeySecret(laptop.cluster, Release(release, laptop.namespace), "", spec).read()
    return keys, release if found is not None else ""


def records(laptop: Laptop, plan: Plan) -> tuple[Record, ...]:
    """Return the refused passwords that are on record: this release's, or every release's when none was named."""
    if laptop.options.release:
        found = [laptop.object(configmap_path(laptop.namespace, plan.settings.refused_record))]
    else:
        listed = laptop.items(configmap_path(laptop.namespace))
        found = [item for item in listed if item["metadata"]["name"].endswith(_RECORD)]
    parsed = (lockout.parse((item.get("data") or {}).get(record.KEY)) for item in found if item)
    return tuple(filter(None, parsed))


def manager(laptop: Laptop, plan: Plan) -> Manager:
    """Tell who manages the Argo CD of the values; UNKNOWN when its ConfigMap is in no namespace that may be read."""
    namespace = plan.settings.server.namespace or laptop.namespace
    return manager_of(laptop.object(configmap_path(namespace, CONFIG)), namespace)
