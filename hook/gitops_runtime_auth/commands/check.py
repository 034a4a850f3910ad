"""``check``, the look before you install: what the account has and lacks, asked from a laptop. Changes nothing."""

import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.commands import ensure
from gitops_runtime_auth.config import schema, values
from gitops_runtime_auth.config.settings import Server, Settings, load_values
from gitops_runtime_auth.errors import AuthError, ForeignSecretError, MissingSecretError, UsageError
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.cluster import secret_path
from gitops_runtime_auth.preflight import access as laptop
from gitops_runtime_auth.preflight import account as check_account
from gitops_runtime_auth.preflight import overrides, report
from gitops_runtime_auth.preflight.access import Given, Laptop
from gitops_runtime_auth.preflight.report import Report, StopError
from gitops_runtime_auth.retry import Deadline

OLDEST = (2, 14)
"""The oldest Argo CD that the product is made for."""

_NAMES = ("Values", "Credential", "API key Secret", "Argo CD", "Version", "Certificate", "{login}", "Account")


def run(given: Given) -> int:
    """Look at everything, print the report and return the exit code of the first failure. Raises UsageError."""
    if given.server and urlsplit(given.server).scheme not in ("http", "https"):
        raise UsageError(f"--server {given.server} is not a URL.", "Write it as https://argocd.example.com.")
    found = Report()
    with report.spinner(found):
        look(given, found)
    report.show(found, given.output)
    return found.exit_code


def look(given: Given, found: Report) -> None:
    """Fill ``found``. The steps build on each other: the first that fails leaves the others unchecked."""
    with ExitStack() as stack:
        deadline = Deadline(given.timeout)
        check = _Check(given, found, deadline, Laptop(given, deadline, stack))
        try:
            for step in (check.values, check.credential, check.stored_key, check.server, check.account):
                step()
        except StopError:
            done = {row.name for row in found.rows}
            for name in (n.format(login=check.login_row) for n in _NAMES):
                if name not in done:
                    found.skip(name)


@dataclass
class _Check:
    given: Given
    report: Report
    deadline: Deadline
    laptop: Laptop
    settings: Settings = field(init=False)
    argocd: ArgoCD = field(init=False)
    outside: bool = False
    """The values name Argo CD by a URL, which may be one that is reached from here."""
    secret: str = field(default="", repr=False)
    """The password or token."""
    stored: store.Stored = field(default_factory=store.Stored)
    login_row: str = "Login"

    def values(self) -> None:
        given = self.given
        with self.report.step("Values"):
            user = overrides.combine(given.files, given.sets, given.strings, given.from_files)
            merged = values.merge(values.chart_defaults(), user, keep_nulls=True)
            self.settings = load_values(merged)
            self.outside = bool(schema.effective_block(merged)["server"].get("url"))
            self.laptop.namespace = laptop.default_namespace(given)
        auth, url = self.settings.auth, self.settings.server.url
        who = f", account {auth.username}" if auth.username else ""
        self.login_row = check_account.LOGIN_ROW[auth.type]
        self.report.ok("Values", f"type {auth.type}{who}, Argo CD at {url}, namespace {self.laptop.namespace}")

    def credential(self) -> None:
        auth, namespace = self.settings.auth, self.laptop.namespace
        where = f"given in the values (auth.{auth.type})"
        with self.report.step("Credential"):
            self.secret = auth.inline or ""
            if auth.ref:
                self.secret, where = self.laptop.read(auth.ref), f"{auth.ref} in namespace {namespace}"
                if not self.secret:
                    raise MissingSecretError(
                        f'Secret "{auth.ref.name}" in namespace {namespace} does not exist, or its key "{auth.ref.key}"'
                        " is missing or empty.",
                        f"Create it (kubectl -n {namespace} create secret generic {auth.ref.name}"
                        f" --from-literal={auth.ref.key}=...), or correct"
                        f" global.external-arg-cd.auth.{auth.type}SecretKeyRef.",
                    )
            if auth.type == "token":
                self.secret = self.secret.strip()
                ensure.read_api_key(self.secret, auth.origin())
        if self.secret.endswith(("\n", "\r")):
            self.report.warn(
                "Credential",
                f"{where}; it ends with a newline, as echo leaves one",
                "Unless the newline belongs to the password, store it again with printf %s instead of echo.",
            )
        else:
            self.report.ok("Credential", where)

    def stored_key(self) -> None:
        """Look at the Secret that the hook would write: a foreign one stops it, a good key saves a login."""
        name = "API key Secret"
        if self.settings.auth.type == "token":
            return
        with self.report.step(name):
            try:
                secret = self.laptop.kubernetes().get(secret_path(self.laptop.namespace, store.NAME))
                labels = (secret or {}).get("metadata", {}).get("labels") or {}
                release = self.given.release or labels.get("app.kubernetes.io/instance", "")
                self.stored = store.content(secret, release)
            except ForeignSecretError as e:
                self.report.fail(name, e)
                return
            except AuthError as e:
                self.report.warn(name, f"could not be looked at: {e.problem}")
                return
        there = f"exists, made by release {release}" if secret else "does not exist yet: the hook will make it"
        self.report.ok(name, f'"{store.NAME}" {there}')

    def server(self) -> None:
        given = self.settings.server
        url = self.given.server.rstrip("/") or given.url
        with self.report.step("Argo CD"):
            way = self.laptop.open_way(url, self.outside)
            # Nothing secret is sent before the certificate has been verified: this asks for the version only.
            version = self.laptop.connect(Server(url, insecure_skip_verify=True), None).version()
        self.report.ok("Argo CD", f"answers at {url}{way}")
        numbers = re.match(r"v?(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
            self.report.warn("Version", f"{version}, which is older than 2.14", "Upgrade Argo CD to 2.14 or later.")
        else:
            self.report.ok("Version", version)
        server = Server(url, given.insecure_skip_verify, given.ca_ref, given.namespace)
        plain, note = url.startswith("http://"), ""
        with self.report.step("Certificate"):
            ca = None
            if not plain and not server.insecure_skip_verify:
                ca, note = self.laptop.trusted(server)
            self.argocd = self.laptop.connect(server, ca)
            self.argocd.version()
        if plain:
            self.report.warn("Certificate", "none: over plain HTTP the credential travels unencrypted")
        elif server.insecure_skip_verify:
            self.report.warn("Certificate", "not verified (server.insecureSkipVerify)")
        else:
            self.report.ok("Certificate", f"verified{note}")

    def account(self) -> None:
        check_account.Look(
            self.settings, self.given.release, self.report, self.laptop, self.argocd, self.secret, self.stored
        ).run(self.deadline)
