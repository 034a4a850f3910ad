"""``verify``, which ``helm test`` runs: proves that Argo CD accepts the credential of every consumer."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gitops_runtime_auth import context, log
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, MissingSecretError, RefusedError
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.keys.session import session
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.rollout import Workload
from gitops_runtime_auth.kube.template import uses_of
from gitops_runtime_auth.timing import Timing


@dataclass(frozen=True)
class Options:
    """The arguments that the chart gives to the test Pod."""

    deployments: tuple[str, ...] = ()
    """The Runtime's enabled Deployments, by their service's name. Their credentials are in this Pod's environment."""
    consumers: tuple[str, ...] = ()
    """Further workloads that take the API key, as ``kind/name``: ``keeper.consumers``."""


@dataclass(frozen=True)
class Row:
    """A credential and Argo CD's answer. ``error`` is None if it is accepted, or can't be proven from here."""

    consumer: str
    credential: str
    account: str
    result: str
    error: AuthError | None = None


class Proof:
    """Sends each credential to Argo CD, after the server has shown that it is Argo CD."""

    def __init__(self, run: Context, environ: Mapping[str, str], options: Options) -> None:
        self._run = run
        self._environ = environ
        self._options = options

    def rows(self) -> Iterator[Row]:
        """Yield a row for each credential of each consumer. Raises RetryableError and WrongServerError at once."""
        self._run.argocd.version()
        for name in self._options.deployments:
            yield from self._of_deployment(name)
        for name in self._options.consumers:
            yield from self._of_consumer(name)

    def _of_deployment(self, name: str) -> Iterator[Row]:
        username = self._environ.get("ARGO_CD_USERNAME", "")
        if name == "app-proxy" and username:
            login = Login(self._run.settings.server.url, username, self._environ.get("ARGO_CD_PASSWORD", ""))
            yield _row(name, "username and password", lambda: self._log_in(login))
            return
        yield _row(name, "ARGO_CD_TOKEN", lambda: self._use(self._environ.get("ARGO_CD_TOKEN", "")))
        if name != "app-proxy":
            file = Path(self._environ.get("ARGO_CD_TOKEN_FILE", ""))
            yield _row(name, "ARGO_CD_TOKEN_FILE", lambda: self._use(_read(file)))

    def _of_consumer(self, consumer: str) -> Iterator[Row]:
        try:
            found = self._run.cluster.get(self._path(consumer))
        except AuthError as e:
            yield _failed(consumer, "-", e)
            return
        if found is None:
            yield Row(consumer, "-", "-", "does not exist (yet), so there is nothing to prove")
            return
        secret, keys = self._run.settings.key.name, self._token_keys()
        uses = [(use.where, key) for use in uses_of(secret, found) for key in keys if use.key in ("", key)]
        if not uses:
            yield Row(consumer, "-", "-", f"not proven: no variable and no volume takes a token from Secret {secret}")
        for where, key in uses:
            yield _row(consumer, f"{where}, key {key}", partial(self._use_key, key))

    def _token_keys(self) -> list[str]:
        """Return the Secret's keys that hold a token."""
        settings = self._run.settings
        if settings.auth.type == "token":
            return [settings.key.key]
        return [key for key, what in settings.key_secret.data.items() if what == "token"]

    def _path(self, consumer: str) -> str:
        workload = Workload.parse(consumer)
        return api.workload_path(self._run.release.namespace, workload.kind, workload.name)

    def _use_key(self, key: str) -> str:
        return self._use(_read(self._run.files / "key" / key))

    def _use(self, token: str) -> str:
        claims = tokens.read(token.strip())
        if claims is None:
            raise MissingSecretError("It is not an Argo CD token.", "Correct the Secret that the workload refers to.")
        return self._run.argocd.account(claims.account, token.strip()).name

    def _log_in(self, login: Login) -> str:
        with session(self._run, login) as token:
            return self._run.argocd.account(login.account, token).name


def run(environ: Mapping[str, str], options: Options, timing: Timing) -> int:
    """Prove every credential, print the table and return 0.

    If one is not accepted, its error is raised after the table, first of all a refusal.
    """
    with context.from_environment(environ, timing) as this:
        rows = list(Proof(this, environ, options).rows())
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
            f"The file {file} can't be read ({e.strerror}).", "Correct the Secret that the workload refers to."
        ) from None


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("CONSUMER", "CREDENTIAL", "ACCOUNT", "RESULT")]
    cells += [(r.consumer, r.credential, r.account, r.result) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]) for line in cells)
