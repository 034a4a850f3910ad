"""``verify``, what ``helm test`` runs: Argo CD accepts the credential of every consumer, shown as a table."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gitops_runtime_auth import context, log
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, MissingSecretError, RefusedError
from gitops_runtime_auth.keys import lockout
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.kube.api import workload_path
from gitops_runtime_auth.kube.rollout import Workload
from gitops_runtime_auth.kube.template import uses_of
from gitops_runtime_auth.timing import Timing


@dataclass(frozen=True)
class Row:
    """A credential and what Argo CD says to it; ``error`` is None if it is accepted, or can't be proven from here."""

    consumer: str
    credential: str
    account: str
    result: str
    error: AuthError | None = None


def run(environ: Mapping[str, str], deployments: Sequence[str], timing: Timing) -> int:
    """Prove every credential, print the table and return 0. ``deployments`` are the Runtime's, by their service's name.

    If a credential is not accepted, raises its error after the table, a refusal rather than another one. Raises
    UsageError and ConfigurationError outside the Pod that the chart makes.
    """
    rows = list(prove(context.from_environment(environ, timing), environ, deployments))
    print(log.printable(table(rows)))
    errors = [row.error for row in rows if row.error]
    if errors:
        raise next((e for e in errors if isinstance(e, RefusedError)), errors[0])
    return os.EX_OK


def prove(run: Context, environ: Mapping[str, str], deployments: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each credential. Nothing is sent before the server has shown to be Argo CD.

    Raises RetryableError and WrongServerError if it does not.
    """
    with closing(run.argocd):
        run.argocd.version()
        for name in deployments:
            yield from _of_deployment(run, environ, name)
        for name in run.settings.other_consumers:
            yield from _of_consumer(run, name)


def _of_deployment(run: Context, environ: Mapping[str, str], name: str) -> Iterator[Row]:
    """Prove what the chart injects into one of its own Deployments, and into this Pod too."""
    token, file = environ.get("ARGO_CD_TOKEN", ""), Path(environ.get("ARGO_CD_TOKEN_FILE", ""))
    if name != "app-proxy":
        yield _row(name, "ARGO_CD_TOKEN", lambda: _use(run, token))
        yield _row(name, "ARGO_CD_TOKEN_FILE", lambda: _use(run, _read(file)))
    elif run.settings.auth.type == "password":
        login = Login(run.argocd.url, environ.get("ARGO_CD_USERNAME", ""), environ.get("ARGO_CD_PASSWORD", ""))
        yield _row(name, "username and password", lambda: _log_in(run, login))
    else:
        yield _row(name, "ARGO_CD_TOKEN", lambda: _use(run, token))


def _of_consumer(run: Context, name: str) -> Iterator[Row]:
    """Prove each token that a workload of another chart takes from the Secret with the API key."""
    secret, keys = run.settings.key.name, _token_keys(run)
    try:
        workload = Workload.parse(name)
        found = run.cluster.get(workload_path(run.release.namespace, workload.kind, workload.name))
    except AuthError as e:
        yield _failed(name, "-", e)
        return
    if found is None:
        yield Row(name, "-", "-", "not there (yet): nothing to prove")
        return
    uses = [(use.where, key) for use in uses_of(secret, found) for key in keys if use.key in ("", key)]
    if not uses:
        yield Row(name, "-", "-", f"not proven: no variable and no volume takes a token from Secret {secret}")
    for where, key in uses:
        yield _row(name, f"{where}, key {key}", partial(_use_key, run, key))


def _token_keys(run: Context) -> list[str]:
    """Return the keys of the Secret that hold the token: several for ``type: password``, the user's for a token."""
    if run.settings.auth.type == "token":
        return [run.settings.key.key]
    return [key for key, holds in run.settings.key_secret.data.items() if holds == "token"]


def _log_in(run: Context, login: Login) -> str:
    lockout.require_unrecorded(run.files, login, run.argocd.now(), run.timing, hook=False)
    with run.argocd.session(login.account, login.password, again_in_doubt=False) as session:
        return run.argocd.account(login.account, session).name


def _use_key(run: Context, key: str) -> str:
    return _use(run, _read(run.files / "key" / key))


def _use(run: Context, token: str) -> str:
    claims = tokens.read(token.strip())
    if claims is None:
        raise MissingSecretError("It is not an Argo CD token.", "Look at the Secret that the workload refers to.")
    return run.argocd.account(claims.account, token.strip()).name


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise MissingSecretError(
            f"The file {file} can't be read ({e.strerror}).", "Look at the Secret that the workload takes."
        ) from None


def _row(consumer: str, credential: str, attempt: Callable[[], str]) -> Row:
    try:
        return Row(consumer, credential, attempt(), "accepted")
    except AuthError as e:
        return _failed(consumer, credential, e)


def _failed(consumer: str, credential: str, error: AuthError) -> Row:
    return Row(consumer, credential, "-", f"{error.problem} {error.remedy}", error)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("CONSUMER", "CREDENTIAL", "ACCOUNT", "RESULT")]
    cells += [(r.consumer, r.credential, r.account, r.result) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]) for line in cells)
