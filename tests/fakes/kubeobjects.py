"""The objects of a fake Kubernetes API: their kinds, their rules, their versions, and what changed when."""

import base64
import binascii
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from tests.fakes import kubestatus as status

T = TypeVar("T")

Object = dict[str, Any]

KINDS = {
    ("", "v1"): {
        "namespaces": "Namespace",
        "secrets": "Secret",
        "configmaps": "ConfigMap",
        "events": "Event",
        "pods": "Pod",
        "services": "Service",
        "serviceaccounts": "ServiceAccount",
    },
    ("apps", "v1"): {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    ("batch", "v1"): {"jobs": "Job"},
}
WORKLOADS = ("deployments", "statefulsets")
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_BAD_LABEL = (
    "Invalid value: \"{0}\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex"
    " used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@dataclass(frozen=True)
class Target:
    """What a path names: an object, or a collection while ``name`` is empty."""

    path: str
    group: str
    version: str
    resource: str
    kind: str
    namespace: str
    name: str
    subresource: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def is_served(path: str) -> bool:
    """Tell whether there is an API group below whose path this one is: else not even a Status comes back."""
    return any(path.startswith(f"/apis/{group}/" if group else "/api/") for group, _ in KINDS)


def target(path: str) -> Target:
    """Read a path (without its query). Raises RefusedError when no such resource is served here."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise status.no_such_resource()
    group, resource = found["group"] or "", found["resource"]
    kind = KINDS.get((group, found["version"]), {}).get(resource, "")
    if not kind:
        raise status.no_such_resource()
    return Target(
        path,
        group,
        found["version"],
        resource,
        kind,
        found["namespace"] or "",
        found["name"] or "",
        found["sub"] or "",
    )


def merge(into: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def copied(value: T) -> T:
    """Return a copy of a JSON value: ``copy.deepcopy`` takes four times as long, for each request."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}  # type: ignore[return-value]
    return [copied(inner) for inner in value] if isinstance(value, list) else value  # type: ignore[return-value]


@dataclass(frozen=True)
class Change:
    """One line of the history that watches are served from."""

    version: int
    type: str
    path: str
    object: Object


class Store:
    """Objects by path. Whoever touches them holds ``changed``; each change wakes those who wait for it."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.history: list[Change] = []
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.oldest = self.version + 1
        """A watch can't begin before this resourceVersion: what happened before is forgotten."""
        self.on_stored: Callable[[str, Object, Object | None], None] = lambda path, new, old: None
        """Told of each object that a client stored, and of what stood there before: controllers."""

    def store(self, path: str, body: Object, *, told: bool = True) -> Object:
        """Put an object under ``path`` as its next version, unless nothing changed; return what stands there."""
        with self.changed:
            old = self.objects.get(path)
            new = {**copied(body), "metadata": {**body["metadata"]}}
            if old is not None:
                new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
                if new == old:
                    return copied(old)
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
            self.objects[path] = new
            self.history.append(Change(self.version, "MODIFIED" if old else "ADDED", path, copied(new)))
            self.changed.notify_all()
            stored = copied(new)
            if told:
                self.on_stored(path, stored, old)
            return stored

    def remove(self, path: str) -> Object:
        """Take an object away; return its last version."""
        with self.changed:
            gone = self.objects.pop(path)
            self.version += 1
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.history.append(Change(self.version, "DELETED", path, copied(gone)))
            self.changed.notify_all()
            return gone


def now() -> str:
    """Return the time as Kubernetes writes it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new(body: Object, at: Target) -> Object:
    """Return ``body`` as it is stored when created in the collection ``at``. Raises RefusedError."""
    metadata = dict(body.get("metadata") or {})
    name = metadata.get("name") or (f"{g}{uuid.uuid4().hex[:5]}" if (g := metadata.get("generateName")) else "")
    if not name:
        required = {"reason": "FieldValueRequired", "field": "metadata.name"}
        required["message"] = "Required value: name or generateName is required"
        raise status.invalid(at.kind, "", [required], at.group)
    made = {**copied(body), "apiVersion": at.api_version, "kind": at.kind}
    made["metadata"] = {**metadata, "name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
    if at.namespace:
        made["metadata"]["namespace"] = at.namespace
    if at.resource == "namespaces":
        made["spec"], made["status"] = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
    if at.resource in WORKLOADS:
        made["metadata"]["generation"] = 1
        made["spec"] = {"replicas": 1, **made.get("spec", {})}
        made["status"] = {"replicas": 0} if at.resource == "statefulsets" else {}
    return checked(made, at)


def changed(body: Object, old: Object, at: Target) -> Object:
    """Return ``body`` as it replaces ``old``. Raises RefusedError."""
    made = {**copied(body), "apiVersion": at.api_version, "kind": at.kind}
    kept = ("uid", "creationTimestamp", "namespace", "generation", "deletionTimestamp", "resourceVersion")
    made["metadata"] = {**made.get("metadata", {}), **{k: v for k, v in old["metadata"].items() if k in kept}}
    if at.resource in WORKLOADS:
        made["spec"], made["status"] = {"replicas": 1, **made.get("spec", {})}, old.get("status", {})
        made["metadata"]["generation"] = old["metadata"]["generation"] + (made["spec"] != old["spec"])
    made = checked(made, at)
    if at.resource == "secrets" and made["type"] != old["type"]:
        immutable = {"reason": "FieldValueInvalid", "field": "type"}
        immutable["message"] = f'Invalid value: "{made["type"]}": field is immutable'
        raise status.invalid("Secret", at.name, [immutable])
    return made


def checked(made: Object, at: Target) -> Object:
    """Return the object as its kind wants it. Raises RefusedError."""
    name = made["metadata"]["name"]
    bad = [v for v in (made["metadata"].get("labels") or {}).values() if not _LABEL_VALUE.fullmatch(v)]
    if bad:
        causes = [
            {"reason": "FieldValueInvalid", "message": _BAD_LABEL.format(v), "field": "metadata.labels"} for v in bad
        ]
        raise status.invalid(at.kind, name, causes, at.group)
    if at.resource == "events" and (given := made["involvedObject"].get("namespace", "")) != at.namespace:
        cause = {"reason": "FieldValueInvalid", "field": "involvedObject.namespace"}
        cause["message"] = f'Invalid value: "{given}": does not match event.namespace'
        raise status.invalid("Event", name, [cause])
    if at.resource == "secrets":
        data = dict(made.get("data") or {})
        for key, value in data.items():
            _base64(value, key)
        for key, value in (made.pop("stringData", None) or {}).items():
            data[key] = base64.b64encode(value.encode()).decode()
        made = {**made, "data": data, "type": made.get("type", "Opaque")}
        if not data:
            del made["data"]
    return made


def _base64(value: str, key: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        raise status.bad_request(
            'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte '
            f"{len(value) - len(value.lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'))}"
        ) from None
