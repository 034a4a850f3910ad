"""The unit tests' fake Argo CD and the real one, asked the same, answer the same."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gitops_runtime_auth.argocd.refusal import reason_of
from tests.faults.place import CM, Site
from tests.unit.fakes.argocd import FakeAccount, FakeArgoCD

JSON = {"Content-Type": "application/json"}


@dataclass
class Talk:
    """A client, and two accounts: one that is asked about and one that stays a stranger."""

    client: httpx.Client
    name: str
    password: str
    stranger: str
    robot: tuple[str, str]
    """An account that may log in and do nothing else."""

    def ask(self, method: str, path: str, bearer: str = "", body: Any = None, **headers: str) -> httpx.Response:
        given = {**JSON, **headers} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        return self.client.request(method, path, headers=given, json=body)

    def login(self, password: str, name: str = "") -> httpx.Response:
        return self.ask("POST", "/api/v1/session", body={"username": name or self.name, "password": password})


def seen(response: httpx.Response) -> tuple[Any, ...]:
    """What of an answer the product goes by."""
    try:
        data = response.json()
    except ValueError:
        return (response.status_code, "no JSON")
    if response.status_code != 200:
        return (response.status_code, data.get("code"), reason_of(data))
    # Capabilities in their order, duplicates and all: Argo CD shows them as it puts them together.
    return (200, sorted(data), {k: v for k, v in data.items() if k in ("capabilities", "enabled", "value")})


def conversation(talk: Talk) -> list[tuple[str, tuple[Any, ...]]]:
    heard: list[tuple[str, tuple[Any, ...]]] = []

    def note(what: str, response: httpx.Response) -> httpx.Response:
        heard.append((what, seen(response)))
        return response

    me = f"/api/v1/account/{talk.name}"
    version = talk.ask("GET", "/api/version").json()
    heard.append(("version", (isinstance(version.get("Version"), str),)))
    note("blank password", talk.login(""))
    note("wrong password", talk.login("wrong"))
    note("unknown account", talk.login("wrong", "nobody-of-that-name"))
    note("name over 32 bytes", talk.login("x", "n" * 33))
    session = note("right password", talk.login(talk.password)).json()["token"]
    note("account without keys", talk.ask("GET", me, session))
    note("somebody else's account", talk.ask("GET", f"/api/v1/account/{talk.stranger}", session))
    new_key = {"name": talk.name, "id": "gra.one", "expiresIn": 0}
    key = note("new key", talk.ask("POST", f"{me}/token", session, new_key)).json()["token"]
    note("id in use", talk.ask("POST", f"{me}/token", session, new_key))
    note("account by key", talk.ask("GET", me, key))
    note("can-i", talk.ask("GET", "/api/v1/account/can-i/applications/get/*/*", key))
    note("wrong content type", talk.ask("DELETE", f"{me}/token/gra.one", key, **{"Content-Type": "text/plain"}))
    note("revoked", talk.ask("DELETE", f"{me}/token/gra.one", key))
    note("by a revoked key", talk.ask("GET", me, key))
    note("revoked again", talk.ask("DELETE", f"{me}/token/gra.one", session))
    note("id used again", talk.ask("POST", f"{me}/token", session, new_key))
    note("the revoked key is back", talk.ask("GET", me, key))
    note("garbage", talk.ask("GET", me, "x.y.z"))
    ended = talk.client.get("/auth/logout", headers={"Cookie": f"argocd.token={session}"})
    heard.append(("logout", (ended.status_code,)))
    note("by an ended session", talk.ask("GET", me, session))
    robot, password = talk.robot
    robots = talk.login(password, robot).json()["token"]
    note("no apiKey", talk.ask("POST", f"/api/v1/account/{robot}/token", robots, {**new_key, "name": robot}))
    for failure in range(4):  # one came above, before a good login
        note(f"failure {failure}", talk.login("wrong"))
    note("not locked yet", talk.login(talk.password))
    for failure in range(5):
        note(f"failure {failure} again", talk.login("wrong"))
    note("locked, right password", talk.login(talk.password))
    return heard


@contextmanager
def admin_has(site: Site, capabilities: str) -> Iterator[None]:
    """Give ``admin`` an entry in argocd-cm for a moment; what stood there comes back."""
    before = (site.cluster.get(CM) or {})["data"].get("accounts.admin")
    shown = site.argocd.account("admin", site.session).capabilities
    site.give("admin", capabilities)
    try:
        yield
    finally:
        site.cluster.patch(CM, {"data": {"accounts.admin": before}})
        until = time.monotonic() + 30
        while site.argocd.account("admin", site.session).capabilities != shown:
            assert time.monotonic() < until, "Argo CD still shows what this test gave admin"
            time.sleep(0.1)


@pytest.mark.parametrize("entry", ["login, apiKey, login", "apiKey", "apiKey, apiKey"])
def test_an_accounts_capabilities_come_as_argocd_cm_has_them(site: Site, entry: str) -> None:
    fake, (name, _) = FakeArgoCD(), site.new_account(entry)
    fake.accounts["me"] = FakeAccount("pw", entry.split(", "))
    real = site.argocd.send("GET", f"/api/v1/account/{name}", site.session)
    assert fake.shown("me")["capabilities"] == real["capabilities"] == entry.split(", ")


def test_admins_capabilities_come_with_duplicates(site: Site) -> None:
    fake = FakeArgoCD()
    fake.accounts["admin"].capabilities = ["apiKey", "login"]
    with admin_has(site, "apiKey, login"):
        real = site.argocd.send("GET", "/api/v1/account/admin", site.session)
    assert fake.shown("admin")["capabilities"] == real["capabilities"] == ["login", "apiKey", "login"]


def test_fake_and_real_answer_alike(site: Site) -> None:
    fake = FakeArgoCD()
    fake.accounts |= {"me": FakeAccount("pw"), "stranger": FakeAccount("pw"), "robot": FakeAccount("pw", ["login"])}
    host, port = site.argocd_at
    make: Callable[..., httpx.Client] = httpx.Client
    with (
        make(base_url="https://fake", transport=httpx.MockTransport(fake.answer)) as to_fake,
        make(base_url=f"https://{host}:{port}", verify=False, timeout=60) as to_real,
    ):
        name, password = site.new_account()
        stranger, _ = site.new_account()
        said_by_fake = conversation(Talk(to_fake, "me", "pw", "stranger", ("robot", "pw")))
        said_by_real = conversation(Talk(to_real, name, password, stranger, site.new_account("login")))
    assert said_by_fake == said_by_real
