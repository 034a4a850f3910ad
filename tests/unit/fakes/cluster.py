"""A Kubernetes API in memory: objects by path, resource versions, conflicts."""

import itertools
from collections.abc import Iterator
from copy import deepcopy

from gitops_runtime_auth.errors import ConflictError
from gitops_runtime_auth.kube.cluster import Object


class FakeCluster:
    """Implements ``hook.cluster.Cluster`` as the API server behaves: an old resourceVersion is a conflict."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._version = itertools.count(1)

    def get(self, path: str) -> Object | None:
        return deepcopy(self.objects.get(path))

    def create(self, path: str, body: Object) -> Object:
        full = f"{path}/{body['metadata']['name']}"
        if full in self.objects:
            raise ConflictError(full)
        return self._store(full, body)

    def replace(self, path: str, body: Object) -> Object:
        self._expect(path, body["metadata"].get("resourceVersion", ""))
        return self._store(path, body)

    def patch(self, path: str, body: Object) -> Object:
        self._expect(path, "")
        merged = deepcopy(self.objects[path])
        for section, fields in body.items():
            merged[section] = {**merged.get(section, {}), **fields}
        return self._store(path, merged)

    def delete(self, path: str, resource_version: str = "") -> None:
        if path in self.objects:
            self._expect(path, resource_version)
            del self.objects[path]

    def watch(self, path: str, seconds: float, resource_version: str = "") -> Iterator[Object]:
        raise AssertionError("no test of these watches")

    def _expect(self, path: str, resource_version: str) -> None:
        found = self.objects.get(path)
        if found is None or resource_version not in ("", found["metadata"]["resourceVersion"]):
            raise ConflictError(path)

    def _store(self, path: str, body: Object) -> Object:
        stored = deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(next(self._version))
        self.objects[path] = stored
        return deepcopy(stored)
