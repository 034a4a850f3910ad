"""``check`` against a real cluster and a real Argo CD: green on a good account, one ✗ with its remedy per refusal.

The way in is ``kubectl port-forward``, or ``E2E_ARGOCD_URL`` where pods can't be forwarded to. The printed remedies are
pasted as they are.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dev.cluster import decoded
from dev.site import CONFIG, OUTSIDE, Site

NAMESPACE = f"e2e-check-{secrets.token_hex(3)}"
CACHE = tempfile.TemporaryDirectory()
"""Where check remembers refused logins."""
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


class Place(Site):
    """The cluster and its Argo CD, with one namespace for all tests, in which ``check`` reads the credentials."""

    def __init__(self) -> None:
        super().__init__()
        self.namespace(NAMESPACE)
        self.secret("argocd-ca", **{"ca.crt": decoded(self.cluster, "argocd", "argocd-secret")["tls.crt"]})

    def account(self, name: str, password: str = "", capabilities: str = "apiKey, login") -> None:
        """Make an account and a Secret ``NAME`` with its password."""
        super().account(name, password, capabilities)
        self.secret(name, password=password or f"password-of-{name}")

    def secret(self, name: str, **data: str) -> None:
        self.cluster.delete(f"{SECRETS}/{name}")
        self.cluster.create(SECRETS, {"metadata": {"name": name}, "stringData": data})


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    made = Place()
    try:
        yield made
    finally:
        made.close()


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
    environ = {**os.environ, "XDG_CACHE_HOME": CACHE.name}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
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
    place.account("check-good")
    code, rows = check(auth=account("check-good"))
    assert code == 0
    assert {name for name, row in rows.items() if row["state"] != "ok"} == {"RBAC role"}
    assert place.argocd.account("check-good", place.session).keys == ()
    assert place.cluster.get(f"{SECRETS}/argocd-token") is None


@pytest.mark.parametrize(
    ("name", "capabilities", "enabled", "row", "remedy"),
    [
        ("check-nokey", "login", True, "apiKey", '"accounts.check-nokey": "apiKey,login"'),
        ("check-nologin", "apiKey", True, "login", '"accounts.check-nologin": "apiKey,login"'),
        ("check-off", "apiKey, login", False, "Enabled", '"accounts.check-off.enabled": "true"'),
    ],
)
def test_what_an_account_lacks_is_one_row(
    place: Place, name: str, capabilities: str, enabled: bool, row: str, remedy: str
) -> None:
    place.account(name, capabilities=capabilities)
    place.enable(name, enabled=enabled)
    code, rows = check(auth=account(name))
    failed = only_failure(rows)
    assert (code, failed["name"]) == (77, row)
    assert remedy in failed["remedy"]


def test_a_good_account_with_a_role_has_no_row_that_is_not_ok(place: Place) -> None:
    place.account("check-role")
    cluster, path = place.cluster, "/api/v1/namespaces/argocd/configmaps/argocd-rbac-cm"
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
    place.account("check-wrong")
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


def test_a_secret_of_argocds_own_namespace_is_copied_by_the_printed_command(place: Place) -> None:
    auth = account("argocd-initial-admin-secret") | {"username": "admin"}
    code, rows = check(auth=auth)
    assert (code, only_failure(rows)["name"]) == (78, "Credential")
    paste(only_failure(rows)["remedy"].replace("or run: ", "Run: "))
    assert check(auth=auth)[1]["Login"]["state"] == "ok"


def test_an_empty_key_is_missing(place: Place) -> None:
    place.secret("check-empty", password="")
    code, rows = check(auth=account("check-empty"))
    assert (code, only_failure(rows)["name"]) == (78, "Credential")
    assert "missing or empty" in only_failure(rows)["found"]


def test_tokens_are_judged(place: Place) -> None:
    place.account("check-token", capabilities="apiKey")
    token = place.argocd.create_key("check-token", "check-e2e", place.session)
    ref = {"type": "token", "tokenSecretKeyRef__name": "check-key", "tokenSecretKeyRef__key": "token"}
    place.secret("check-key", token=token)
    assert check(auth=ref)[0] == 0
    place.argocd.delete_key("check-token", "check-e2e", place.session)
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (77, "Token")
    assert "check-key" in only_failure(rows)["remedy"]
    key_id = f"expiring-{secrets.token_hex(3)}"
    place.secret("check-key", token=place.argocd.create_key("check-token", key_id, place.session, seconds=3600))
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (78, "Token")
    assert "expires" in only_failure(rows)["found"]
    assert check(auth=ref | {"acceptExpiring": "true"})[0] == 0
    place.argocd.delete_key("check-token", key_id, place.session)
    place.secret("check-key", token=place.session)
    code, rows = check(auth=ref)
    assert (code, only_failure(rows)["name"]) == (78, "Token")


def test_a_foreign_secret_is_a_failure_of_its_own(place: Place) -> None:
    place.account("check-foreign")
    place.secret("argocd-token", token="x")
    try:
        code, rows = check(auth=account("check-foreign"))
        assert (code, only_failure(rows)["name"]) == (78, "API key Secret")
        assert rows["apiKey"]["state"] == "ok"
    finally:
        place.cluster.delete(f"{SECRETS}/argocd-token")


def test_an_unverified_certificate_stops_the_password(place: Place) -> None:
    place.account("check-tls")
    code, rows = check("global.external-arg-cd.server.caSecretKeyRef.name=absent", auth=account("check-tls"))
    assert (code, only_failure(rows)["name"]) == (78, "Certificate")
    assert rows["Login"]["state"] == "skipped"


def test_an_unreachable_argocd_is_69(place: Place) -> None:
    place.account("check-away")
    code, rows = check(outside="https://127.0.0.1:9", seconds=3, auth=account("check-away"))
    assert (code, only_failure(rows)["name"]) == (69, "Argo CD")


@pytest.mark.parametrize("lacking", ["capability", "switch"])
def test_the_remedy_is_pasted_as_it_is_and_then_the_account_is_ready(place: Place, lacking: str) -> None:
    name = f"check-{lacking[:6]}"
    place.account(name, capabilities="login" if lacking == "capability" else "apiKey, login")
    place.enable(name, enabled=lacking != "switch")
    code, rows = check(auth=account(name))
    assert code == 77
    assert rows["Managed by"]["found"].startswith("nobody")
    paste(only_failure(rows)["remedy"])
    until = time.monotonic() + 10
    while check(auth=account(name))[0] and time.monotonic() < until:
        time.sleep(0.5)
    assert check(auth=account(name))[0] == 0


def test_the_rbac_remedy_adds_a_policy_beside_those_that_are_there(place: Place) -> None:
    place.account("check-policy")
    path = "/api/v1/namespaces/argocd/configmaps/argocd-rbac-cm"
    before = (place.cluster.get(path) or {}).get("data") or {}
    remedy = check(auth=account("check-policy"))[1]["RBAC role"]["remedy"]
    paste(remedy)
    try:
        after = (place.cluster.get(path) or {})["data"]
        [added] = set(after) - set(before)
        assert {name: after[name] for name in before} == before
        until = time.monotonic() + 10
        while check(auth=account("check-policy"))[1]["RBAC role"]["state"] != "ok" and time.monotonic() < until:
            time.sleep(0.5)
        assert check(auth=account("check-policy"))[1]["RBAC role"]["state"] == "ok"
    finally:
        place.cluster.patch(path, {"data": {added: None}})


@pytest.mark.usefixtures("place")
def test_a_service_of_another_name_leads_to_the_one_that_is_there() -> None:
    code, rows = check("global.external-arg-cd.server.svc=argo-cd-server", outside="", auth=account("argocd-ca"))
    assert (code, only_failure(rows)["name"]) == (78, "Credential")  # the Secret has no such key
    reference = {"username": "admin", "passwordSecretKeyRef__name": "argocd-ca", "passwordSecretKeyRef__key": "ca.crt"}
    code, rows = check("global.external-arg-cd.server.svc=argo-cd-server", outside="", auth=reference)
    assert (code, only_failure(rows)["name"]) == (78, "Argo CD")
    assert "server.svc=argocd-server.argocd" in only_failure(rows)["remedy"]


def paste(remedy: str) -> None:
    """Run the command at the end of a remedy in a shell, with the cluster's kubeconfig."""
    command = remedy.partition("Run: ")[2]
    subprocess.run(["bash", "-c", command], env={**os.environ, "KUBECONFIG": CONFIG}, check=True, capture_output=True)
