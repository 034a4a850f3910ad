"""Fuzzing of everything that is parsed: always a result or an ``AuthError`` of two sentences, never a traceback."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hook import argocd as argocd_module
from hook import retry, store
from hook.argocd import ArgoCD
from hook.ensure import read_api_key
from hook.errors import AuthError, ConfigurationError
from hook.retry import Deadline
from hook.settings import Server, load, load_values
from hook.tokens import read
from hook.transport import Transport

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
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
    patch.setattr(argocd_module, "FASTEST_VERDICT", 0.0)
    yield
    patch.undo()


def told(error: AuthError) -> None:
    assert error.exit_code in (64, 69, 75, 77, 78)
    assert error.problem.endswith(".")
    assert error.remedy.endswith(".")
    assert len(error.problem) < 1000


@pytest.mark.parametrize("call", CALLS)
@settings(deadline=None)
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


CLAIMS = st.dictionaries(st.sampled_from(["iss", "sub", "jti", "exp", "nbf", "iat"]), JSON)


def unsigned(claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"


@given(st.text() | (CLAIMS | JSON).map(unsigned) | st.binary().map(lambda b: b.decode("utf-8", "replace")))
def test_any_token(token: str) -> None:
    try:
        claims = read_api_key(token, "the test")
    except ConfigurationError as e:
        told(e)
    else:
        assert (claims.issuer, claims.capability, claims.expires_at) == ("argocd", "apiKey", 0)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "dex", "sub": "a:apiKey"}, "was not issued by Argo CD"),
        ({"iss": "argocd", "sub": "a:login"}, "login session"),
        ({"iss": "argocd", "sub": "a:other"}, "not an account's API key"),
        ({"iss": "argocd", "sub": "a"}, "was not issued"),
        ({"iss": "argocd", "sub": "a:apiKey", "exp": 32503680000}, "expires"),
        ({"iss": "argocd", "sub": "a:apiKey", "exp": 1}, "expires"),
        ({"iss": "argocd", "sub": "a:apiKey", "nbf": 32503680000}, "not valid yet"),
    ],
)
def test_tokens_that_will_not_do(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_api_key(jwt.encode(claims, "x" * 32), "the test")


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "x" * 20_000, "\0" * 9, "é.é.é", f"{'[' * 9000}"])
def test_tokens_that_are_none(token: str) -> None:
    assert read(token) is None


def test_an_account_name_may_hold_colons() -> None:
    claims = read(jwt.encode({"iss": "argocd", "sub": "a:b:apiKey"}, "x" * 32))
    assert claims is not None
    assert (claims.account, claims.capability) == ("a:b", "apiKey")


DATA = st.dictionaries(
    st.sampled_from([store.KEY, store.STATE]), st.text() | JSON.map(json.dumps) | CLAIMS.map(unsigned)
)
STATE = st.fixed_dictionaries({"account": JSON, "url": JSON, "ca": JSON, "previous": JSON | st.lists(OBJECTS)})


@given(DATA | STATE.map(lambda s: {store.KEY: "t", store.STATE: json.dumps(s)}))
def test_any_secret(data: dict[str, str]) -> None:
    stored = store.decode(data)
    assert stored.current is None or stored.current.token
    assert all(entry.token for entry in stored.previous)


@given(st.dictionaries(st.sampled_from(["data", "metadata"]), st.dictionaries(st.text(), st.text() | st.none())))
def test_any_foreign_secret_is_refused(secret: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as foreign:
        store.content({"metadata": {}, **secret}, "runtime")
    told(foreign.value)


@given(st.text() | st.binary().map(lambda b: b.decode("latin1")))
def test_any_base64_of_our_own_secret(value: str) -> None:
    labels = {"app.kubernetes.io/managed-by": store.PREFIX, "app.kubernetes.io/instance": "runtime"}
    store.content({"metadata": {"labels": labels}, "data": {store.KEY: value, store.STATE: value}}, "runtime")


BLOCKS = st.dictionaries(
    st.sampled_from(["server", "auth"]),
    st.dictionaries(
        st.sampled_from(["type", "username", "password", "token", "passwordSecretKeyRef", "url", "svc", "port"]),
        JSON | st.sampled_from(["password", "token", "https://a", "http://[", "https://a:x"]),
    )
    | JSON,
)


@settings(deadline=None)
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
