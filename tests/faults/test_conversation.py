"""The fake Argo CD of the unit tests and the real one, asked the same, answer the same: status, gRPC code, words."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import jwt
import pytest

from dev.runtime import within
from tests.fakes import LONG
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.faults.real import RealArgoCD

JSON = {"Content-Type": "application/json"}
CROWD = [f"crowd-{n}" for n in range(9)]
BOTH = ["logins", "locked", "keys", "stranger", "off", "gone", "changed", "lives", "queue"]
ACCOUNTS = {
    **dict.fromkeys(BOTH, "apiKey, login"),
    **dict.fromkeys(CROWD, "login"),
    "robot": "apiKey",
    "human": "login",
    "twice": "login, apiKey, login, nonsense",
}


class Place(Protocol):
    """What both Argo CDs let a test do."""

    names: dict[str, str]
    password: str
    http: httpx.Client

    def set_cm(self, entries: dict[str, str | None]) -> None: ...
    def cm(self, key: str) -> str | None: ...
    def set_password_time(self, part: str, at: str) -> None: ...
    def close(self) -> None: ...


class Fake:
    """The fake one, with the real one's times for a login."""

    def __init__(self, accounts: dict[str, str]) -> None:
        self.argocd = FakeArgoCD(authority("argocd").tls)
        self.argocd.logins.takes = (0.5, 1.0)
        self.names = {part: f"me-{part}" for part in accounts}
        self.password = "canary-of-all"
        for part, entry in accounts.items():
            self.argocd.account(self.names[part], entry, self.password)
        self.http = httpx.Client(
            base_url=self.argocd.url, verify=False, timeout=60, limits=httpx.Limits(max_connections=200)
        )

    def set_cm(self, entries: dict[str, str | None]) -> None:
        for key, value in entries.items():
            if value is None:
                self.argocd.accounts.cm.pop(key, None)
            else:
                self.argocd.accounts.cm[key] = value

    def cm(self, key: str) -> str | None:
        return self.argocd.accounts.cm.get(key)

    def set_password_time(self, part: str, at: str) -> None:
        kept = self.argocd.accounts.secret[self.names[part]]
        kept.password_mtime = datetime.fromisoformat(at).timestamp()

    def close(self) -> None:
        self.http.close()
        self.argocd.close()


@dataclass
class Talk:
    """A conversation with one of them. ``heard`` is what the two are compared by."""

    place: Place
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def name(self, part: str) -> str:
        return self.place.names.get(part, part)

    def ask(
        self, what: str, method: str, path: str, bearer: str = "", body: Any = None, **headers: str
    ) -> httpx.Response:
        """Send a request, and note what comes back under ``what`` (under nothing, when that is empty)."""
        given = {**JSON, **headers} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        answer = self.place.http.request(method, path, headers=given, json=body)
        self.place.http.cookies.clear()  # a login sets one, which would answer for the next request
        if what:
            self.heard.append((what, self._told(answer)))
        return answer

    def login(self, what: str, part: str, password: str | None = None) -> httpx.Response:
        given = self.place.password if password is None else password
        return self.ask(what, "POST", "/api/v1/session", body={"username": self.name(part), "password": given})

    def session(self, part: str) -> str:
        return str(self.login("", part).json()["token"])

    def key(self, part: str, session: str, key_id: str, expires_in: int = 0) -> str:
        body = {"name": self.name(part), "id": key_id, "expiresIn": expires_in}
        return str(self.ask("", "POST", f"{self.path(part)}/token", session, body).json()["token"])

    def path(self, part: str) -> str:
        return f"/api/v1/account/{self.name(part)}"

    def _told(self, answer: httpx.Response) -> Any:
        """Return an answer without what differs between any two: names, times, tokens."""
        try:
            content = answer.json()
        except ValueError:
            return (answer.status_code, re.sub("<.*", "a page", answer.text, flags=re.DOTALL))
        return (answer.status_code, self._bare(content))

    def _bare(self, content: Any) -> Any:
        if isinstance(content, dict):
            return {k: "a token" if k == "token" else self._bare(v) for k, v in sorted(content.items())}
        if isinstance(content, list):
            # Keys of one second come in any order.
            return sorted(
                (self._bare(c) for c in content),
                key=lambda c: c.get("id") or c.get("name", "") if isinstance(c, dict) else "",
            )
        if isinstance(content, str):
            for part, name in self.place.names.items():
                content = content.replace(name, f"<{part}>")
            return re.sub(r"iat: \S+", "iat: then", content)
        return "a time" if isinstance(content, int) and content > 10**9 else content


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Place, Place]]:
    made: tuple[Place, Place] = (Fake(ACCOUNTS), RealArgoCD(ACCOUNTS))
    yield made
    for place in made:
        place.close()


def logins(talk: Talk) -> None:
    talk.login("blank password", "logins", "")
    talk.login("blank name", "")
    talk.login("wrong password", "logins", "wrong")
    talk.login("unknown account", "nobody-of-that-name", "wrong")
    talk.login("name of 32 bytes", "n" * 32)
    talk.login("name over 32 bytes", "n" * 33)
    talk.login("name over 32 bytes, not letters", "ü" * 17)
    right = talk.login("right password", "logins")
    talk.heard.append(("its cookie", re.sub("=ey[^;]*", "=a token", right.headers["Set-Cookie"])))
    talk.login("no login capability", "robot")
    talk.login("no login capability, wrong password", "robot", "wrong")
    talk.ask("no content type", "POST", "/api/v1/session", **{"Content-Type": "text/plain"})


def lockout(talk: Talk) -> None:
    for n in range(4):
        talk.login(f"failure {n}", "locked", "wrong")
    talk.login("not locked yet", "locked")
    for n in range(5):
        talk.login(f"failure {n} after a login", "locked", "wrong")
    talk.login("locked, right password", "locked")


def keys(talk: Talk) -> None:
    me, session = talk.path("keys"), talk.session("keys")
    talk.ask("account without keys", "GET", me, session)
    new = {"name": talk.name("keys"), "id": "gra.one", "expiresIn": 0}
    key = talk.ask("new key", "POST", f"{me}/token", session, new).json()["token"]
    talk.heard.append(("claims", sorted(jwt.decode(key, options={"verify_signature": False}))))
    talk.heard.append(("entry afterwards", talk.place.cm(f"accounts.{talk.name('keys')}")))
    talk.ask("id in use", "POST", f"{me}/token", session, new)
    talk.ask("account by key", "GET", me, key)
    talk.ask("somebody else's account", "GET", talk.path("stranger"), key)
    talk.ask("somebody else's new key", "POST", f"{talk.path('stranger')}/token", key, new)
    talk.ask("somebody else's key", "DELETE", f"{talk.path('stranger')}/token/x", key)
    talk.ask("an account that is not there", "GET", "/api/v1/account/nobody-of-that-name", key)
    talk.ask("can-i", "GET", "/api/v1/account/can-i/applications/get/*/*", key)
    talk.ask("wrong content type", "DELETE", f"{me}/token/gra.one", key, **{"Content-Type": "text/plain"})
    talk.ask("successor by key", "POST", f"{me}/token", key, {**new, "id": "gra.two"})
    talk.ask("id with a slash", "DELETE", f"{me}/token/a%2Fb", session)
    talk.ask("revoked", "DELETE", f"{me}/token/gra.one", key)
    talk.ask("by a revoked key", "GET", me, key)
    talk.ask("revoked again", "DELETE", f"{me}/token/gra.one", session)
    talk.ask("id used again", "POST", f"{me}/token", session, new)
    talk.ask("the revoked key is back", "GET", me, key)
    short = talk.ask("key with an end", "POST", f"{me}/token", session, {**new, "id": "short", "expiresIn": 1})
    talk.ask("account with several keys", "GET", me, session)
    time.sleep(2.1)
    talk.ask("by an expired key", "GET", me, short.json()["token"])
    talk.ask("list of accounts", "GET", "/api/v1/account", key)
    talk.ask("without apiKey", "POST", f"{talk.path('human')}/token", talk.session("human"), {**new, "name": "x"})


def tokens(talk: Talk) -> None:
    me, key = talk.path("lives"), talk.key("lives", talk.session("lives"), "gra.x")
    claims = jwt.decode(key, options={"verify_signature": False})
    talk.ask("no token", "GET", me)
    talk.ask("garbage", "GET", me, "garbage")
    talk.ask("three parts of garbage", "GET", me, "!.!.!")
    talk.ask("foreign signature", "GET", me, jwt.encode(claims, "another signature, which is long enough by far"))
    talk.ask(
        "foreign issuer", "GET", me, jwt.encode({**claims, "iss": "sso"}, "another signature, which is long enough")
    )
    talk.ask("userinfo of a key", "GET", "/api/v1/session/userinfo", key)
    talk.ask("userinfo of nobody", "GET", "/api/v1/session/userinfo")


def sessions(talk: Talk) -> None:
    me, session = talk.path("lives"), talk.session("lives")
    key = talk.key("lives", session, "gra.y")
    talk.ask("DELETE of a session", "DELETE", "/api/v1/session", session)
    talk.ask("ends nothing", "GET", me, session)
    for what, token in (("a session", session), ("a key", key), ("garbage", "x.y.z")):
        ended = talk.place.http.get("/auth/logout", headers={"Cookie": f"argocd.token={token}"})
        talk.heard.append((f"logout of {what}", ended.status_code))
    talk.heard.append(("logout of nobody", talk.place.http.get("/auth/logout").status_code))
    talk.ask("by an ended session", "GET", me, session)
    talk.ask("a key is not ended by it", "GET", me, key)


def switched_off(talk: Talk) -> None:
    me, session = talk.path("off"), talk.session("off")
    key = talk.key("off", session, "gra.x")
    switch = f"accounts.{talk.name('off')}.enabled"
    talk.place.set_cm({switch: "false"})
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 401)
    talk.ask("key of a disabled account", "GET", me, key)
    talk.ask("session of a disabled account", "GET", me, session)
    talk.login("login of a disabled account", "off")
    talk.login("login of a disabled account, wrong password", "off", "wrong")
    talk.place.set_cm({switch: "true"})
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 200)
    talk.ask("enabled again", "GET", me, key)
    entry = f"accounts.{talk.name('off')}"
    talk.place.set_cm({entry: "login"})
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 401)
    talk.ask("key of an account without apiKey", "GET", me, key)
    talk.ask("which it shows to a session", "GET", me, session)


def vanished(talk: Talk) -> None:
    me, session = talk.path("gone"), talk.session("gone")
    key = talk.key("gone", session, "gra.x")
    entry = f"accounts.{talk.name('gone')}"
    talk.place.set_cm({entry: None})
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 401)
    talk.ask("key of an account that is gone", "GET", me, key)
    talk.login("login of an account that is gone", "gone")
    talk.place.set_cm({entry: "apiKey, login"})
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 200)
    talk.ask("the key is back with its account", "GET", me, key)


def password_time(talk: Talk) -> None:
    key = talk.key("changed", talk.session("changed"), "gra.x")
    talk.place.set_password_time("changed", datetime.now(UTC).replace(year=2099).isoformat(timespec="seconds"))
    me = talk.path("changed")
    within(20, lambda: talk.ask("", "GET", me, key).status_code == 401)
    talk.ask("key from before the password change", "GET", me, key)
    fresh = talk.login("a login all the same", "changed").json()["token"]
    talk.ask("whose session is refused", "GET", me, fresh)


def shapes(talk: Talk) -> None:
    talk.ask("an account's capabilities as argocd-cm has them", "GET", talk.path("twice"), talk.session("twice"))
    version = talk.ask("", "GET", "/api/version")
    talk.heard.append(("version", (version.status_code, version.json()["Version"][:4])))
    talk.heard.append(("zipped", version.headers.get("Content-Encoding")))
    talk.heard.append(("Date", abs(_date(version) - time.time()) < LONG))
    talk.ask("no such route", "GET", "/api/v1/nothing-of-that-name")
    talk.ask("no such method", "PATCH", talk.path("twice"))
    talk.ask("the dashboard", "GET", "/")
    host = str(talk.place.http.base_url).removeprefix("https://").rstrip("/")
    plain = httpx.get(f"http://{host}/api/version", follow_redirects=False)
    talk.heard.append(("plain HTTP", (plain.status_code, plain.headers["Location"].partition(":")[0])))


def _date(answer: httpx.Response) -> float:
    return datetime.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()


TOPICS: list[Callable[[Talk], None]] = [
    logins,
    lockout,
    keys,
    tokens,
    sessions,
    switched_off,
    vanished,
    password_time,
    shapes,
]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: str(topic.__name__))
def test_fake_and_real_answer_alike(places: tuple[Place, Place], topic: Callable[[Talk], None]) -> None:
    talks = [Talk(place) for place in places]
    both = [threading.Thread(target=topic, args=(talk,)) for talk in talks]
    for one in both:
        one.start()
    for one in both:
        one.join()
    fake, real = (talk.heard for talk in talks)
    assert len(real) > 1
    assert fake == real


def at_once(place: Place, parts: list[str]) -> list[tuple[int, float]]:
    """Log in to all these accounts at once, with the right password; return the status and seconds of each."""
    answers: list[tuple[int, float]] = []

    def log_in(username: str) -> None:
        began = time.monotonic()
        answer = place.http.post("/api/v1/session", json={"username": username, "password": place.password})
        answers.append((answer.status_code, time.monotonic() - began))

    threads = [threading.Thread(target=log_in, args=(place.names[part],)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.http.cookies.clear()
    return answers


@pytest.mark.alone
@pytest.mark.parametrize("which", [0, 1], ids=["fake", "real"])
def test_more_logins_than_argocd_takes_are_refused_with_the_right_password_too(
    places: tuple[Place, Place], which: int
) -> None:
    """Of 81, at most 50 are in flight; the others are told what a wrong password is told."""
    answers = [status for status, _ in at_once(places[which], CROWD * 9)]
    assert set(answers) == {200, 401}
    assert answers.count(200) >= 50


@pytest.mark.parametrize("which", [0, 1], ids=["fake", "real"])
def test_logins_of_one_account_are_handled_one_after_the_other(places: tuple[Place, Place], which: int) -> None:
    answers = at_once(places[which], ["queue"] * 3)
    assert [status for status, _ in answers] == [200] * 3
    assert max(seconds for _, seconds in answers) >= 1.5
