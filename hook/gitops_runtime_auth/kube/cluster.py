"""What the product needs of Kubernetes: the few calls, their errors, and the paths of objects."""

from collections.abc import Iterator
from typing import Any, Protocol

Object = dict[str, Any]


class Cluster(Protocol):
    """What the product needs of Kubernetes; ``RealCluster`` talks to an API server, tests to a small fake.

    Raises RbacError (77) when access is refused, UnreachableError or TemporaryError when the deadline passed.
    """

    def get(self, path: str) -> Object | None:
        """Return the object at ``path``, or None."""

    def create(self, path: str, body: Object) -> Object:
        """Create an object in the collection ``path``; ConflictError when it exists."""

    def replace(self, path: str, body: Object) -> Object:
        """Replace an object; ConflictError unless ``metadata.resourceVersion`` is the present one."""

    def patch(self, path: str, body: Object) -> Object:
        """Merge ``body`` into the object at ``path``."""

    def delete(self, path: str, resource_version: str = "") -> None:
        """Delete an object (of that version); one that is gone is fine, another version a ConflictError."""

    def watch(self, path: str, seconds: float, resource_version: str = "") -> Iterator[Object]:
        """Yield watch events of the collection ``path`` (with its query) for ``seconds``."""


def secret_path(namespace: str, name: str = "") -> str:
    """Return the API path of a Secret, or of a namespace's Secrets."""
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")
