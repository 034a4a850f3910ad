"""``check``: checks from a laptop whether an install will work, and what the account lacks. Changes nothing."""

import re
from contextlib import ExitStack

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.login import require_possible
from gitops_runtime_auth.errors import AuthError, ForeignSecretError
from gitops_runtime_auth.keys.managers import Kind, Manager
from gitops_runtime_auth.kube.secret import StoredKeys
from gitops_runtime_auth.preflight import account, connection, plan, pods, report, vendor
from gitops_runtime_auth.preflight.account import ROW
from gitops_runtime_auth.preflight.options import CheckOptions
from gitops_runtime_auth.preflight.plan import Plan
from gitops_runtime_auth.preflight.proof import Inputs
from gitops_runtime_auth.preflight.report import Report, StopError
from gitops_runtime_auth.preflight.run import CheckRun
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing

OLDEST = (2, 14)
"""The oldest Argo CD that the product supports."""

_ROWS = ("Values", "Credential", "Argo CD", "Version", "Certificate", "Login", "Account")
"""Rows that are listed as not checked if an earlier step has failed."""


def run(options: CheckOptions, timing: Timing) -> int:
    """Check everything, print the report and return the exit code of the first failure. Raises UsageError."""
    if options.output != "json":
        report.require_rich()
    found = Report()
    with report.spinner(found, options.output):
        fill(found, options, timing)
    report.show(found, options.output)
    return found.exit_code


def fill(found: Report, options: CheckOptions, timing: Timing) -> None:
    """Fill the report. If a step fails, those after it are not done, because they need its result."""
    login = ROW["password"]
    with ExitStack() as stack:
        check = CheckRun(options, timing, Deadline(options.timeout), stack)
        try:
            planned = _values(check, found)
            login = ROW[planned.settings.auth.type]
            stored = _stored_keys(check, planned, found)
            _pods(check, planned, found, installed=stored is not None and bool(stored.resource_version))
            secret = _credential(check, planned, found)
            manager = _manager(check, planned, found)
            argocd = _argocd(check, planned, found)
            current = stored.current if stored else None
            records = plan.records(check, planned)
            account.check(Inputs(check, planned.settings, argocd, manager, secret, current, records), found)
        except StopError:
            done = {row.name for row in found.rows}
            for name in _ROWS:
                shown = login if name == "Login" else name
                if shown not in done:
                    found.skip(shown)


def _values(check: CheckRun, found: Report) -> Plan:
    with found.step("Values"):
        planned = plan.make(check)
    auth = planned.settings.auth
    who = f", account {auth.username}" if auth.username else ""
    where = f"Argo CD at {planned.settings.server.url}, namespace {check.namespace}"
    found.ok("Values", f"type {auth.type}{who}, {where}")
    if spelling := vendor.compare(planned.given, planned.document):
        found.ok("Vendor's chart", spelling.found, spelling.paste)
    return planned


def _stored_keys(check: CheckRun, planned: Plan, found: Report) -> StoredKeys | None:
    """Read the Secret that the hook would write: somebody else's is a failure, a key that works saves a login."""
    row, name = "API key Secret", planned.settings.key_secret.name
    if planned.settings.auth.type == "token":
        return None
    try:
        keys, release = plan.stored_keys(check, planned)
    except ForeignSecretError as e:
        found.fail(row, e)
        return None
    except AuthError as e:
        found.warn(row, f"could not be read: {e.problem}")
        return None
    there = f"exists, made by release {release}" if release else "does not exist yet: the hook will make it"
    found.ok(row, f'"{name}" {there}')
    return keys


def _pods(check: CheckRun, planned: Plan, found: Report, *, installed: bool) -> None:
    """Report what would prevent Pods from starting: an exhausted quota, or an image that can't be pulled."""
    image = pods.image(planned.rendering)
    absent = [name for name in pods.pull_secrets(planned.rendering) if check.lacks(name)]
    if not image:
        found.warn("Image", "none, because hook.enabled is false: nothing checks the account or makes a key")
    elif absent:
        missing = " and ".join(f'"{name}"' for name in absent)
        found.warn("Image", f"{image}, to be pulled with Secret {missing}, which does not exist")
    else:
        found.ok("Image", image)
    base = f"/api/v1/namespaces/{check.namespace}"
    quotas, ranges = (check.items(f"{base}/{kind}") for kind in ("resourcequotas", "limitranges"))
    if lacking := pods.lacking(quotas, ranges, planned.rendering, installed=installed):
        names = " ".join(quota["metadata"]["name"] for quota in quotas)
        found.warn("Quota", lacking, f"kubectl -n {check.namespace} describe resourcequota {names}")


def _credential(check: CheckRun, planned: Plan, found: Report) -> str:
    auth = planned.settings.auth
    where = auth.origin() if auth.inline else f"{auth.credential} in namespace {check.namespace}"
    with found.step("Credential"):
        secret = plan.credential(check, planned)
        if auth.type == "password":
            require_possible(auth.username)
    if auth.type == "password" and secret.endswith(("\n", "\r")):
        found.warn(
            "Credential",
            f"{where}; it ends with a newline, as echo writes one",
            "Unless the newline belongs to the password, store it again with printf %s instead of echo.",
        )
    else:
        found.ok("Credential", where)
    return secret


def _manager(check: CheckRun, planned: Plan, found: Report) -> Manager:
    manager = plan.manager(check, planned)
    if manager.kind is Kind.UNKNOWN:
        found.skip("Managed by", f"{manager} in namespace {manager.namespace}")
    else:
        found.ok("Managed by", str(manager))
    return manager


def _argocd(check: CheckRun, planned: Plan, found: Report) -> ArgoCD:
    url = planned.settings.server.url
    with found.step("Argo CD"):
        where, way = connection.endpoint(check, planned.server, url, planned.server_path)
        reached = connection.reach(check, where)
    found.ok("Argo CD", f"answers at {where.url}{way}")
    numbers = re.match(r"v?(\d+)\.(\d+)", reached.version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        found.warn("Version", f"{reached.version}, which is older than 2.14", "Upgrade Argo CD to 2.14 or later.")
    else:
        found.ok("Version", reached.version)
    with found.step("Certificate"):
        if reached.distrusted:
            raise reached.distrusted
    if not where.url.startswith("https:"):
        found.warn("Certificate", "none: with plain HTTP the credential is sent unencrypted")
    elif where.insecure_skip_verify:
        found.warn("Certificate", f"not verified ({planned.server_path}.insecureSkipVerify)")
    else:
        found.ok("Certificate", f"verified with {where.ca_origin if where.ca else 'the public CAs'}")
    return reached.argocd
