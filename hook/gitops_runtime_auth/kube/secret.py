"""The Secret ``argocd-token``: what is in it, whose it is, and how it is written without overwriting anybody."""

import base64
import binascii
import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops_runtime_auth.argocd.token import Claims, read
from gitops_runtime_auth.errors import ConflictError, ForeignSecretError
from gitops_runtime_auth.kube.cluster import Cluster, Object, secret_path

NAME = "argocd-token"
KEY = "token"
STATE = "state"
"""Data key with what the product must remember beside the API key itself (JSON)."""
PREFIX = "gitops-runtime-auth"

MANAGER = {"app.kubernetes.io/name": PREFIX, "app.kubernetes.io/managed-by": PREFIX}
_INSTANCE = "app.kubernetes.io/instance"
_GITOPS = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}
"""An Argo CD that installs the chart and tracks by label takes the Secret for its own, gone from the repository: it
must neither prune it, nor delete it before the clean-up hook has read it."""


@dataclass(frozen=True)
class Entry:
    """An API key with all that is needed to use or revoke it: an upgrade may have moved on to another server."""

    token: str
    account: str
    url: str
    ca: str = ""
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Entry(account={self.account!r}, url={self.url!r})"

    def claims(self) -> Claims | None:
        """Return what the token says of itself, None when it is no JWT."""
        return read(self.token)

    def key_id(self) -> str:
        """Return the key's id, empty when the token is no JWT."""
        claims = self.claims()
        return claims.key_id if claims else ""


@dataclass(frozen=True)
class Stored:
    """The Secret's content. ``previous`` are keys that an upgrade replaced while pods may still use them."""

    current: Entry | None = None
    previous: tuple[Entry, ...] = ()
    resource_version: str = ""
    """Empty when the Secret does not exist, or was read from a mounted volume."""
    since: float = 0.0
    """Unix time at which ``current`` became the key; 0 when that is not known."""

    def moved_to(self, new: Entry, keep_old: bool) -> "Stored":
        """Return the content after ``new`` took the place of the present key, which is remembered if asked."""
        old = (self.current,) if keep_old and self.current and self.current.token != new.token else ()
        previous = tuple(e for e in (*old, *self.previous) if e.token != new.token)
        same = self.current is not None and self.current.token == new.token
        return replace(self, current=new, previous=previous, since=self.since if same else time.time())


def decode(data: dict[str, str], resource_version: str = "") -> Stored:
    """Read the Secret's (decoded) data. Whatever can't be read counts as absent: it is then made anew."""
    state = _json(data.get(STATE, ""))
    token = data.get(KEY, "").strip()
    current = _entry({**state, "token": token}) if token else None
    previous = state.get("previous")
    entries = [_entry(e) for e in previous if isinstance(e, dict)] if isinstance(previous, list) else []
    since = state.get("since")
    known = float(since) if isinstance(since, int | float) and 0 < since < 2e11 else 0.0
    return Stored(current, tuple(e for e in entries if e.token), resource_version, known)


def mounted(folder: Path) -> Stored:
    """Read the Secret from its volume, where absent files mean an absent Secret."""
    data = {}
    for name in (KEY, STATE):
        try:
            data[name] = (folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
    return decode(data)


def content(secret: Object | None, release: str) -> Stored:
    """Return what the API's answer holds. Raises ForeignSecretError when it is not this release's."""
    if secret is None:
        return Stored()
    metadata = _map(secret.get("metadata"))
    labels = _map(metadata.get("labels"))
    if labels.get("app.kubernetes.io/managed-by") != PREFIX or labels.get(_INSTANCE) != release:
        owner = _owner(labels, _map(metadata.get("annotations")))
        raise ForeignSecretError(
            f'Secret "{NAME}" in this namespace is not this release\'s: {owner}.',
            f"Install into another namespace, or, if nobody needs it: kubectl -n {metadata.get('namespace', '')}"
            f" delete secret {NAME}.",
        )
    data = {name: _decode64(value) for name, value in _map(secret.get("data")).items()}
    return decode(data, str(metadata.get("resourceVersion", "")))


def fetch(cluster: Cluster, namespace: str, release: str) -> Stored:
    """Read the Secret through the API. Raises ForeignSecretError, RbacError."""
    return content(cluster.get(secret_path(namespace, NAME)), release)


def write(cluster: Cluster, namespace: str, release: str, chart: str, wanted: Stored) -> None:
    """Create the Secret, or replace the very version that ``wanted`` was read from. Raises ConflictError."""
    body = _object(namespace, release, chart, wanted)
    if wanted.resource_version:
        cluster.replace(secret_path(namespace, NAME), body)
    else:
        cluster.create(secret_path(namespace), body)


def remove(cluster: Cluster, namespace: str, release: str) -> bool:
    """Delete the Secret if it is there and ours; tell whether it was. Raises ForeignSecretError."""
    for _ in range(5):
        stored = fetch(cluster, namespace, release)
        if not stored.resource_version:
            return False
        try:
            cluster.delete(secret_path(namespace, NAME), stored.resource_version)
        except ConflictError:
            continue
        return True
    raise ConflictError(NAME)


def _object(namespace: str, release: str, chart: str, wanted: Stored) -> Object:
    entry = wanted.current
    assert entry is not None, "a Secret without a key is deleted, not written"  # noqa: S101
    state = {k: v for k, v in asdict(entry).items() if k != "token"}
    state |= {"previous": [asdict(e) for e in wanted.previous], "since": wanted.since}
    metadata: dict[str, Any] = {
        "name": NAME,
        "namespace": namespace,
        "labels": {
            **MANAGER,
            _INSTANCE: release,
            "app.kubernetes.io/component": "api-key",
            "helm.sh/chart": chart,
        },
        "annotations": {
            f"{PREFIX}/account": entry.account,
            f"{PREFIX}/key-id": entry.key_id(),
            f"{PREFIX}/server": entry.url,
            f"{PREFIX}/created-at": datetime.fromtimestamp(wanted.since, UTC).isoformat(timespec="seconds"),
            **_GITOPS,
        },
    }
    if wanted.resource_version:
        metadata["resourceVersion"] = wanted.resource_version
    data = {KEY: entry.token, STATE: json.dumps(state)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata,
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _owner(labels: dict[str, str], annotations: dict[str, str]) -> str:
    release = annotations.get("meta.helm.sh/release-name") or labels.get(_INSTANCE)
    by = labels.get("app.kubernetes.io/managed-by")
    return f"it belongs to {release} (managed by {by})" if release else "it carries nobody's labels"


def _entry(fields: dict[str, Any]) -> Entry:
    def text(name: str) -> str:
        value = fields.get(name)
        return value if isinstance(value, str) else ""

    return Entry(text("token"), text("account"), text("url"), text("ca"), fields.get("insecure") is True)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return _map(found)


def _decode64(value: Any) -> str:
    try:
        return base64.b64decode(str(value)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
