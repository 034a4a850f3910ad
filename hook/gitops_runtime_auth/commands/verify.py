"""``verify``, what ``helm test`` runs: Argo CD accepts each Deployment's own credential, shown as a table."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import AuthError, MissingSecretError, UsageError
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.retry import Deadline

_SECONDS = 60.0
"""For each credential; a login can take 40."""


@dataclass(frozen=True)
class Row:
    """A credential of a Deployment and what Argo CD said to it. ``code`` is an exit code, 0 for accepted."""

    deployment: str
    credential: str
    account: str
    result: str
    code: int


Connect = Callable[[], ArgoCD]


def run(
    environ: Mapping[str, str],
    deployments: Sequence[str],
    ca_file: Path,
    insecure: bool,
    connect: Connect | None = None,
) -> int:
    """Check, print the table and return 0, 77 (refused) or the code of what else went wrong. Raises UsageError."""
    url = environ.get("ARGO_CD_URL", "")
    if not url:
        raise UsageError("The environment lacks ARGO_CD_URL.", "Run this through helm test, which sets it.")
    transport = Transport(Server(url.rstrip("/"), insecure), tls.read_ca(ca_file)) if connect is None else None
    make = connect or (lambda: ArgoCD(transport, Deadline(_SECONDS)))  # type: ignore[arg-type]
    rows = [row for name in deployments for row in _rows(name, environ, make)]
    print(table(rows))
    codes = {row.code for row in rows}
    return os.EX_NOPERM if os.EX_NOPERM in codes else max(codes, default=0)


def _rows(name: str, environ: Mapping[str, str], connect: Connect) -> Iterator[Row]:
    if name == "app-proxy":
        username, password = environ.get("ARGO_CD_USERNAME", ""), environ.get("ARGO_CD_PASSWORD", "")
        if username:
            yield _row(name, "username and password", lambda: _log_in(connect(), username, password))
        else:
            yield _row(name, "ARGO_CD_TOKEN", lambda: _use(connect(), environ.get("ARGO_CD_TOKEN", "")))
        return
    yield _row(name, "ARGO_CD_TOKEN", lambda: _use(connect(), environ.get("ARGO_CD_TOKEN", "")))
    file = Path(environ.get("ARGO_CD_TOKEN_FILE", ""))
    yield _row(name, "ARGO_CD_TOKEN_FILE", lambda: _use(connect(), _read(file)))


def _row(name: str, credential: str, attempt: Callable[[], str]) -> Row:
    try:
        return Row(name, credential, attempt(), "accepted", 0)
    except AuthError as e:
        return Row(name, credential, "-", f"{e.problem} {e.remedy}", e.exit_code)


def _log_in(argocd: ArgoCD, username: str, password: str) -> str:
    session = argocd.login(username, password)
    try:
        return argocd.account(username, session).name
    finally:
        keys.end_session(argocd, session)


def _use(argocd: ArgoCD, token: str) -> str:
    claims = tokens.read(token.strip())
    if claims is None:
        raise MissingSecretError("It is not an Argo CD token.", "Look at the Secret that the Deployment refers to.")
    return argocd.account(claims.account, token.strip()).name


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise MissingSecretError(
            f"The file {file} can't be read ({e.strerror}).", "Look at the Secret that the Deployment mounts."
        ) from None


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("DEPLOYMENT", "CREDENTIAL", "ACCOUNT", "RESULT")]
    cells += [(r.deployment, r.credential, r.account, r.result) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]) for line in cells)
