"""``check`` as a user runs it: the real helm, an Argo CD and a Kubernetes API that speak HTTP."""

import base64
import hashlib
import json
import re
import sys
import time
from datetime import UTC, datetime

import jwt
import pytest

from tests.fakes import LONG
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.fakes.laptop import ONCE, PASSWORD, FakeLaptop
from tests.fakes.web import as_json
from tests.fakes.world import cheap_scrypt

OURS = {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "rel"}
AUTH = "global.external-arg-cd.auth"
MINE = f"{AUTH}.type=token,{AUTH}.tokenSecretKeyRef.name=mine,{AUTH}.tokenSecretKeyRef.key=token"
"""Values for a token in Secret "mine". A token in the values takes helm longer, because the chart hashes it slowly."""


def store_key(laptop: FakeLaptop, token: str, *, account: str = "admin", url: str = "", release: str = "rel") -> None:
    """Have the key Secret of an earlier run of the hook."""
    state = json.dumps({"account": account, "url": url or laptop.url, "token_in": "token"})
    labels = {**OURS, "app.kubernetes.io/instance": release}
    laptop.secret("argocd-token", labels=labels, token=token, state=state)


def record(laptop: FakeLaptop, *, password: str = PASSWORD, age: float = 0.0, verdict: str = "refused") -> str:
    """Return a record of a refused login as the hook writes it."""
    text = json.dumps([laptop.url, "admin", password]).encode()
    with cheap_scrypt():
        hashed = hashlib.scrypt(text, salt=b"0123456789abcdef", n=2**14, r=8, p=1)
    fields = {"salt": "MDEyMzQ1Njc4OWFiY2RlZg==", "hash": base64.b64encode(hashed).decode()}
    return json.dumps({**fields, "at": time.time() - age, "sends": 1, "verdict": verdict, "refusals": 1})


# A good account


def test_a_good_account_is_all_green_after_one_login_that_is_ended(
    laptop: FakeLaptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # where the table has a spinner beside it, but not JSON
    found = laptop.check()
    assert {row["state"] for row in found.rows().values()} == {"ok"}, found.out
    assert {name: row["found"] for name, row in found.rows().items()} == {
        "Values": "type password, account admin, Argo CD at https://argocd-server, namespace ns",
        "API key Secret": '"argocd-token" does not exist yet: the hook will make it',
        "Image": "ghcr.io/gitops-runtime-auth/gitops-runtime-auth:0.1.0",
        "Credential": 'Secret "argocd-initial-admin-secret", key "password" in namespace ns',
        "Managed by": "nobody (plain manifests)",
        "Argo CD": f"answers at {laptop.argocd.url}",
        "Version": "v3.6.1",
        "Certificate": 'verified with Secret "argocd-secret", key "tls.crt"',
        "Login": "Argo CD accepts the password",
        "Account": "admin exists",
        "Enabled": "yes",
        "apiKey": "yes",
        "login": "yes",
        "API keys": "0 now, 0 of them made by releases of this chart",
        "RBAC role": "admin may see all applications",
    }
    assert (found.code, found.err) == (0, "")
    assert laptop.logins() == 1
    assert laptop.argocd.live_sessions() == []


def test_nothing_is_ever_changed_and_no_credential_is_shown(laptop: FakeLaptop) -> None:
    found = laptop.check(output="table")
    assert [str(r) for r in laptop.argocd.server.asked() if r.method != "GET"] == ["POST /api/v1/session"]
    assert laptop.kubernetes.writes() == []
    for secret in (PASSWORD, *laptop.argocd.sessions.values()):
        assert secret not in found.out + found.err


# The credential


def test_a_stored_key_that_works_saves_the_login(laptop: FakeLaptop) -> None:
    store_key(laptop, laptop.argocd.make_key("admin", "gra.0.ns.rel.x"))
    found = laptop.check()
    assert (found.code, laptop.logins()) == (0, 0)
    assert found.row("API key Secret")["found"] == '"argocd-token" exists, made by release rel'
    assert found.row("Login")["found"] == "not needed, so not tried: the stored API key still works"
    assert found.row("API keys")["found"].startswith("1 now, 1 of them")


def test_a_stored_key_of_another_server_or_account_is_not_sent(laptop: FakeLaptop) -> None:
    laptop.argocd.account("somebody")
    for elsewhere in ({"url": "https://elsewhere"}, {"account": "somebody"}):
        key = laptop.argocd.make_key(elsewhere.get("account", "admin"), "other")
        store_key(laptop, key, **elsewhere)
        assert laptop.check().code == 0
        assert key not in laptop.argocd.received


def test_a_stored_key_that_was_revoked_leads_to_a_login(laptop: FakeLaptop) -> None:
    store_key(laptop, laptop.argocd.make_key("admin", "gone"))
    laptop.argocd.revoke("admin")
    assert laptop.check().code == 0
    assert laptop.logins() == 1


def test_of_a_disabled_account_a_stored_key_tells_without_a_login(laptop: FakeLaptop) -> None:
    store_key(laptop, laptop.argocd.make_key("admin", "key"))
    laptop.argocd.accounts.enable("admin", False)
    found = laptop.check()
    assert (found.code, found.failed(), laptop.logins()) == (77, ["Enabled"], 0)


def test_a_refused_password_is_sent_once(laptop: FakeLaptop) -> None:
    laptop.secret("argocd-initial-admin-secret", password="wrong")
    found = laptop.check()
    assert (found.code, found.failed(), laptop.logins()) == (77, ["Login"], 1)
    assert found.row("Account")["state"] == "skipped"
    # People change the password; this Secret stays as it was made.
    assert "contains the first password of Argo CD" in found.row("Login")["found"]


def test_a_login_without_a_verdict_is_not_sent_again(laptop: FakeLaptop) -> None:
    laptop.argocd.server.fault("POST /api/v1/session", cut="before")
    found = laptop.check()
    assert (found.failed(), laptop.logins()) == (["Login"], 1)


@pytest.mark.parametrize("verdict", ["refused", "unclear"])
def test_a_recorded_password_is_not_sent(laptop: FakeLaptop, verdict: str) -> None:
    laptop.put("configmaps", "rel-auth-refused", {"data": {"record": record(laptop, verdict=verdict)}})
    for arguments in ((), ("--release", "rel")):
        found = laptop.check(*arguments)
        assert (found.failed(), laptop.logins()) == (["Login"], 0)
        assert re.search(r" It is not sent again for 3[0-9]{2} s\b", found.only_failure()["found"])


def test_a_record_of_another_password_or_of_long_ago_holds_nothing_up(laptop: FakeLaptop) -> None:
    for text in (record(laptop, password="another"), record(laptop, age=400), "no JSON", ""):
        laptop.put("configmaps", "rel-auth-refused", {"data": {"record": text}})
        assert laptop.check().code == 0


def test_however_often_it_is_run_a_wrong_password_is_sent_once(laptop: FakeLaptop) -> None:
    """Before an install, and after the hook was refused, whose record another laptop knows as well."""
    laptop.secret("argocd-initial-admin-secret", password="wrong")
    for _ in range(5):
        assert laptop.check().failed() == ["Login"]
    assert laptop.logins() == 1
    laptop.put("configmaps", "rel-auth-refused", {"data": {"record": record(laptop, password="wrong")}})
    (laptop.folder / ".cache/gitops-runtime-auth/refused-logins").unlink()
    for arguments in ((), ("--release", "rel"), ("--release", "another")):
        laptop.check(*arguments)
    assert laptop.logins() == 2, "another release has no record: its login is sent, once"
    laptop.argocd.ahead = 330 - LONG
    laptop.check()
    assert laptop.logins() == 2


def test_a_password_that_check_itself_saw_refused_is_not_sent_by_its_next_runs(laptop: FakeLaptop) -> None:
    laptop.secret("argocd-initial-admin-secret", password="wrong")
    for _ in range(3):
        assert laptop.check().failed() == ["Login"]
    assert laptop.logins() == 1
    for password in ("wrong too", "wrong"):
        laptop.secret("argocd-initial-admin-secret", password=password)
        assert laptop.check().failed() == ["Login"]
    assert laptop.logins() == 2
    remembered = laptop.folder / ".cache/gitops-runtime-auth/refused-logins"
    assert "wrong" not in remembered.read_text()
    assert remembered.stat().st_mode & 0o777 == 0o600
    laptop.secret("argocd-initial-admin-secret", password=PASSWORD)
    assert laptop.check().code == 0
    laptop.argocd.ahead = 400  # the server's clock counts: it has forgotten the failures by then
    laptop.secret("argocd-initial-admin-secret", password="wrong")
    laptop.check()
    assert laptop.logins() == 4


def test_a_home_that_can_not_be_written_to_is_a_warning(laptop: FakeLaptop) -> None:
    (laptop.folder / ".cache").write_text("a file, not a folder")
    laptop.secret("argocd-initial-admin-secret", password="wrong")
    found = laptop.check()
    assert (found.code, found.failed()) == (77, ["Login"])
    assert "could not be recorded" in found.err


def test_a_name_that_no_local_account_can_have_is_refused_without_a_login(laptop: FakeLaptop) -> None:
    for name in ("somebody@example.com", "a" * 33, "team.robot"):
        found = laptop.check("--set", f"{AUTH}.username={name}")
        assert (found.code, found.failed(), laptop.logins()) == (78, ["Credential"], 0)
        assert name in found.only_failure()["found"]


def test_after_values_that_are_refused_every_further_step_is_listed_as_not_checked(laptop: FakeLaptop) -> None:
    found = laptop.check("--set", f"{AUTH}.type=nonsense")
    assert (found.code, found.failed(), laptop.logins()) == (78, ["Values"], 0)
    assert [(name, row["state"]) for name, row in found.rows().items()][1:] == [
        (name, "skipped") for name in ("Credential", "Argo CD", "Version", "Certificate", "Login", "Account")
    ]


def test_a_missing_secret_is_named_with_the_command_that_makes_it(laptop: FakeLaptop) -> None:
    found = laptop.check("--set", f"{AUTH}.passwordSecretKeyRef.name=mine")
    failed = found.only_failure()
    assert (found.code, failed["name"]) == (78, "Credential")
    assert "kubectl -n ns create secret generic mine --from-literal=password=..." in failed["remedy"]
    assert "Argo CD asks people to delete it" not in failed["found"]
    laptop.kubernetes.remove("/api/v1/namespaces/ns/secrets/argocd-initial-admin-secret")
    assert "Argo CD asks people to delete it" in laptop.check().only_failure()["found"]
    laptop.put("secrets", "argocd-initial-admin-secret", {}, "argocd")
    found = laptop.check()
    assert "Namespace argocd has one of that name" in found.only_failure()["found"]
    copied = "$(kubectl -n argocd get secret argocd-initial-admin-secret -o jsonpath='{.data.password}' | base64 -d)"
    assert found.only_failure()["remedy"].endswith(f'--from-literal=password="{copied}"')


def test_a_newline_at_the_end_of_the_password_is_a_remark(laptop: FakeLaptop) -> None:
    laptop.argocd.account("admin", password=f"{PASSWORD}\n")
    laptop.secret("argocd-initial-admin-secret", password=f"{PASSWORD}\n")
    found = laptop.check()
    assert found.code == 0
    assert found.row("Credential") == {
        "name": "Credential",
        "state": "warning",
        "found": 'Secret "argocd-initial-admin-secret", key "password" in namespace ns; it ends with a newline, as echo'
        " writes one",
        "remedy": "Unless the newline belongs to the password, store it again with printf %s instead of echo.",
    }


def test_a_secret_that_may_not_be_read_can_be_given(laptop: FakeLaptop) -> None:
    laptop.kubernetes.allowed = set()
    found = laptop.check()
    assert (found.code, found.failed()) == (77, ["Credential"])
    assert "--set-file" in found.only_failure()["remedy"]
    token = laptop.check("--set", MINE)
    for checked, proof in ((found, "Login"), (token, "Token")):
        skipped = [(name, row["found"]) for name, row in checked.rows().items() if row["state"] == "skipped"]
        steps = ("Argo CD", "Version", "Certificate", proof, "Account")
        assert skipped == [(name, "not checked") for name in steps]
    given = laptop.folder / "password"
    given.write_text(PASSWORD)
    (laptop.folder / "ca.pem").write_text(authority("argocd").pem)
    found = laptop.check("--set-file", f"{AUTH}.password={given}", "--ca-file", str(laptop.folder / "ca.pem"))
    assert (found.code, found.row("API key Secret")["state"]) == (0, "warning")
    assert found.row("API key Secret")["found"].startswith("could not be read: Kubernetes refuses to get ")
    assert found.row("Credential")["found"] == "global.external-arg-cd.auth.password"


def test_a_foreign_secret_is_refused_and_whose_it_is_said(laptop: FakeLaptop) -> None:
    laptop.secret(
        "argocd-token", labels={"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "other"}
    )
    found = laptop.check()
    assert (found.code, found.failed()) == (78, ["API key Secret"])
    whose = "is not this release's: it belongs to other (managed by Helm)."
    assert found.only_failure()["found"] == f'Secret "argocd-token" in namespace ns {whose}'
    assert found.row("apiKey")["state"] == "ok"


def test_a_secret_of_another_release_is_foreign_to_the_named_one(laptop: FakeLaptop) -> None:
    store_key(laptop, laptop.argocd.make_key("admin", "key"), release="another")
    assert laptop.check("--release", "rel").failed() == ["API key Secret"]
    assert laptop.check("--release", "another").code == 0


# type: token


def test_a_good_token_needs_no_login_capability(laptop: FakeLaptop) -> None:
    laptop.argocd.account("robot", "apiKey")
    laptop.argocd.may_see.add("robot")
    laptop.secret("mine", token=f"  {laptop.argocd.make_key('robot', 'own')}\n")
    found = laptop.check("--set", MINE)
    assert {row["state"] for row in found.rows().values()} == {"ok"}, found.out
    assert not {"login", "Login", "API key Secret"} & set(found.rows())
    assert found.row("Values")["found"] == "type token, Argo CD at https://argocd-server, namespace ns"
    assert laptop.logins() == 0


def test_tokens_that_can_not_serve_are_refused(laptop: FakeLaptop) -> None:
    laptop.argocd.account("robot", "apiKey")
    revoked = laptop.argocd.make_key("robot", "revoked")
    laptop.argocd.revoke("robot")
    for token, code, part in (
        (laptop.argocd.make_key("robot", "short", expires_in=3600), 78, "expires"),
        ("no-token", 78, "no JWT"),
        (revoked, 77, "the key has been revoked"),
    ):
        laptop.secret("mine", token=token)
        found = laptop.check("--set", MINE)
        assert (found.code, found.failed()) == (code, ["Token"]), found.out
        assert part in found.only_failure()["found"]
        assert "argocd account generate-token" in found.only_failure()["remedy"]
        assert token not in found.out


def test_the_releases_own_key_is_refused_as_the_hook_would(laptop: FakeLaptop) -> None:
    laptop.argocd.account("robot", "apiKey")
    own = laptop.argocd.make_key("robot", "gra.0123456789ab.ns.rel.20260101t000000z-0123456789ab")
    token = ("--set", f"{AUTH}.type=token", "--set-string", f"{AUTH}.token={own}")
    for name in ("argocd-token", "mine"):
        laptop.secret(name, token=own)
    for arguments in ((*token, "--release", "rel"), ("--set", MINE.replace("mine", "argocd-token"))):
        found = laptop.check(*arguments)
        assert (found.code, found.failed()) == (78, ["Token"])
        assert "made for itself" in found.only_failure()["found"]
    assert laptop.check("--set", MINE, "--release", "another").code == 0, "two releases may share a key"


def test_an_expiring_token_is_taken_when_somebody_else_renews_it(laptop: FakeLaptop) -> None:
    laptop.argocd.account("robot", "apiKey")
    token = laptop.argocd.make_key("robot", "short", expires_in=3600)
    laptop.secret("mine", token=token)
    found = laptop.check("--set", f"{MINE},{AUTH}.acceptExpiring=true")
    assert found.code == 0
    until = datetime.fromtimestamp(jwt.decode(token, options={"verify_signature": False})["exp"], UTC)
    assert found.row("Token")["found"] == f"an API key, and Argo CD accepts it until {until:%Y-%m-%d %H:%M} UTC"


# What the account has and lacks


@pytest.mark.parametrize(("capabilities", "failing"), [("login", ["apiKey"]), ("apiKey", ["login"]), ("", ["login"])])
def test_each_missing_capability_is_a_row_with_the_remedy(
    laptop: FakeLaptop, capabilities: str, failing: list[str]
) -> None:
    laptop.argocd.account("runtime", capabilities, PASSWORD)
    laptop.argocd_cm({}, settings={"accounts.runtime": capabilities})
    found = laptop.check("--set", f"{AUTH}.username=runtime")
    assert (found.code, found.failed()) == (77, failing)
    wanted = '{"data": {"accounts.runtime": "apiKey,login"}}' if capabilities else '"accounts.runtime": "login"'
    assert wanted in found.row(failing[0])["remedy"]
    assert laptop.argocd.live_sessions() == []


def test_a_lacking_api_key_capability_is_a_remark_when_the_hook_adds_it(laptop: FakeLaptop) -> None:
    laptop.argocd.account("runtime", "login", PASSWORD)
    arguments = ("--set", f"{AUTH}.username=runtime,hook.enableApiKey=true")
    found = laptop.check(*arguments)
    assert (found.row("apiKey")["state"], found.code) == ("warning", 0)
    # A ConfigMap that somebody manages takes the change back.
    laptop.argocd_cm({}, {"argocd.argoproj.io/tracking-id": "argo:/ConfigMap:argocd/argocd-cm"})
    found = laptop.check(*arguments)
    assert (found.failed(), found.code) == (["apiKey"], 77)
    assert "hook.enableApiKey can't add it" in found.row("apiKey")["found"]


def test_a_disabled_account_shows_as_such_though_the_login_is_refused(laptop: FakeLaptop) -> None:
    laptop.argocd.accounts.enable("admin", False)
    laptop.argocd_cm({}, settings={"admin.enabled": "true", "accounts.admin.enabled": "false"})
    found = laptop.check()
    assert (found.code, found.failed()) == (77, ["Enabled"])
    assert found.row("Login")["found"] == "the credential is right"
    assert '{"data": {"accounts.admin.enabled": "true"}}' in found.row("Enabled")["remedy"]


def test_an_account_that_vanished_is_told_by_its_key(laptop: FakeLaptop) -> None:
    laptop.argocd.account("robot", "apiKey")
    laptop.secret("mine", token=laptop.argocd.make_key("robot", "own"))
    laptop.argocd.accounts.vanish("robot")
    found = laptop.check("--set", MINE)
    assert (found.code, found.failed()) == (77, ["Account"])
    assert '"accounts.robot": "apiKey"' in found.row("Account")["remedy"]


@pytest.mark.parametrize(
    ("annotations", "owners", "manager", "remedy"),
    [
        ({}, [], "nobody (plain manifests)", "patch configmap argocd-cm"),
        ({"meta.helm.sh/release-name": "argo"}, [], "Helm release argo", "through that chart's values"),
        (
            {"argocd.argoproj.io/tracking-id": "self:/ConfigMap:argocd/argocd-cm"},
            [],
            "Argo CD Application self",
            "in Git",
        ),
        (
            {},
            [{"apiVersion": "argoproj.io/v1beta1", "kind": "ArgoCD", "name": "gitops", "uid": "1"}],
            "ArgoCD resource gitops",
            "patch argocd gitops --type merge",
        ),
    ],
)
def test_the_remedy_is_the_one_that_lasts_at_this_argocd(
    laptop: FakeLaptop, annotations: dict[str, str], owners: list[dict[str, str]], manager: str, remedy: str
) -> None:
    laptop.argocd.account("runtime", "login", PASSWORD)
    laptop.argocd_cm({}, annotations, ownerReferences=owners)
    found = laptop.check("--set", f"{AUTH}.username=runtime")
    assert found.row("Managed by")["found"] == manager
    assert remedy in found.row("apiKey")["remedy"]


def test_an_argocd_cm_that_may_not_be_read_leaves_the_manager_open(laptop: FakeLaptop) -> None:
    laptop.argocd.account("runtime", "login", PASSWORD)
    laptop.kubernetes.remove("/api/v1/namespaces/argocd/configmaps/argocd-cm")
    found = laptop.check("--set", f"{AUTH}.username=runtime")
    row = found.row("Managed by")
    assert (row["state"], row["found"]) == (
        "skipped",
        "not known, because ConfigMap argocd-cm could not be read in namespace argocd",
    )
    assert "where it is managed" in found.row("apiKey")["remedy"]


def test_an_account_without_a_role_and_an_old_argocd_are_remarks(laptop: FakeLaptop) -> None:
    laptop.argocd.account("runtime", password=PASSWORD)
    laptop.argocd.server.fault("GET /api/version", answer=as_json(200, {"Version": "v2.13.4"}))
    found = laptop.check("--set", f"{AUTH}.username=runtime")
    assert [n for n, row in found.rows().items() if row["state"] == "warning"] == ["Version", "RBAC role"]
    assert found.row("Version") == {
        "name": "Version",
        "state": "warning",
        "found": "v2.13.4, which is older than 2.14",
        "remedy": "Upgrade Argo CD to 2.14 or later.",
    }
    assert "policy.gitops-runtime-auth-runtime.csv" in found.row("RBAC role")["remedy"]
    assert found.code == 0


# Argo CD


def test_a_certificate_that_is_not_trusted_stops_the_password(laptop: FakeLaptop) -> None:
    laptop.secret("argocd-secret", {"tls.crt": authority("nobody").pem})
    found = laptop.check()
    assert (found.code, found.failed(), laptop.logins()) == (78, ["Certificate"], 0)
    assert found.row("Argo CD")["state"] == "ok"
    assert found.row("Login")["state"] == "skipped"


def test_the_oldest_argocd_that_is_not_too_old(laptop: FakeLaptop) -> None:
    laptop.argocd.server.fault("GET /api/version", answer=as_json(200, {"Version": "v2.14.0"}))
    assert laptop.check().row("Version") == {"name": "Version", "state": "ok", "found": "v2.14.0", "remedy": ""}


def test_what_the_certificate_was_verified_with_is_a_row(laptop: FakeLaptop, monkeypatch: pytest.MonkeyPatch) -> None:
    server = "global.external-arg-cd.server"
    row = laptop.check().row("Certificate")
    assert (row["state"], row["found"]) == ("ok", 'verified with Secret "argocd-secret", key "tls.crt"')
    row = laptop.check("--set", f"{server}.insecureSkipVerify=true").row("Certificate")
    assert (row["state"], row["found"]) == ("warning", f"not verified ({server}.insecureSkipVerify)")
    public = laptop.folder / "public.pem"
    public.write_text(authority("argocd").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    row = laptop.check("--set", f"{server}.caSecretKeyRef=null").row("Certificate")
    assert (row["state"], row["found"]) == ("ok", "verified with the public CAs")


def test_plain_http_is_a_remark(laptop: FakeLaptop) -> None:
    plain = FakeArgoCD()
    plain.account("admin", password=PASSWORD)
    found = laptop.check("--server", plain.url)
    plain.close()
    row = found.row("Certificate")
    assert (row["state"], row["found"]) == ("warning", "none: with plain HTTP the credential is sent unencrypted")


def test_an_argocd_that_does_not_answer_is_69(laptop: FakeLaptop) -> None:
    laptop.argocd.server.go_down()
    found = laptop.check(timing=ONCE)
    assert (found.code, found.failed()) == (69, ["Argo CD"])


def test_something_else_at_the_address_is_not_called_a_certificate(laptop: FakeLaptop) -> None:
    laptop.argocd.server.fault("GET /api/version", answer=as_json(404, {}))
    found = laptop.check()
    assert found.failed() == ["Argo CD"]


def test_a_servers_escape_sequences_reach_no_terminal(laptop: FakeLaptop) -> None:
    laptop.argocd.server.fault("GET /api/version", answer=as_json(200, {"Version": "v3.6.1\x1b[2J\x07"}))
    for output in ("table", "json"):
        found = laptop.check(output=output)
        assert "\x1b" not in found.out.replace("\\u001b", "\x1b")
        assert "\x07" not in found.out


def test_headers_and_client_certificate_come_from_their_secrets(laptop: FakeLaptop) -> None:
    laptop.secret("headers", {"X-Proxy": "canary-header"})
    found = laptop.check("--set", "global.external-arg-cd.server.headersSecretRef.name=headers")
    assert found.code == 0
    assert {r.headers.get("X-Proxy") for r in laptop.argocd.server.asked()} == {"canary-header"}
    assert "canary-header" not in found.out
    found = laptop.check("--set", "global.external-arg-cd.server.clientCertSecretRef.name=absent")
    assert (found.code, found.failed()) == (78, ["Argo CD"])


def test_headers_do_not_go_to_a_server_whose_certificate_is_not_trusted(laptop: FakeLaptop) -> None:
    laptop.secret("headers", {"X-Proxy": "canary-header"})
    laptop.secret("argocd-secret", {"tls.crt": authority("nobody").pem})
    laptop.check("--set", "global.external-arg-cd.server.headersSecretRef.name=headers")
    assert [r.headers.get("X-Proxy") for r in laptop.argocd.server.asked()] == [None]
