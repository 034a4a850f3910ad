"""``verify``, what ``helm test`` runs: Argo CD accepts the credential of every consumer, shown as a table."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.errors import AuthError, MissingSecretError, RefusedError, UsageError
from gitops_runtime_auth.keys import record
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.kube.rollout import Workload
from gitops_runtime_auth.kube.template import uses_of
from gitops_runtime_auth.mounted import Mounted
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing


@dataclass(frozen=True)
class Options:
    """What the chart tells the test Pod by arguments."""

    mounted: Mounted
    deployments: tuple[str, ...] = ()
    """The Runtime's enabled Deployments, by their service's name. Their credentials are in this Pod's environment."""
    consumers: tuple[str, ...] = ()
    """Further workloads that take the API key, as ``kind/name``: ``keeper.consumers``."""
    key_secret: str = ""
    """The Secret that they take it from."""
    token_keys: tuple[str, ...] = ("token",)
    """Those of its keys that hold a token. The Secret is mounted in the folder ``key/``."""
    timeout: float = 120.0
    """Seconds for all of it."""


@dataclass(frozen=True)
class Row:
    """A credential and what Argo CD says to it; ``error`` is None if it is accepted, or can't be proven from here."""

    consumer: str
    credential: str
    account: str
    result: str
    error: AuthError | None = None


class Proof:
    """Sends each credential to Argo CD, which has shown to be one before: nothing is sent anywhere else."""

    def __init__(self, environ: Mapping[str, str], options: Options, timing: Timing) -> None:
        self._environ = environ
        self._options = options
        self._timing = timing
        self._files = options.mounted.folder
        self._deadline = Deadline(options.timeout)
        endpoint = options.mounted.endpoint(environ["ARGO_CD_URL"])
        self._argocd = ArgoCD(Transport(endpoint), self._deadline, timing)

    def rows(self) -> Iterator[Row]:
        """Yield a row for each credential of each consumer. Raises RetryableError and WrongServerError at once."""
        with closing(self._argocd):
            self._argocd.version()
            for name in self._options.deployments:
                yield from self._of_deployment(name)
            for name in self._options.consumers:
                yield from self._of_consumer(name)

    def _of_deployment(self, name: str) -> Iterator[Row]:
        username = self._environ.get("ARGO_CD_USERNAME", "")
        if name == "app-proxy" and username:
            login = Login(self._argocd.url, username, self._environ.get("ARGO_CD_PASSWORD", ""))
            yield _row(name, "username and password", lambda: self._log_in(login))
            return
        yield _row(name, "ARGO_CD_TOKEN", lambda: self._use(self._environ.get("ARGO_CD_TOKEN", "")))
        if name != "app-proxy":
            file = Path(self._environ.get("ARGO_CD_TOKEN_FILE", ""))
            yield _row(name, "ARGO_CD_TOKEN_FILE", lambda: self._use(_read(file)))

    def _of_consumer(self, consumer: str) -> Iterator[Row]:
        try:
            found = self._cluster.get(self._path(consumer))
        except AuthError as e:
            yield _failed(consumer, "-", e)
            return
        if found is None:
            yield Row(consumer, "-", "-", "not there (yet): nothing to prove")
            return
        keys, secret = self._options.token_keys, self._options.key_secret
        uses = [(use.where, key) for use in uses_of(secret, found) for key in keys if use.key in ("", key)]
        if not uses:
            yield Row(consumer, "-", "-", f"not proven: no variable and no volume takes a token from Secret {secret}")
        for where, key in uses:
            yield _row(consumer, f"{where}, key {key}", partial(self._use_key, key))

    @cached_property
    def _cluster(self) -> Cluster:
        return api.connect(self._deadline, self._timing)

    def _path(self, consumer: str) -> str:
        workload = Workload.parse(consumer)
        return api.workload_path(self._environ.get("RELEASE_NAMESPACE", ""), workload.kind, workload.name)

    def _use_key(self, key: str) -> str:
        return self._use(_read(self._files / "key" / key))

    def _use(self, token: str) -> str:
        claims = tokens.read(token.strip())
        if claims is None:
            raise MissingSecretError("It is not an Argo CD token.", "Look at the Secret that the workload refers to.")
        return self._argocd.account(claims.account, token.strip()).name

    def _log_in(self, login: Login) -> str:
        record.require_unrecorded(self._files, login, self._argocd.now(), self._timing, hook=False)
        with self._argocd.session(login.account, login.password, again_in_doubt=False) as session:
            return self._argocd.account(login.account, session).name


def run(environ: Mapping[str, str], options: Options, timing: Timing) -> int:
    """Prove every credential, print the table and return 0.

    If one is not accepted, raises its error after the table: a refusal rather than another one. Raises UsageError.
    """
    if not environ.get("ARGO_CD_URL"):
        raise UsageError("The environment lacks ARGO_CD_URL.", "Run this through helm test, which sets it.")
    rows = list(Proof(environ, options, timing).rows())
    print(log.printable(table(rows)))
    errors = [row.error for row in rows if row.error]
    if errors:
        raise next((e for e in errors if isinstance(e, RefusedError)), errors[0])
    return os.EX_OK


def _row(consumer: str, credential: str, attempt: Callable[[], str]) -> Row:
    try:
        return Row(consumer, credential, attempt(), "accepted")
    except AuthError as e:
        return _failed(consumer, credential, e)


def _failed(consumer: str, credential: str, error: AuthError) -> Row:
    return Row(consumer, credential, "-", f"{error.problem} {error.remedy}", error)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise MissingSecretError(
            f"The file {file} can't be read ({e.strerror}).", "Look at the Secret that the workload takes."
        ) from None


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("CONSUMER", "CREDENTIAL", "ACCOUNT", "RESULT")]
    cells += [(r.consumer, r.credential, r.account, r.result) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]) for line in cells)
