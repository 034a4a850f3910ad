"""Fuzzing of everything that is parsed: always a result or an ``AuthError`` of two sentences, never a traceback."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth import retry
from gitops_runtime_auth.argocd import login
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server, load, load_values
from gitops_runtime_auth.errors import AuthError, ConfigurationError
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.api import RealCluster
from gitops_runtime_auth.kube.cluster import secret_path
from gitops_runtime_auth.retry import Deadline
from tests.unit.fakes.cluster import FakeCluster
from tests.unit.fakes.fuzz import JSON, TOKEN, told

FIELDS = st.sampled_from(["name", "enabled", "capabilities", "tokens", "token", "value", "message", "code", "Version"])
TOKENS = st.lists(st.dictionaries(st.sampled_from(["id", "issuedAt", "expiresAt"]), JSON) | JSON, max_size=3)
OBJECTS = st.dictionaries(FIELDS, JSON) | st.fixed_dictionaries({"name": st.text(), "tokens": TOKENS})
BODIES = (OBJECTS | JSON).map(lambda o: json.dumps(o).encode()) | st.binary(max_size=200)
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 599])
CALLS = {
    "version": lambda a: a.version(),
    "login": lambda a: a.login("admin", "pw"),
    "logout": lambda a: a.logout("session"),
    "account": lambda a: a.account("admin", "bearer"),
    "create": lambda a: a.create_key("admin", "id", "bearer"),
    "delete": lambda a: a.delete_key("admin", "id", "bearer"),
    "can-i": lambda a: a.may_see_applications("bearer"),
}


@pytest.fixture(autouse=True, scope="module")
def _at_once() -> Any:
    patch = pytest.MonkeyPatch()
    patch.setattr(retry, "_FIRST_WAIT", 9.0)  # more than any deadline here: nothing is tried twice
    patch.setattr(login, "FASTEST_VERDICT", 0.0)
    yield
    patch.undo()


@pytest.mark.parametrize("call", CALLS)
@given(STATUSES, BODIES, st.dictionaries(st.sampled_from(["Retry-After", "Location"]), st.text("09ah:/x", max_size=9)))
def test_any_answer(call: str, status: int, body: bytes, headers: dict[str, str]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if call == "login" and request.method == "GET":
            return httpx.Response(200, json={"Version": "v3"})
        return httpx.Response(status, headers=headers, content=body)

    api = ArgoCD(Transport(Server("https://a"), inner=httpx.MockTransport(answer)), Deadline(0.0))
    try:
        CALLS[call](api)
    except AuthError as e:
        told(e)


DATA = st.dictionaries(st.sampled_from([store.KEY, store.STATE]), st.text() | JSON.map(json.dumps) | TOKEN)
SINCE = JSON | st.floats(0, 1e13)
STATE = st.fixed_dictionaries(
    {"account": JSON, "url": JSON, "ca": JSON, "since": SINCE, "previous": JSON | st.lists(OBJECTS)}
)


@given(DATA | STATE.map(lambda s: {store.KEY: "t", store.STATE: json.dumps(s)}))
def test_any_secret(data: dict[str, str]) -> None:
    stored = store.decode(data)
    assert stored.current is None or stored.current.token
    assert all(entry.token for entry in stored.previous)


WRONG: st.SearchStrategy[Any] = JSON | st.dictionaries(st.text(), JSON, max_size=3)


@given(st.dictionaries(st.sampled_from(["data", "metadata", "kind"]), WRONG))
def test_any_foreign_secret_is_refused(secret: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as foreign:
        store.content(secret, "runtime")
    told(foreign.value)


@given(st.fixed_dictionaries({}, optional={"labels": WRONG, "annotations": WRONG, "namespace": WRONG}))
def test_any_metadata_of_a_foreign_secret_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as foreign:
        store.content({"metadata": metadata}, "runtime")
    told(foreign.value)


OURS = {"app.kubernetes.io/managed-by": store.PREFIX, "app.kubernetes.io/instance": "runtime"}


@given(WRONG | st.fixed_dictionaries({store.KEY: WRONG, store.STATE: WRONG}), WRONG)
def test_any_data_of_our_own_secret_is_read(data: Any, annotations: Any) -> None:
    metadata = {"labels": OURS, "annotations": annotations, "resourceVersion": "1"}
    stored = store.content({"metadata": metadata, "data": data}, "runtime")
    assert stored.resource_version == "1"
    assert stored.current is None or stored.current.token


@given(STATE)
def test_any_secret_that_was_read_can_be_written_again(state: dict[str, Any]) -> None:
    stored = store.decode({store.KEY: "t", store.STATE: json.dumps(state)}, "1")
    cluster = FakeCluster()
    path = secret_path("here", store.NAME)
    cluster.objects[path] = {"metadata": {"resourceVersion": "1"}}
    store.write(cluster, "here", "runtime", "chart", stored)
    assert store.fetch(cluster, "here", "runtime").current == stored.current


@given(st.text() | st.binary().map(lambda b: b.decode("latin1")))
def test_any_base64_of_our_own_secret(value: str) -> None:
    secret = {"metadata": {"labels": OURS}, "data": {store.KEY: value, store.STATE: value}}
    stored = store.content(secret, "runtime")
    assert stored.current is None or stored.current.token


class Lines(RealCluster):
    """A watch whose answer is given."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def _send(self, *_: Any) -> Any:
        stream = SimpleNamespace(stream=lambda decode_content: iter(self._chunks), close=lambda: None)
        return SimpleNamespace(status=200, response=stream)


@given(st.lists(JSON.map(lambda o: json.dumps(o).encode() + b"\n") | st.binary(max_size=20)))
def test_any_line_of_a_watch(chunks: list[bytes]) -> None:
    try:
        for event in Lines(chunks).watch("/watched", 1):
            assert isinstance(event, dict)
    except AuthError as e:
        told(e)


BLOCKS = st.dictionaries(
    st.sampled_from(["server", "auth"]),
    st.dictionaries(
        st.sampled_from(["type", "username", "password", "token", "passwordSecretKeyRef", "url", "svc", "port"]),
        JSON | st.sampled_from(["password", "token", "https://a", "http://[", "https://a:x"]),
    )
    | JSON,
)


@given(
    BLOCKS.map(lambda b: {"global": {"external-arg-cd": b}})
    | st.dictionaries(st.sampled_from(["global", "hook", "keeper"]), JSON)
    | JSON
)
def test_any_settings(values: Any) -> None:
    try:
        load_values(values)
    except AuthError as e:
        told(e)


@given(st.binary(max_size=60))
def test_any_settings_file(content: bytes) -> None:
    path = Path("/dev/shm/gitops-runtime-auth-fuzz.json")
    path.write_bytes(content)
    try:
        load(path)
    except AuthError as e:
        told(e)
    finally:
        path.unlink()
