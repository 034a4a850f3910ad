"""``check`` against a real cluster and a real Argo CD: green on a good account, one ✗ with its remedy per refusal.

The way in is check's own port-forward, or ``E2E_ARGOCD_URL`` where pods can't be forwarded to.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from dev.accounts import set_password
from dev.sandbox.paths import KUBECONFIG
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.preflight.access import Given, Laptop
from gitops_runtime_auth.retry import Deadline

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
OUTSIDE = os.environ.get("E2E_ARGOCD_URL", "")
NAMESPACE = f"e2e-check-{secrets.token_hex(3)}"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
CM = "/api/v1/namespaces/argocd/configmaps/argocd-cm"


@dataclass
class Place:
    """The cluster, Argo CD as its admin, and what was made there."""

    laptop: Laptop
    argocd: ArgoCD
    session: str
    made: list[str] = field(default_factory=list)

    def account(self, name: str, capabilities: str, *, enabled: bool = True, password: str = "") -> None:
        """Make an account, with a password and a Secret ``NAME`` that holds it."""
        keys = {f"accounts.{name}": capabilities, f"accounts.{name}.enabled": str(enabled).lower()}
        self.laptop.kubernetes().patch(CM, {"data": keys})
        self.made += keys
        password = password or f"password-of-{name}"
        set_password(self.argocd, self.session, admin_password(self.laptop), name, password)
        self.secret(name, password=password)

    def secret(self, name: str, **data: str) -> None:
        self.laptop.kubernetes().delete(f"{SECRETS}/{name}")
        self.laptop.kubernetes().create(SECRETS, {"metadata": {"name": name}, "stringData": data})


def admin_password(laptop: Laptop) -> str:
    secret = laptop.kubernetes().get("/api/v1/namespaces/argocd/secrets/argocd-initial-admin-secret") or {}
    return base64.b64decode(secret["data"]["password"]).decode()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with ExitStack() as stack:
        deadline = Deadline(300)
        laptop = Laptop(Given(kubeconfig=CONFIG, server=OUTSIDE, timeout=300), deadline, stack, "argocd")
        url = OUTSIDE or "https://argocd-server"
        laptop.open_way(url, outside=False)
        argocd = laptop.connect(Server(url, insecure_skip_verify=True), None)
        cluster = laptop.kubernetes()
        cluster.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        found = Place(laptop, argocd, argocd.login("admin", admin_password(laptop)))
        source = cluster.get("/api/v1/namespaces/argocd/secrets/argocd-secret") or {}
        found.secret("argocd-ca", **{"ca.crt": base64.b64decode(source["data"]["tls.crt"]).decode()})
        try:
            yield found
        finally:
            argocd.logout(found.session)
            cluster.patch(CM, {"data": dict.fromkeys(found.made)})
            cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")


def check(
    *sets: str, auth: dict[str, str], outside: str = OUTSIDE, seconds: int = 30
) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the command and return its exit code and its rows by name."""
    block = "global.external-arg-cd"
    lines = [f"{block}.server.svc=argocd-server.argocd", f"{block}.server.caSecretKeyRef.name=argocd-ca"]
    lines += [f"{block}.server.caSecretKeyRef.key=ca.crt", *sets]
    lines += [f"{block}.auth.{key.replace('__', '.')}={value}" for key, value in auth.items()]
    command = [
        sys.executable,
        "-m",
        "gitops_runtime_auth",
        "check",
        "-n",
        NAMESPACE,
        "--kubeconfig",
        CONFIG,
        "-o",
        "json",
    ]
    command += ["--timeout", str(seconds), *(["--server", outside] if outside else [])]
    for line in lines:
        command += ["--set", line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exitCode"] == done.returncode
    return done.returncode, {row["name"]: row for row in found["checks"]}


def account(name: str) -> dict[str, str]:
    return {"username": name, "passwordSecretKeyRef__name": name, "passwordSecretKeyRef__key": "password"}


def only_failure(rows: dict[str, dict[str, str]]) -> dict[str, str]:
    [failed] = [row for row in rows.values() if row["state"] == "failed"]
    assert failed["remedy"]
    return failed


def test_a_good_account_is_ready_and_nothing_was_changed(place: Place) -> None:
    place.account("check-good", "apiKey, login")
    code, rows = check(auth=account("check-good"))
    assert code == 0
    assert {name for name, row in rows.items() if row["state"] != "ok"} == {"RBAC role"}
    assert place.argocd.account("check-good", place.session).keys == ()
    assert place.laptop.kubernetes().get(f"{SECRETS}/argocd-token") is None


@pytest.mark.parametrize(
    ("name", "capabilities", "enabled", "row", "remedy"),
    [
        ("check-nokey", "login", True, "apiKey", '"accounts.check-nokey": "apiKey, login"'),
        ("check-nologin", "apiKey", True, "login", '"accounts.check-nologin": "apiKey, login"'),
        ("check-off", "apiKey, login", False, "Enabled", '"accounts.check-off.enabled": "true"'),
    ],
)
def test_what_an_account_lacks_is_one_row(
    place: Place, name: str, capabilities: str, enabled: bool, row: str, remedy: str
) -> None:
    place.account(name, capabilities, enabled=enabled)
    code, rows = check(auth=account(name))
    failed = only_failure(rows)
    assert (code, failed["name"]) == (77, row)
    assert remedy in failed["remedy"]


def test_a_good_account_with_a_role_has_no_row_that_is_not_ok(place: Place) -> None:
    place.account("check-role", "apiKey, login")
    cluster, path = place.laptop.kubernetes(), "/api/v1/namespaces/argocd/configmaps/argocd-rbac-cm"
    before = ((cluster.get(path) or {}).get("data") or {}).get("policy.csv")
    cluster.patch(path, {"data": {"policy.csv": f"{before or ''}\ng, check-role, role:admin"}})
    try:
        session, until = place.argocd.login("check-role", "password-of-check-role"), time.monotonic() + 10
        while not place.argocd.may_see_applications(session) and time.monotonic() < until:
            time.sleep(0.2)
        place.argocd.logout(session)
        code, rows = check(auth=account("check-role"))
    finally:
        cluster.patch(path, {"data": {"policy.csv": before}})
    assert code == 0
    assert {row["state"] for row in rows.values()} == {"ok"}


def test_a_wrong_password_and_an_unknown_account_are_refused_logins(place: Place) -> None:
    place.account("check-wrong", "apiKey, login")
    place.secret("check-wrong", password="not-it")
    place.secret("check-nobody", password="whatever")
    for name in ("check-wrong", "check-nobody"):
        code, rows = check(auth=account(name))
        assert (code, only_failure(rows)["name"]) == (77, "Login")


@pytest.mark.usefixtures("place")
def test_a_missing_secret_and_a_missing_key_are_named() -> None:
    code, rows = check(auth=account("check-absent"))
    assert (code, only_failure(rows)["name"]) == (78, "Credential")
    code, rows = check(auth={**account("argocd-ca"), "username": "admin"})
    assert (code, only_failure(rows)["name"]) == (78, "Credential")


def test_an_empty_key_is_missing(place: Place) -> None:
    place.secret("check-empty", password="")
    code, rows = check(auth=account("check-empty"))
    assert (code, only_failure(rows)["name"]) == (78, "Credential")
    assert "missing or empty" in only_failure(rows)["found"]


def test_tokens_are_judged(place: Place) -> None:
    place.account("check-token", "apiKey")
    token = place.argocd.create_key("check-token", "check-e2e", place.session)
    ref = {"type": "token", "tokenSecretKeyRef__name": "check-key", "tokenSecretKeyRef__key": "token"}
    place.secret("check-key", token=token)
    assert check(auth=ref)[0] == 0
    place.argocd.delete_key("check-token", "check-e2e", place.session)
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (77, "Token")
    assert "check-key" in only_failure(rows)["remedy"]
    key_id = f"expiring-{secrets.token_hex(3)}"
    body = {"name": "check-token", "id": key_id, "expiresIn": 3600}
    path = "/api/v1/account/check-token/token"
    expiring = place.argocd.send("POST", path, bearer=place.session, body=body, timeout=10).json["token"]
    place.secret("check-key", token=expiring)
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (78, "Credential")
    assert "expires" in only_failure(rows)["found"]
    place.argocd.delete_key("check-token", key_id, place.session)
    place.secret("check-key", token=place.session)
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (78, "Credential")


def test_a_foreign_secret_is_a_failure_of_its_own(place: Place) -> None:
    place.account("check-foreign", "apiKey, login")
    place.secret("argocd-token", token="x")
    try:
        code, rows = check(auth=account("check-foreign"))
        assert (code, only_failure(rows)["name"]) == (78, "API key Secret")
        assert rows["apiKey"]["state"] == "ok"
    finally:
        place.laptop.kubernetes().delete(f"{SECRETS}/argocd-token")


def test_an_unverified_certificate_stops_the_password(place: Place) -> None:
    place.account("check-tls", "apiKey, login")
    code, rows = check("global.external-arg-cd.server.caSecretKeyRef.name=absent", auth=account("check-tls"))
    assert (code, only_failure(rows)["name"]) == (78, "Certificate")
    assert rows["Login"]["state"] == "skipped"


def test_an_unreachable_argocd_is_69(place: Place) -> None:
    place.account("check-away", "apiKey, login")
    code, rows = check(outside="https://127.0.0.1:9", seconds=3, auth=account("check-away"))
    assert (code, only_failure(rows)["name"]) == (69, "Argo CD")
