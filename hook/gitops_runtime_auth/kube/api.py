"""Calls the Kubernetes API, with retries and with errors that a user can fix.

Objects are plain JSON. The official client sends the requests, but without its generated models, because loading those
takes longer than everything else here (``kube.official``).
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AnswerError, AuthError, ConflictError
from gitops_runtime_auth.kube import denied, official
from gitops_runtime_auth.kube.rbac import Action
from gitops_runtime_auth.retry import Deadline, retry
from gitops_runtime_auth.timing import Timing

if TYPE_CHECKING:
    from kubernetes.client.rest import RESTClientObject, RESTResponse

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON."""


def namespace_path(namespace: str) -> str:
    """Return the API path of a namespace."""
    return f"/api/v1/namespaces/{namespace}"


def secret_path(namespace: str, name: str = "") -> str:
    """Return the API path of a Secret, or of a namespace's Secrets."""
    return f"{namespace_path(namespace)}/secrets" + (f"/{name}" if name else "")


def watched_namespace_path(namespace: str) -> str:
    """Return the API path at which a namespace is watched. Only this deprecated form is allowed by a Role.

    The usual form, a list with a selector, is a request to all namespaces and needs a ClusterRole
    (``apiserver/pkg/endpoints/request/requestinfo.go``).
    """
    return f"/api/v1/watch/namespaces/{namespace}"


def watched_secret_path(namespace: str, name: str) -> str:
    """Return the API path and query of a watch of one Secret; a Role that names the Secret allows exactly this one."""
    return f"{secret_path(namespace)}?fieldSelector=metadata.name={name}"


def configmap_path(namespace: str, name: str = "") -> str:
    """Return the API path of a ConfigMap, or of a namespace's ConfigMaps."""
    return f"{namespace_path(namespace)}/configmaps" + (f"/{name}" if name else "")


def workload_path(namespace: str, kind: str, name: str) -> str:
    """Return the API path of a Deployment or StatefulSet; ``kind`` is ``deployment`` or ``statefulset``."""
    return f"/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}"


class Cluster:
    """Reads and writes the objects of one cluster, by the path of their URL.

    Each call retries temporary failures until ``deadline``. Besides what the calls name, they raise UnreachableError or
    TemporaryError if the deadline has passed, and the errors of ``kube.denied`` if the API server refuses.
    """

    def __init__(self, client: "RESTClientObject", deadline: Deadline, timing: Timing) -> None:
        self.deadline = deadline
        self.timing = timing
        self._client = client

    def within(self, deadline: Deadline) -> "Cluster":
        """Return this cluster with another deadline, over the same connections."""
        return Cluster(self._client, deadline, self.timing)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str) -> Object | None:
        """Return the object at ``path``, or None if there is none."""
        return self._call("GET", path)

    def create(self, path: str, body: Object) -> Object:
        """Create an object in the collection ``path``. Raises ConflictError if it exists.

        This call itself may have created it, if an answer was lost and the request was sent again.
        """
        return self._call("POST", path, body) or {}

    def replace(self, path: str, body: Object) -> Object:
        """Replace an object. Raises ConflictError unless its version is that of ``metadata.resourceVersion``."""
        return self._expect(path, self._call("PUT", path, body))

    def patch(self, path: str, body: Object) -> Object:
        """Merge ``body`` into an object (RFC 7396: null removes a key). Raises ConflictError if there is none."""
        return self._expect(path, self._call("PATCH", path, body))

    def delete(self, path: str, resource_version: str = "") -> None:
        """Delete an object and, in the background, what it owns. Does nothing if there is none.

        With ``resource_version`` only that version is deleted; ConflictError is raised for another one.
        """
        preconditions = {"preconditions": {"resourceVersion": resource_version}} if resource_version else {}
        self._call("DELETE", path, {"propagationPolicy": "Background", **preconditions})

    def watch(self, path: str, seconds: float) -> Iterator[Object]:
        """Watch ``path`` (with its query) and yield events until the server ends it after ``seconds``.

        When this method returns, the watch is open, so that no later change is missed. The first events are the present
        objects as the API server's cache has them, which is what ``resourceVersion=0`` asks for: without it, the server
        first waits for its cache, which for a rarely changed resource may take so long that it gives up with 504 ("Too
        large resource version", ``apiserver/pkg/storage/cacher``). The watch is not retried, because the caller watches
        again. If the connection breaks, the iterator raises UnreachableError.
        """
        query = f"{path}{'&' if '?' in path else '?'}resourceVersion=0&watch=true&timeoutSeconds={max(1, int(seconds))}"
        response = self._send("GET", query, None, seconds + self.timing.kubernetes_request)
        if response.status != 200:
            raise _refusal(response, "GET", query)
        return _events(response)

    @staticmethod
    def _expect(path: str, found: Object | None) -> Object:
        if found is None:
            raise ConflictError(Action.of("GET", path).object)
        return found

    def _call(self, method: str, path: str, body: Object | None = None) -> Object | None:
        """Send a request until it is answered; return the object, or None if there is none at ``path``."""

        def attempt() -> Object | None:
            with log.Span(f"kubernetes {method} {path}"):
                patience = min(self.timing.kubernetes_request, self.timing.last_try + self.deadline.left())
                response = self._send(method, path, body, patience)
                content = _read(response)
            found = _parsed(content)
            if not 200 <= response.status < 300:
                if response.status == 404 and method != "POST" and _is_kubernetes(response, found):
                    return None
                raise _refusal(response, method, path)
            if found is None:
                raise AnswerError(
                    f"The Kubernetes API answers {method} {path} with something that is not an object.",
                    "Check what stands between this pod and the API server (a proxy needs NO_PROXY).",
                    status=response.status,
                )
            return found

        return retry(self.deadline, f"Kubernetes {method}", attempt, self.timing)

    def _send(self, method: str, path: str, body: Object | None, timeout: float) -> "RESTResponse":
        import urllib3.exceptions
        from kubernetes.client.exceptions import ApiException

        configuration = self._client.configuration
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind, "User-Agent": "gitops-runtime-auth"}
        for setting in configuration.auth_settings().values():
            if setting["value"]:
                headers[setting["key"]] = setting["value"]
        try:
            return self._client.request(
                method, configuration.host + path, headers=headers, body=body, _request_timeout=timeout
            )
        except (urllib3.exceptions.HTTPError, OSError) as e:
            raise denied.no_answer(e) from None
        except ApiException as e:  # only for a failed handshake, because the client leaves statuses to its caller
            raise denied.no_answer(e.__context__ or e) from None


def _is_kubernetes(response: "RESTResponse", body: Object | None) -> bool:
    """Tell whether the API server itself sent a 404: if a proxy did, the object may exist all the same.

    For an API group that is not installed, the API server answers in plain text, but with the header that all of its
    answers have (``apiserver/pkg/endpoints/filters/audit_init.go``).
    """
    return denied.is_status(body) or "Audit-Id" in response.headers


def _read(response: "RESTResponse") -> bytes:
    import urllib3.exceptions

    try:
        content: bytes = response.read()
    except (urllib3.exceptions.HTTPError, OSError) as e:  # cut off in the middle
        raise denied.no_answer(e) from None
    return content


def _parsed(content: bytes) -> Object | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refusal(response: "RESTResponse", method: str, path: str) -> AuthError:
    asked = response.headers.get("Retry-After") or ""
    return denied.error(response.status, method, path, _parsed(_read(response)), asked)


def _events(response: "RESTResponse") -> Iterator[Object]:
    import urllib3.exceptions

    rest = b""
    try:
        for chunk in response.response.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = _parsed(line)
                if event is None:
                    raise denied.no_answer(ValueError())
                yield event
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise denied.no_answer(e) from None
    finally:
        response.response.close()


def connect(deadline: Deadline, timing: Timing, kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """Return the Pod's own cluster, or that of a kubeconfig file (``""`` for the default one).

    Nothing is sent yet. Raises ConfigurationError if there is no such configuration.
    """
    return Cluster(official.client(kubeconfig, context), deadline, timing)
