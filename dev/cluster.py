"""Asks Kubernetes as its admin, through the official client, so that tests can compare the product with it.

The product has its own client (``gitops_runtime_auth.kube``). Tests that used that one would share its mistakes, so
nothing here imports it. Paths are those of Kubernetes' REST API.
"""

import base64
import json
from http import HTTPStatus
from typing import Any

from kubernetes import client, config

Object = dict[str, Any]
"""A Kubernetes object, as its JSON has it."""

_TIMEOUT_SECONDS = 30.0


class Cluster:
    """The API server of a kubeconfig. Every method raises ``kubernetes.client.ApiException`` for a status above 399."""

    def __init__(self, kubeconfig: str, server: str = "", token: str = "") -> None:
        """Connect with the rights of ``kubeconfig``, or with those of the ServiceAccount whose ``token`` is given.

        ``server`` replaces the address that stands in the kubeconfig.
        """
        self._client: client.ApiClient = config.new_client_from_config(kubeconfig)
        configuration = self._client.configuration
        if server:
            configuration.host = server
        if token:  # a client certificate would win over it
            configuration.cert_file = configuration.key_file = None
            configuration.api_key = {"BearerToken": f"Bearer {token}"}
            self._client = client.ApiClient(configuration)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    def get(self, path: str) -> Object | None:
        """Return an object or a list, None if there is none."""
        try:
            found: Object = json.loads(self._call("GET", path))
        except client.ApiException as e:
            if e.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return found

    def create(self, path: str, body: Object) -> Object:
        """Create an object in the collection ``path`` and return it as the server has it."""
        created: Object = json.loads(self._call("POST", path, body))
        return created

    def replace(self, path: str, body: Object) -> Object:
        """Replace an object; one that was changed since ``body`` was read is a conflict (409)."""
        replaced: Object = json.loads(self._call("PUT", path, body))
        return replaced

    def patch(self, path: str, body: Object) -> Object:
        """Change an object by a JSON merge patch, in which ``None`` removes a field."""
        changed: Object = json.loads(self._call("PATCH", path, body))
        return changed

    def delete(self, path: str) -> None:
        """Delete an object, and in the background what belongs to it. It may be gone already."""
        try:
            self._call("DELETE", path, {"propagationPolicy": "Background"})
        except client.ApiException as e:
            if e.status != HTTPStatus.NOT_FOUND:
                raise

    def text(self, path: str) -> str:
        """Return an answer as it is: metrics, for example, through the API server's proxy to a Pod or Service."""
        return self._call("GET", path)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, body: Object | None = None) -> str:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._client.call_api(
            *self._client.param_serialize(
                method,
                path,
                header_params={"Accept": "application/json, text/plain, */*", "Content-Type": kind},
                body=body,
                auth_settings=["BearerToken"],
            ),
            _request_timeout=_TIMEOUT_SECONDS,
        )
        content: bytes = answer.read()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise client.ApiException(status=answer.status, reason=f"{method} {path}: {content.decode()[:500]}")
        return content.decode()


def path_of(namespace: str, kind: str, name: str = "") -> str:
    """Return the path of an object of the core group, or of the whole collection: ``path_of("ns", "secrets", "x")``."""
    return f"/api/v1/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


def decoded(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """Return a Secret's data, decoded; empty if there is no such Secret."""
    data = (cluster.get(path_of(namespace, "secrets", name)) or {}).get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
