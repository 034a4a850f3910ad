"""The Kubernetes API, over the official client's generic half.

The generated models are left out on purpose: importing them costs more time than everything else here, and the
objects are few (``kubernetes.client.ApiClient`` needs none of them for raw JSON).
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AnswerError, ConfigurationError, ConflictError, TemporaryError, UnreachableError
from gitops_runtime_auth.kube import rbac
from gitops_runtime_auth.kube.cluster import Object
from gitops_runtime_auth.retry import Deadline, asked_to_wait, retry

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

SERVICE_ACCOUNT = Path(
    os.environ.get("GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")
)
"""The folder with this pod's token and the cluster's CA; the variable is for a process outside a pod (tests)."""

_TIMEOUT = 10.0
_BUSY = {408, 429, 500, 502, 503, 504}


class RealCluster:
    """A ``Cluster`` behind an API server: the pod's own, or the one of a kubeconfig."""

    def __init__(self, client: "ApiClient", deadline: Deadline) -> None:
        self._client = client
        self._deadline = deadline

    def within(self, deadline: Deadline) -> "RealCluster":
        """Return this cluster with another deadline, over the same connections."""
        return RealCluster(self._client, deadline)

    def get(self, path: str) -> Object | None:
        """See Cluster."""
        status, found = self._call("GET", path, ok={404})
        return None if status == 404 else found

    def create(self, path: str, body: Object) -> Object:
        """See Cluster."""
        return self._changed(*self._call("POST", path, body, ok={409}))

    def replace(self, path: str, body: Object) -> Object:
        """See Cluster. A replaced object that is gone is a conflict too."""
        return self._changed(*self._call("PUT", path, body, ok={404, 409}))

    def patch(self, path: str, body: Object) -> Object:
        """See Cluster."""
        return self._changed(*self._call("PATCH", path, body, ok={404, 409}))

    def delete(self, path: str, resource_version: str = "") -> None:
        """See Cluster."""
        options = {"preconditions": {"resourceVersion": resource_version}} if resource_version else {}
        status, _ = self._call("DELETE", path, {"propagationPolicy": "Background", **options}, ok={404, 409})
        if status == 409:
            raise ConflictError(path)

    def watch(self, path: str, seconds: float, resource_version: str = "") -> Iterator[Object]:
        """See Cluster. Ends when the server ends it; the caller watches again."""
        query = f"{path}{'&' if '?' in path else '?'}watch=true&timeoutSeconds={max(1, int(seconds))}"
        if resource_version:
            query += f"&resourceVersion={resource_version}"
        response = self._send("GET", query, None, seconds + _TIMEOUT)
        if response.status != 200:
            _read(response)
            self._judge(response.status, "GET", path, set())
        import urllib3.exceptions

        rest = b""
        try:
            for chunk in response.response.stream(decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if not isinstance(event, dict):
                        raise ValueError(type(event).__name__)
                    yield event
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as e:
            raise _no_answer(e) from None
        finally:
            response.response.close()

    def portforward(self, path: str) -> Any:
        """Open a port-forward to a pod and return the client's handle. Raises ConnectionError."""
        from kubernetes.client.rest import ApiException
        from kubernetes.stream.ws_client import portforward_call

        method, url, headers, *_ = self._client.param_serialize("GET", path, auth_settings=["BearerToken"])
        try:
            return portforward_call(self._client.configuration, method, url, headers=headers)
        except ApiException as e:
            raise ConnectionError(type(e).__name__) from None

    @staticmethod
    def _changed(status: int, body: Object) -> Object:
        if status in (404, 409):
            raise ConflictError(str(status))
        return body

    def _call(self, method: str, path: str, body: Object | None = None, *, ok: set[int]) -> tuple[int, Object]:
        def attempt() -> tuple[int, Object]:
            with log.Span(f"kubernetes {method} {path}"):
                response = self._send(method, path, body, min(_TIMEOUT, 1 + self._deadline.left()))
                content = _read(response)
            self._judge(response.status, method, path, ok, response.headers.get("Retry-After") or "")
            try:
                answer = json.loads(content)
            except ValueError:
                answer = None
            if not isinstance(answer, dict):
                raise AnswerError(
                    f"The Kubernetes API answers {method} {path} with something that is not an object.",
                    "Check what stands between this pod and the API server (a proxy needs NO_PROXY).",
                    status=response.status,
                    code=-1,
                )
            return response.status, answer

        return retry(self._deadline, f"Kubernetes {method}", attempt)

    def _send(self, method: str, path: str, body: Object | None, timeout: float) -> Any:
        import urllib3.exceptions
        from kubernetes.client.exceptions import ApiException

        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = self._client.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            return self._client.call_api(*request, _request_timeout=timeout)
        except (urllib3.exceptions.HTTPError, OSError) as e:
            raise _no_answer(e) from None
        except ApiException as e:  # a failed handshake, for the client leaves statuses to us
            raise _no_answer(e.__context__ or e) from None

    def _judge(self, status: int, method: str, path: str, ok: set[int], asked: str = "") -> None:
        if 200 <= status < 300 or status in ok:
            return
        if status in (401, 403):
            raise rbac.refused(status, method, path)
        if status in _BUSY:
            raise TemporaryError(
                f"The Kubernetes API is busy (HTTP {status}).",
                "Try again when the API server is healthy.",
                retry_after=asked_to_wait(asked),
            )
        raise AnswerError(
            f"The Kubernetes API answers {method} {path} with HTTP {status}.",
            "An admission policy or a quota may refuse the object: kubectl get events shows it.",
            status=status,
            code=-1,
        )


def _read(response: Any) -> bytes:
    import urllib3.exceptions

    try:
        content: bytes = response.read()
    except (urllib3.exceptions.HTTPError, OSError) as e:  # cut off in the middle
        raise _no_answer(e) from None
    return content


def _no_answer(error: BaseException) -> UnreachableError:
    return UnreachableError(
        f"The Kubernetes API does not answer ({type(error).__name__}).",
        "Check the network policies and the API server's health, then try again.",
        sent=True,
    )


def connect(deadline: Deadline, kubeconfig: str | None = None, context: str | None = None) -> RealCluster:
    """Return the pod's own cluster, or that of a kubeconfig file (``""`` for the default one).

    Raises ConfigurationError when there is neither.
    """
    with log.Span("import kubernetes"):
        from kubernetes.client.api_client import ApiClient
        from kubernetes.client.configuration import Configuration
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.incluster_config import InClusterConfigLoader
    configuration = Configuration()
    configuration.retries = False
    try:
        if kubeconfig is None:
            InClusterConfigLoader(SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt").load_and_set(configuration)
        else:
            from kubernetes.config.kube_config import load_kube_config

            load_kube_config(kubeconfig or None, context=context, client_configuration=configuration)
    except (ConfigException, OSError) as e:
        raise ConfigurationError(
            f"There is no way to the Kubernetes API from here ({type(e).__name__}).",
            "Run this in a pod whose ServiceAccount token is mounted."
            if kubeconfig is None
            else "Check --kubeconfig, --context and KUBECONFIG: kubectl config get-contexts shows what there is.",
        ) from None
    return RealCluster(ApiClient(configuration), deadline)
