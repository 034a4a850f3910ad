"""Reads what the chart would make of the user's values: the settings of the hook, and the objects that they name."""

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
from gitops_runtime_auth.preflight.run import CheckRun
from gitops_runtime_auth.release import Release

_NAMELESS = "release-name"
"""The name that ``helm template`` gives to a release without a name."""
_RECORD = "-auth-refused"
"""End of the names of all releases' records of refused passwords."""


@dataclass(frozen=True)
class Plan:
    """The rendered chart, and what the hook would read from it."""

    rendering: Rendering = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    """The content of ``settings.json``."""
    settings: Settings
    given: Mapping[str, Any] = field(repr=False)
    """The user's values, merged, without the chart's defaults."""

    @property
    def server(self) -> Mapping[str, Any]:
        """The block that describes Argo CD, with the chart's defaults."""
        block: Mapping[str, Any] = self.document["values"]["global"]["external-arg-cd"]["server"]
        return block

    @property
    def server_path(self) -> str:
        """The user's spelling of that block, for remedies."""
        block = str(self.document["derived"]["block"])
        return block if block.endswith(".server") else f"{block}.server"


def make(check: CheckRun) -> Plan:
    """Render the chart and read its settings. Raises UsageError, ConfigurationError, UnreachableError."""
    run = _helm_run(check)
    cluster = [] if run.describes_the_cluster else check.helm_flags()
    rendering = run.render(cluster, check.deadline)
    document = rendering.settings()
    return Plan(rendering, document, config.parse(document), run.given_values(check.deadline))


def _helm_run(check: CheckRun) -> HelmRun:
    options = check.options
    return HelmRun(
        release=options.release or _NAMELESS,
        namespace=check.namespace,
        chart=options.chart or str(chart_file("Chart.yaml").parent),
        values=options.helm_values,
        others=[*options.helm_flags, *options.cluster_flags("--kube-context")],
        stdin=sys.stdin.buffer.read() if options.reads_stdin else None,
    )


def credential(check: CheckRun, plan: Plan) -> str:
    """Return the password (unchanged) or token (without surrounding blanks) that the hook would get.

    Raises MissingSecretError if there is none, RbacError if it may not be read.
    """
    auth, ref = plan.settings.auth, plan.settings.auth.credential
    found = plan.rendering.secret_value(ref.name, ref.key) if auth.inline else None
    if found is None:
        found = check.value("Secret", ref.name, ref.key)
    found = found.strip() if auth.type == "token" else found
    if not found:
        raise _missing(check, plan)
    return found


def _missing(check: CheckRun, plan: Plan) -> MissingSecretError:
    """Return the error for a missing credential, which is often in Argo CD's own namespace."""
    auth, ref, where = plan.settings.auth, plan.settings.auth.credential, check.namespace
    home, value, known = plan.settings.server.namespace, "...", ""
    if home != where and check.object(secret_path(home, ref.name)):
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


def stored_keys(check: CheckRun, plan: Plan) -> tuple[StoredKeys, str]:
    """Return the content of the key Secret, and the name of its release (empty if there is no Secret).

    Without --release the Secret of any release is accepted. Raises ForeignSecretError if it is somebody else's.
    """
    spec, release = plan.settings.key_secret, check.options.release
    found = check.cluster.get(secret_path(check.namespace, spec.name))
    if not release and found is not None:
        release = str(owned.mapping(owned.mapping(found.get("metadata")).get("labels")).get(owned.INSTANCE, ""))
    keys = KeySecret(check.cluster, Release(release, check.namespace), "", spec).read()
    return keys, release if found is not None else ""


def records(check: CheckRun, plan: Plan) -> tuple[Record, ...]:
    """Return the recorded refusals: those of this release, or of every release if none was named."""
    if check.options.release:
        found = [check.object(configmap_path(check.namespace, plan.settings.refused_record))]
    else:
        listed = check.items(configmap_path(check.namespace))
        found = [item for item in listed if item["metadata"]["name"].endswith(_RECORD)]
    parsed = (lockout.parse((item.get("data") or {}).get(record.KEY)) for item in found if item)
    return tuple(filter(None, parsed))


def manager(check: CheckRun, plan: Plan) -> Manager:
    """Return who manages the Argo CD of the values, UNKNOWN if its ConfigMap may not be read."""
    namespace = plan.settings.server.namespace or check.namespace
    return manager_of(check.object(configmap_path(namespace, CONFIG)), namespace)
