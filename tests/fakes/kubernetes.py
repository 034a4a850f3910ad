"""A Kubernetes API server that speaks HTTP and behaves as 1.37 does, as far as this product needs it.

Optimistic locking, merge patches, preconditions, watches, refusals as ``Status`` objects, ServiceAccount tokens, RBAC,
namespaces that are being deleted, rollouts. ``tests/faults/test_conversation_kubernetes.py`` asks it and a real one the
same. Where a real server leaves its own fields (``managedFields``, defaults of Pod templates) this one does not.
"""

import json
import ssl
import uuid
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import trustme

from tests.fakes import kubestatus as status
from tests.fakes.kubeobjects import Object, Store, Target, changed, is_served, new, target
from tests.fakes.kuberollouts import Rollouts
from tests.fakes.kubeverbs import carry_out
from tests.fakes.kubewatches import Watches
from tests.fakes.web import Answer, Fault, Request, Server, as_text

USER = "system:serviceaccount:ns:hook"
TOKEN = "the-fake-service-account-token"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Rule(NamedTuple):
    """One thing that is allowed; ``*`` stands for everything."""

    verb: str
    group: str
    resource: str
    name: str = "*"
    namespace: str = "*"


@cache
def _tls() -> tuple[ssl.SSLContext, str]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context, authority.cert_pem.bytes().decode()


class FakeKubernetes:
    """One API server. ``server.fault`` breaks it; ``objects`` are its objects by path.

    Namespace ``ns`` exists. A test changes objects through ``put`` and ``remove``, so that watches see it.
    """

    def __init__(self) -> None:
        context, self.ca = _tls()
        self.store = Store()
        self.rollouts = Rollouts(self.store)
        self.watches = Watches(self.store)
        self.users = {TOKEN: USER}
        """Name of each user by the token."""
        self.allowed: set[Rule] | None = None
        """What users may do; None: everything."""
        self.server = Server(self._handle, context)
        self.namespace("ns")

    def __enter__(self) -> "FakeKubernetes":
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; watches end."""
        self.watches.end()
        self.server.close()

    # What a test does and asks

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def objects(self) -> dict[str, Object]:
        return self.store.objects

    @property
    def log(self) -> list[tuple[str, str]]:
        """Method and path (without the query) of every request, in order."""
        return [(request.method, request.path) for request in self.server.asked()]

    def writes(self) -> list[tuple[str, str]]:
        """Return the requests that were to change something."""
        return [(method, path) for method, path in self.log if method != "GET"]

    def fault(self, step: str, **what: Any) -> Fault:
        """Meet the requests that ``step`` (a regular expression over ``METHOD /path``) finds with a fault."""
        return self.server.fault(step, **what)

    def refuse(self, step: str, refusal: status.RefusedError, **what: Any) -> Fault:
        """Answer the requests that ``step`` finds with a refusal from ``kubestatus``."""
        return self.server.fault(step, answer=refusal.answer, **what)

    def namespace(self, name: str) -> str:
        """Make a namespace; return its UID."""
        made = self.put(f"/api/v1/namespaces/{name}", {})
        return str(made["metadata"]["uid"])

    def put(self, path: str, body: Object) -> Object:
        """Create or replace an object as somebody else does, whatever the version; return it."""
        at, old = target(path), self.store.objects.get(path)
        named = {**body, "metadata": {**body.get("metadata", {}), "name": at.name}}
        with self.store.changed:
            return self.store.store(path, changed(named, old, at) if old else new(named, at))

    def remove(self, path: str) -> None:
        """Delete an object as somebody else does."""
        self.store.remove(path)

    def finish_deletion(self, namespace: str) -> None:
        """Let a namespace that is being deleted go, with all that is in it."""
        inside = f"/namespaces/{namespace}/"
        with self.store.changed:
            for path in [path for path in self.store.objects if inside in path]:
                self.store.remove(path)
            self.store.remove(f"/api/v1/namespaces/{namespace}")

    def service_account(self, folder: Path, token: str = TOKEN) -> dict[str, str]:
        """Write a Pod's ServiceAccount files into ``folder``; return the Pod's environment."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_text(self.ca)
        return {
            "GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT": str(folder),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.server.port),
            "NO_PROXY": "127.0.0.1",
        }

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> Path:
        """Write a kubeconfig for this server into ``folder``; its context ``fake`` has the namespace ``ns``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kube-ca.crt").write_text(self.ca)
        cluster = {"server": self.url, "certificate-authority": str(folder / "kube-ca.crt")}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "fake", "user": {"token": token}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "ns"}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    # How it answers

    def _handle(self, request: Request) -> Answer:
        answer = self._answer(request)
        return replace(answer, headers={"Audit-Id": str(uuid.uuid4()), **answer.headers})

    def _answer(self, request: Request) -> Answer:
        try:
            user = self._user(request)
            if not is_served(request.path):
                return as_text(404, "404 page not found\n")
            at = target(request.path.replace("/watch/", "/", 1))
            query = {key: values[0] for key, values in parse_qs(request.query).items()}
            watched = _is_watch(request, at, query)
            self._authorize(user, "WATCH" if watched else request.method, at, query)
            if watched:
                stream = self.watches.stream(at, query)
                return Answer(200, headers={"Content-Type": "application/json"}, stream=stream)
            with self.store.changed:
                return carry_out(self.store, request, at, query)
        except status.RefusedError as e:
            return e.answer

    def _user(self, request: Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in self.users:
            raise status.unauthorized()
        return self.users[token]

    def _authorize(self, user: str, method: str, at: Target, query: dict[str, str]) -> None:
        name = at.name
        if method in ("GET", "WATCH"):
            verb = "watch" if method == "WATCH" else "get" if name else "list"
            field, _, selected = query.get("fieldSelector", "").partition("=")
            name = selected if field == "metadata.name" and not name else name
        else:
            verb = "deletecollection" if method == "DELETE" and not name else _VERBS[method]
        namespace = at.name if at.resource == "namespaces" else at.namespace
        asked = Rule(verb, at.group, at.resource, name, namespace)
        if self.allowed is not None and not any(_allows(rule, asked) for rule in self.allowed):
            raise status.no_right(user, verb, at.resource, name, at.group, namespace)


def _is_watch(request: Request, at: Target, query: dict[str, str]) -> bool:
    """Tell whether a request is a watch: of a collection, or by its deprecated path of one object."""
    if "/watch/" in request.path:
        return True
    return request.method == "GET" and not at.name and query.get("watch") in ("true", "1")


def _allows(rule: Rule, asked: Rule) -> bool:
    return all(may in ("*", wanted) for may, wanted in zip(rule, asked, strict=True))
