"""The unit tests' fake Kubernetes API and a real one, asked the same, answer the same."""

import json
import os
import re
import secrets
import ssl
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dev.runtime import within
from dev.sandbox.paths import KUBECONFIG
from tests.fakes import kubestatus
from tests.fakes.kubernetes import TOKEN, USER, FakeKubernetes, Rule
from tests.faults.place import inside

MERGE = "application/merge-patch+json"
Seen = tuple[Any, ...]


class Talk:
    """A client of one of the two, in a namespace of its own, and what it was told."""

    def __init__(self, client: httpx.Client, stranger: httpx.Client, namespace: str, late: str) -> None:
        self.client = client
        self.stranger = stranger
        """Sends no credential of its own: a client certificate would count before any token."""
        self.namespace = namespace
        self.late = late
        """A collection that the server watches from a later resourceVersion than 1 on, even if it has just started."""
        self.heard: list[tuple[str, Seen]] = []

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json", **headers: str) -> Any:
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        content = text.replace("NS", self.namespace).encode()
        given = {"Content-Type": kind, "Accept": "application/json", **headers}
        return self.client.request(method, path.replace("NS", self.namespace), content=content, headers=given)

    def note(self, what: str, *asked: Any, **headers: str) -> dict[str, Any]:
        """Ask, remember what of the answer counts, and return the answer."""
        response = self.ask(*asked, **headers)
        self.heard.append((what, self.seen(response)))
        try:
            found = response.json()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def seen(self, response: httpx.Response) -> Seen:
        try:
            found = response.json()
        except ValueError:
            return (
                response.status_code,
                response.headers["Content-Type"],
                response.text,
                "Audit-Id" in response.headers,
            )
        return (response.status_code, *self.shown(found), "Audit-Id" in response.headers)

    def shown(self, found: dict[str, Any]) -> Seen:
        """What of an object the product goes by, without what differs from cluster to cluster."""
        if found["kind"] == "Status":
            return ("Status", json.loads(self.alike(json.dumps({k: found.get(k) for k in _OF_STATUS}))))
        if found["kind"].endswith("List"):
            return (found["kind"], [self.alike(item["metadata"]["name"]) for item in found["items"]])
        meta = found["metadata"]
        marks = {k: v for k in ("labels", "annotations") if (v := _own(meta.get(k)))}
        spec = {k: v for k, v in found.get("spec", {}).items() if k == "replicas"}
        kept = {k: v for k, v in found.items() if k in ("data", "type", "immutable", "reason", "message")}
        there = [k for k in ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp") if meta.get(k)]
        where = self.alike(f"{meta.get('namespace')}/{meta['name']}")
        return (found["apiVersion"], found["kind"], where, meta.get("generation"), marks, spec, kept, there)

    def alike(self, text: str) -> str:
        text = re.sub(r": couldn't get version/kind; .*?\)(?=\")", "", text.replace(self.namespace, "NS"))
        return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|(?<=[a-z1] )\(\d+\)", "UNIQUE", text)


_OF_STATUS = ("status", "reason", "message", "details", "code")


def _own(marks: dict[str, str] | None) -> dict[str, str]:
    """Leave out what controllers add when they get round to it."""
    return {k: v for k, v in (marks or {}).items() if not k.startswith(("kubernetes.io/", "deployment.kubernetes.io/"))}


SECRETS, CONFIGMAPS = "/api/v1/namespaces/NS/secrets", "/api/v1/namespaces/NS/configmaps"
APPS = "/apis/apps/v1/namespaces/NS"
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/NS/applications"


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **fields}


def workload(name: str, **fields: Any) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none.invalid/c"}]}}
    return named(name, spec={"replicas": 0, "selector": {"matchLabels": labels}, "template": pod, **fields})


def objects(talk: Talk) -> None:
    note = talk.note
    note("absent", "GET", f"{SECRETS}/x")
    note("delete absent", "DELETE", f"{SECRETS}/x")
    made = note("create", "POST", SECRETS, named("x", data={"token": "YQ=="}, stringData={"more": "b"}))
    note("create again", "POST", SECRETS, named("x"))
    note("no name", "POST", SECRETS, {"metadata": {}})
    note("no object", "POST", SECRETS, "[]")
    note("bad base64", "POST", SECRETS, named("y", data={"token": "***"}))
    note("bad label", "POST", SECRETS, {"metadata": {"name": "y", "labels": {"a": "not a label"}}})
    note("bad label later", "PATCH", f"{SECRETS}/x", {"metadata": {"labels": {"d": "e f"}}}, MERGE)
    note("namespace absent", "POST", "/api/v1/namespaces/absent-of-these-tests/secrets", named("x"))
    note("another type", "PUT", f"{SECRETS}/x", named("x", type="example.com/other"))
    note("another name", "PUT", f"{SECRETS}/x", named("y"))
    note("replace absent", "PUT", f"{SECRETS}/absent", named("absent"))
    old = {**made, "data": {"token": "Yg=="}}
    replaced = note("replace", "PUT", f"{SECRETS}/x", old)
    talk.heard.append(("version moved", (replaced["metadata"]["resourceVersion"] != version(made),)))
    note("replace an old version", "PUT", f"{SECRETS}/x", old)
    unchanged = note("replace by itself", "PUT", f"{SECRETS}/x", replaced)
    talk.heard.append(("version stayed", (version(unchanged) == version(replaced),)))
    note("whatever the version", "PUT", f"{SECRETS}/x", named("x", data={"token": "Yw=="}))
    patch = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "data": {"token": None, "n": "Yg=="}}
    patched = note("patch", "PATCH", f"{SECRETS}/x", patch, MERGE)
    same = note("patch nothing", "PATCH", f"{SECRETS}/x", {"metadata": {"labels": {"a": "b", "z": None}}}, MERGE)
    talk.heard.append(("version stayed", (version(same) == version(patched),)))
    stale = {"metadata": {"resourceVersion": version(made)}, "data": {"n": "Yw=="}}
    note("patch an old version", "PATCH", f"{SECRETS}/x", stale, MERGE)
    note("patch absent", "PATCH", f"{SECRETS}/absent", patch, MERGE)
    note("patch of another kind", "PATCH", f"{SECRETS}/x", patch, "application/json")
    note("list by name", "GET", f"{SECRETS}?fieldSelector=metadata.name=x")
    note("list by another name", "GET", f"{SECRETS}?fieldSelector=metadata.name=y")
    note("list by label", "GET", f"{SECRETS}?labelSelector=a=b")
    note("list by another label", "GET", f"{SECRETS}?labelSelector=a=c")
    precondition = {"preconditions": {"resourceVersion": version(made)}}
    note("delete an old version", "DELETE", f"{SECRETS}/x", precondition)
    note("delete", "DELETE", f"{SECRETS}/x", {"preconditions": {"resourceVersion": version(same)}})
    note("gone", "GET", f"{SECRETS}/x")
    note("configmap", "POST", CONFIGMAPS, named("x", data={"record": "{}"}))
    note("event", "POST", "/api/v1/namespaces/NS/events", event())
    elsewhere = event() | {"involvedObject": {"namespace": "elsewhere"}, **named("p.2")}
    note("event elsewhere", "POST", "/api/v1/namespaces/NS/events", elsewhere)
    note("post to an object", "POST", f"{SECRETS}/x", named("x"))
    note("no such resource", "GET", "/api/v1/namespaces/NS/wishes/x")
    note("no such version", "GET", "/apis/apps/v9/namespaces/NS/deployments/x")
    note("no such group", "GET", "/apis/nothing.example/v1/namespaces/NS/things/x")
    note("no such path", "GET", "/nothing")


def version(found: dict[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


def event() -> dict[str, Any]:
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": "NS", "name": "p", "uid": "u"}
    return named("p.1", involvedObject=about, type="Warning", reason="R", message="words") | {"count": 1}


def workloads(talk: Talk) -> None:
    for kind in ("deployments", "statefulsets"):
        path = f"{APPS}/{kind}/x"
        talk.note(f"{kind} absent", "GET", path)
        talk.note(f"{kind} exists not", "PATCH", path, {}, MERGE)
        talk.note(f"{kind} created", "POST", f"{APPS}/{kind}", workload("x"))
        settle(talk, path)
        note = {"spec": {"template": {"metadata": {"annotations": {"k": "v"}}}}}
        talk.note(f"{kind} changed", "PATCH", path, note, MERGE)
        settle(talk, path)
        talk.note(f"{kind} unchanged", "PATCH", path, note, MERGE)
        talk.note(f"{kind} labelled", "PATCH", path, {"metadata": {"labels": {"l": "v"}}}, MERGE)
        settled = settle(talk, path)
        talk.heard.append((f"{kind} status", tuple(sorted(settled.items()))))
        talk.note(f"{kind} again", "POST", f"{APPS}/{kind}", workload("x"))
        talk.note(f"{kind} gone", "DELETE", path, {"propagationPolicy": "Background"})


def settle(talk: Talk, path: str) -> dict[str, Any]:
    """Wait until the controller has seen the workload; return the counts of its status."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = talk.ask("GET", path).json()
        status = found["status"]
        if status.get("observedGeneration") == found["metadata"]["generation"]:
            return {k: v for k, v in status.items() if isinstance(v, int) and k not in ("collisionCount",)}
        time.sleep(0.1)
    raise AssertionError(f"{path} is not seen by its controller")


def watches(talk: Talk) -> None:
    only = f"{SECRETS}?watch=true&fieldSelector=metadata.name=w"
    from_any = f"{only}&resourceVersion=0"
    talk.ask("POST", SECRETS, named("other"))
    talk.heard.append(("nothing there", tuple(watched(talk, f"{from_any}&timeoutSeconds=1", lambda: None))))
    made = talk.ask("POST", SECRETS, named("w", data={"a": "YQ=="})).json()

    def change() -> None:
        talk.ask("PATCH", f"{SECRETS}/w", {"data": {"a": "Yg=="}}, MERGE)
        talk.ask("PATCH", f"{SECRETS}/other", {"data": {"a": "Yg=="}}, MERGE)
        talk.ask("DELETE", f"{SECRETS}/w")

    talk.heard.append(("changes", tuple(watched(talk, f"{from_any}&timeoutSeconds=2", change))))
    from_then = f"{only}&timeoutSeconds=1&resourceVersion={version(made)}"
    talk.heard.append(("from a version", tuple(watched(talk, from_then, lambda: None))))
    too_old = f"{talk.late}?watch=true&timeoutSeconds=2&resourceVersion=1"
    talk.heard.append(("too old", tuple(watched(talk, too_old, lambda: None))))


def watched(talk: Talk, path: str, change: Callable[[], None]) -> Iterator[Seen]:
    """Yield what a watch tells; ``change`` is called once it is open."""
    with talk.client.stream("GET", path.replace("NS", talk.namespace)) as response:
        assert response.status_code == 200
        change()
        for line in response.iter_lines():
            told = json.loads(line)
            yield (told["type"], *talk.shown(told["object"]))


def rights(talk: Talk, token: str) -> None:
    """What somebody may not who may read Secret ``may`` and nothing else."""
    talk.client = talk.stranger
    as_hook = {"Authorization": f"Bearer {token}"}
    talk.note("unknown token", "GET", f"{SECRETS}/may", Authorization="Bearer nobody's")
    talk.note("allowed", "GET", f"{SECRETS}/may", **as_hook)
    talk.note("another name", "GET", f"{SECRETS}/may-not", **as_hook)
    talk.note("list", "GET", SECRETS, **as_hook)
    talk.note("list one", "GET", f"{SECRETS}?fieldSelector=metadata.name=may", **as_hook)
    talk.note("watch", "GET", f"{SECRETS}?watch=true&timeoutSeconds=1", **as_hook)
    talk.note("create", "POST", SECRETS, named("may"), **as_hook)
    talk.note("update", "PUT", f"{SECRETS}/may", named("may"), **as_hook)
    talk.note("delete", "DELETE", f"{SECRETS}/may", **as_hook)
    talk.note("delete all", "DELETE", SECRETS, **as_hook)
    talk.note("patch", "PATCH", f"{APPS}/deployments/x", {}, MERGE, **as_hook)
    talk.note("namespace", "GET", "/api/v1/namespaces/NS", **as_hook)
    talk.note("watch the namespace", "GET", "/api/v1/watch/namespaces/NS?timeoutSeconds=1", **as_hook)


def going(talk: Talk) -> None:
    """A namespace that is being deleted. A finalizer of one ConfigMap in it keeps it from going."""
    held = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    talk.ask("POST", CONFIGMAPS, held)
    talk.note("namespace", "GET", "/api/v1/namespaces/NS")
    watch = "/api/v1/watch/namespaces/NS?resourceVersion=0&watch=true&timeoutSeconds=2"

    def delete() -> None:
        talk.note("deleted", "DELETE", "/api/v1/namespaces/NS")

    talk.heard.append(("watched", tuple(watched(talk, watch, delete))[:2]))  # its controller has more to say
    talk.note("going", "GET", "/api/v1/namespaces/NS")
    talk.note("create", "POST", SECRETS, named("late"))
    talk.note("create an event", "POST", "/api/v1/namespaces/NS/events", {**event(), "metadata": {"name": "late"}})


@contextmanager
def real() -> Iterator[Talk]:
    """A namespace of the sandbox, which is deleted afterwards."""
    config = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
    content = yaml.safe_load(Path(config).read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    authority = b64decode(cluster["certificate-authority-data"]).decode()
    tls, bare = (ssl.create_default_context(cadata=authority) for _ in range(2))
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"conversation-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    pair = folder / "pair"
    pair.write_bytes(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
    tls.load_cert_chain(pair)
    pair.unlink()
    folder.rmdir()
    namespace = f"talk-{secrets.token_hex(4)}"
    url = inside() or cluster["server"]
    with httpx.Client(base_url=url, verify=tls, timeout=30) as client, httpx.Client(base_url=url, verify=bare) as other:
        talk = Talk(client, other, namespace, APPLICATIONS)
        assert talk.ask("POST", "/api/v1/namespaces", named(namespace)).status_code == 201
        try:
            yield talk
        finally:
            talk.client = client
            talk.ask("PATCH", f"{CONFIGMAPS}/held", {"metadata": {"finalizers": None}}, MERGE)
            talk.ask("DELETE", "/api/v1/namespaces/NS")


@contextmanager
def fake() -> Iterator[tuple[FakeKubernetes, Talk]]:
    with FakeKubernetes() as kubernetes:
        tls = ssl.create_default_context(cadata=kubernetes.ca)
        make: Callable[..., httpx.Client] = httpx.Client
        with (
            make(base_url=kubernetes.url, verify=tls, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
            make(base_url=kubernetes.url, verify=tls) as stranger,
        ):
            kubernetes.namespace("talk-fake")
            kubernetes.users[TOKEN] = USER.replace(":ns:", ":talk-fake:")
            yield kubernetes, Talk(client, stranger, "talk-fake", SECRETS)


@pytest.mark.parametrize("talk_about", [objects, workloads, watches, going], ids=lambda f: f.__name__)
def test_fake_and_real_answer_alike(talk_about: Callable[[Talk], None]) -> None:
    with real() as to_real, fake() as (_, to_fake):
        talk_about(to_real)
        talk_about(to_fake)
    assert to_fake.heard == to_real.heard


def test_fake_and_real_refuse_alike() -> None:
    with real() as to_real, fake() as (kubernetes, to_fake):
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/NS"
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["may"], "verbs": ["get"]}
        subject = {"kind": "ServiceAccount", "name": "hook", "namespace": to_real.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hook"}
        for path, body in (
            ("/api/v1/namespaces/NS/serviceaccounts", named("hook")),
            (f"{rbac}/roles", named("hook", rules=[rule])),
            (f"{rbac}/rolebindings", named("hook", subjects=[subject], roleRef=role)),
        ):
            assert to_real.ask("POST", path, body).status_code == 201
        asked = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 600}}
        issued = to_real.ask("POST", "/api/v1/namespaces/NS/serviceaccounts/hook/token", asked).json()
        for talk in (to_real, to_fake):
            talk.ask("POST", SECRETS, named("may"))
        kubernetes.allowed = {Rule("get", "", "secrets", "may")}
        token = issued["status"]["token"]
        mine = {"Authorization": f"Bearer {token}"}
        may = f"/api/v1/namespaces/{to_real.namespace}/secrets/may"
        # The API server's authorizer follows Roles by a watch, so a new one counts a moment later.
        within(20, lambda: to_real.stranger.get(may, headers=mine).is_success, "the Role counts")
        rights(to_real, token)
        rights(to_fake, TOKEN)
    assert to_fake.heard == to_real.heard


@contextmanager
def admission(talk: Talk) -> Iterator[None]:
    """In the namespace of ``talk``: a quota allows no Secret, a policy no ConfigMap, a webhook is down."""
    registration = "/apis/admissionregistration.k8s.io/v1"
    here = {"matchLabels": {"kubernetes.io/metadata.name": talk.namespace}}
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    says_no = {"expression": "false", "message": "not here"}
    policy = {"matchConstraints": {"resourceRules": rules}, "validations": [says_no]}
    bound = {"policyName": talk.namespace, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    down: dict[str, Any] = {"name": "down.example.com", "namespaceSelector": here, "sideEffects": "None"}
    down |= {"clientConfig": {"url": "https://127.0.0.1:1/"}, "admissionReviewVersions": ["v1"]}
    down |= {"rules": [{**rules[0], "resources": ["services"]}]}
    made = [
        ("/api/v1/namespaces/NS/resourcequotas", named("none", spec={"hard": {"count/secrets": "0"}})),
        (f"{registration}/validatingadmissionpolicies", named("NS", spec=policy)),
        (f"{registration}/validatingadmissionpolicybindings", named("NS", spec=bound)),
        (f"{registration}/validatingwebhookconfigurations", named("NS", webhooks=[down])),
    ]
    try:
        for path, body in made:
            assert talk.ask("POST", path, body).status_code == 201, path
        yield
    finally:
        for path, body in made[1:]:
            talk.ask("DELETE", f"{path}/{body['metadata']['name']}")


def when_in_force(talk: Talk, path: str, body: dict[str, Any], words: str) -> httpx.Response:
    """Ask until the answer holds ``words``: what was made a moment ago is in force a second later."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        response: httpx.Response = talk.ask("POST", path, body)
        if words in response.text:
            return response
        if response.is_success:
            talk.ask("DELETE", f"{path}/{body['metadata']['name']}")
        time.sleep(0.2)
    raise AssertionError(response.text)


def test_quotas_policies_and_webhooks_refuse_as_the_fake_says() -> None:
    services, port = "/api/v1/namespaces/NS/services", {"ports": [{"port": 80}]}
    with real() as talk, admission(talk):
        by_quota = when_in_force(talk, SECRETS, named("x"), "exceeded quota")
        by_policy = when_in_force(talk, CONFIGMAPS, named("x"), "denied request")
        by_webhook = when_in_force(talk, services, named("x", spec=port), "failed calling webhook")
    assert by_quota.json() == kubestatus.quota_exceeded("secrets", "x", "none").status
    name = talk.namespace
    assert by_policy.json() == kubestatus.denied_by_policy("configmaps", "x", name, "not here").status
    down = kubestatus.webhook_down("down.example.com").status
    assert by_webhook.status_code == down["code"]
    assert {**by_webhook.json(), "message": 0, "details": 0} == {**down, "message": 0, "details": 0}
    until_name = 'Internal error occurred: failed calling webhook "down.example.com": '
    assert by_webhook.json()["message"].startswith(until_name)
    assert down["message"].startswith(until_name)
