"""Reads, writes and deletes the key Secret, and leaves a Secret of somebody else as it is."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.config.settings import KeySecretSpec
from gitops_runtime_auth.errors import ConflictError, ForeignSecretError
from gitops_runtime_auth.kube import owned
from gitops_runtime_auth.kube.api import Cluster, Object, secret_path
from gitops_runtime_auth.kube.stored import STATE, StoredKey, StoredKeys, decode, encode, from_base64, token_key
from gitops_runtime_auth.release import Release

__all__ = ["KeySecret", "StoredKey", "StoredKeys", "mounted"]

_ATTEMPTS = 5
"""Tries to delete a Secret that others write at the same time."""
_VOLATILE = {"helm.sh/chart", f"{owned.PREFIX}/created-at"}
"""Labels and annotations that are no reason to write the Secret again."""


class KeySecret:
    """Reads and writes the key Secret of one release.

    It uses optimistic locking: the Secret is replaced only if nobody else has written it since it was read.
    """

    def __init__(
        self, cluster: Cluster, release: Release, chart: str, spec: KeySecretSpec, never_deleted: str = ""
    ) -> None:
        self.spec = spec
        self._never_deleted = never_deleted
        self._cluster = cluster
        self._release = release
        self._chart = chart

    def read(self) -> StoredKeys:
        """Return the keys in the Secret, else those in the first Secret of a former name that is this release's.

        Raises ForeignSecretError if the Secret belongs to somebody else, or has no owner and is not to be adopted.
        """
        found = self._get(self.spec.name)
        if found is None:
            return self._former()
        version = owned.version(found)
        if owned.is_of(self._release, found):
            keys = replace(decode(_data(found), self.spec.data), resource_version=version)
            return replace(keys, outdated=self._outdated(found, keys))
        if not self.spec.adopt or not _ownerless(found):
            raise self._foreign(found)
        return StoredKeys(resource_version=version, outdated=True, foreign_key=_key_id_in(found, self.spec))

    def write(self, keys: StoredKeys, now: float) -> StoredKeys:
        """Create the Secret, or replace the version that ``keys`` was read from; return the new content.

        If it is unknown since when the key is in use, ``now`` (Unix time) is stored. Raises ConflictError if somebody
        else wrote the Secret in the meantime.
        """
        written = replace(keys, since=keys.since or now, outdated=False, foreign_key="")
        body = self._object(written)
        if keys.resource_version:
            body["metadata"]["resourceVersion"] = keys.resource_version
        version = owned.write(self._cluster, secret_path(self._release.namespace), body)
        return replace(written, resource_version=version)

    def delete(self) -> bool:
        """Delete the Secret if it is this release's; tell whether it was there and is gone.

        Raises ForeignSecretError if it is not this release's, even if it could be adopted.
        """
        return self._delete(self.spec.name)

    def delete_former(self) -> list[str]:
        """Delete this release's Secrets of former names; return the names of those that existed.

        A Secret of somebody else with such a name stays.
        """
        gone = []
        for name in self.spec.former_names:
            try:
                if name != self.spec.name and self._delete(name):
                    gone.append(name)
            except ForeignSecretError:
                continue  # somebody else uses the name now
        return gone

    def _delete(self, name: str) -> bool:
        if name == self._never_deleted:
            return False
        for _ in range(_ATTEMPTS):
            found = self._get(name)
            if found is None:
                return False
            if not owned.is_of(self._release, found):
                raise self._foreign(found)
            try:
                self._cluster.delete(self._path(name), owned.version(found))
            except ConflictError:
                continue
            return True
        raise ConflictError(f"Secret {name}")

    def _former(self) -> StoredKeys:
        for name in self.spec.former_names:
            found = self._get(name)
            if found is not None and owned.is_of(self._release, found):
                return replace(decode(_data(found), self.spec.data), outdated=True)
        return StoredKeys()

    def _get(self, name: str) -> Object | None:
        return self._cluster.get(self._path(name))

    def _path(self, name: str) -> str:
        return secret_path(self._release.namespace, name)

    def _object(self, keys: StoredKeys) -> Object:
        spec, current = self.spec, keys.current
        data = encode(keys, spec.data)
        metadata = owned.metadata(self._release, self._chart, "api-key", spec.name, spec.labels, spec.annotations)
        if current is not None:
            metadata["annotations"] |= {
                f"{owned.PREFIX}/account": current.account,
                f"{owned.PREFIX}/key-id": current.key_id,
                f"{owned.PREFIX}/server": current.url,
                f"{owned.PREFIX}/created-at": datetime.fromtimestamp(keys.since, UTC).isoformat(timespec="seconds"),
            }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": metadata,
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
        }

    def _outdated(self, found: Object, keys: StoredKeys) -> bool:
        if keys.current is None:
            return False  # because without a key there is nothing to write
        wanted, meta = self._object(keys), owned.mapping(found.get("metadata"))
        for part in ("labels", "annotations"):
            there = owned.mapping(meta.get(part))
            if any(there.get(k) != v for k, v in wanted["metadata"][part].items() if k not in _VOLATILE):
                return True
        return _without_state(_data(wanted)) != _without_state(_data(found))

    def _foreign(self, found: Object) -> ForeignSecretError:
        namespace, name = self._release.namespace, str(found["metadata"]["name"])
        owner = owned.owner(found)
        whose = f"it belongs to {owner}" if owner else "nothing in it names an owner"
        adopt = (
            "" if self.spec.adopt or not _ownerless(found) else ", or let this release take it over (keySecret.adopt)"
        )
        return ForeignSecretError(
            f'Secret "{name}" in namespace {namespace} is not this release\'s: {whose}.',
            f"Choose another name (keySecret.name){adopt}.",
        )


def mounted(folder: Path, spec: KeySecretSpec) -> StoredKeys:
    """Read the keys from the Secret's volume, whose content may be minutes old. If it is empty, there is no Secret."""
    data = {}
    for name in _listed(folder):
        try:
            data[name] = (folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            continue  # a folder of the kubelet (``..data``), or a file that it has just removed
    keys = decode(data, spec.data)
    if keys.current is None:
        return keys
    return replace(keys, outdated=_without_state(encode(keys, spec.data)) != _without_state(data))


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _data(secret: Object) -> dict[str, str]:
    return {name: from_base64(value) for name, value in owned.mapping(secret.get("data")).items()}


def _without_state(data: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the data that consumers read."""
    return {name: value for name, value in data.items() if name != STATE}


def _ownerless(found: Object) -> bool:
    """Tell whether a Secret may be adopted: it names no owner, and can be replaced by one of type Opaque."""
    return not owned.owner(found) and found.get("type") == "Opaque" and found.get("immutable") is not True


def _key_id_in(found: Object, spec: KeySecretSpec) -> str:
    """Return the id of the API key in a Secret that is to be adopted, empty if there is none."""
    data = _data(found)
    for name in (token_key(spec.data), "token"):
        claims = tokens.read(data.get(name, "").strip())
        if claims is not None and claims.key_id:
            return claims.key_id
    return ""
