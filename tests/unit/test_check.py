"""``check`` against a small Argo CD and a small cluster: each refusal is one ✗ with its remedy."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from gitops_runtime_auth import cli
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.commands.check import look, run
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import RbacError, UsageError
from gitops_runtime_auth.preflight import access as laptop
from gitops_runtime_auth.preflight.access import Given, Laptop, service_of
from gitops_runtime_auth.preflight.report import Report, Row

PASSWORD = "s3cret-password"
SESSION = "a-session"


def token(account: str = "admin", capability: str = "apiKey", **claims: Any) -> str:
    return jwt.encode({"iss": "argocd", "sub": f"{account}:{capability}", "jti": "id", **claims}, "x" * 32)


class FakeArgoCD:
    """Argo CD with one account, counting what it is asked."""

    def __init__(self) -> None:
        self.account: dict[str, Any] = {"name": "admin", "enabled": True, "capabilities": ["login", "apiKey", "login"]}
        self.version = "v3.6.1+abc"
        self.role = "yes"
        self.good_tokens = {SESSION}
        self.login_says: tuple[int, dict[str, Any]] = (200, {"token": SESSION})
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path}"
        self.asked.append(asked)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        match asked:
            case "GET /api/version":
                return httpx.Response(200, json={"Version": self.version})
            case "POST /api/v1/session":
                status, body = self.login_says
                return httpx.Response(status, json=body)
            case "GET /auth/logout":
                return httpx.Response(303, headers={"Location": "/"})
        if bearer not in self.good_tokens:
            return httpx.Response(401, json={"message": "account admin does not have token with id id", "code": 16})
        if asked.startswith("GET /api/v1/account/can-i/"):
            return httpx.Response(200, json={"value": self.role})
        return httpx.Response(200, json=self.account)


class FakeCluster:
    """Secrets of one namespace; what is not here does not exist."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.refuses = False

    def put(self, name: str, labels: dict[str, str] | None = None, **data: str) -> None:
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        self.secrets[name] = {"metadata": {"name": name, "namespace": "ns", "labels": labels}, "data": encoded}

    def get(self, path: str) -> dict[str, Any] | None:
        if self.refuses:
            raise RbacError("no", "no")
        return self.secrets.get(path.rpartition("/")[2])


@pytest.fixture
def argocd() -> FakeArgoCD:
    return FakeArgoCD()


@pytest.fixture
def cluster() -> FakeCluster:
    fake = FakeCluster()
    fake.put("argocd-initial-admin-secret", password=PASSWORD)
    return fake


Look = Callable[..., Report]


@pytest.fixture
def check(argocd: FakeArgoCD, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Look:
    def connect(self: Laptop, server: Server, ca: str | None) -> ArgoCD:
        return ArgoCD(Transport(server, ca, httpx.MockTransport(argocd.answer)), self.deadline)

    monkeypatch.setattr(Laptop, "kubernetes", lambda _: cluster)
    monkeypatch.setattr(Laptop, "connect", connect)
    monkeypatch.setattr(Laptop, "open_way", lambda *_: "")

    def looked(*sets: str, **given: Any) -> Report:
        found = Report()
        look(Given(sets=sets, namespace="ns", timeout=5, **given), found)
        return found

    return looked


def row(report: Report, name: str) -> Row:
    return next(r for r in report.rows if r.name == name)


def test_a_good_account_is_all_green_after_one_login_that_is_ended(check: Look, argocd: FakeArgoCD) -> None:
    found = check()
    assert {r.state for r in found.rows} == {"ok"}, found.as_text(colours=False, plain_signs=False, width=200)
    assert found.exit_code == 0
    assert argocd.asked.count("POST /api/v1/session") == 1
    assert argocd.asked[-1] == "GET /auth/logout"


def test_nothing_is_ever_changed(check: Look, argocd: FakeArgoCD) -> None:
    check()
    assert [a for a in argocd.asked if not a.startswith("GET ")] == ["POST /api/v1/session"]


def test_a_stored_key_that_works_saves_the_login(check: Look, argocd: FakeArgoCD, cluster: FakeCluster) -> None:
    key = token()
    argocd.good_tokens = {key}
    labels = {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "rel"}
    state = json.dumps({"account": "admin", "url": "https://argocd-server"})
    cluster.put("argocd-token", labels, token=key, state=state)
    found = check()
    assert "POST /api/v1/session" not in argocd.asked
    assert "stored API key still works" in row(found, "Login").found
    assert found.exit_code == 0


def test_a_stored_key_that_was_revoked_leads_to_a_login(check: Look, argocd: FakeArgoCD, cluster: FakeCluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "rel"}
    state = json.dumps({"account": "admin", "url": "https://argocd-server"})
    cluster.put("argocd-token", labels, token=token(), state=state)
    assert check().exit_code == 0
    assert argocd.asked.count("POST /api/v1/session") == 1


@pytest.mark.parametrize(
    ("capabilities", "failing"),
    [(["login"], ["apiKey"]), (["apiKey"], ["login"]), ([], ["login", "apiKey"])],
)
def test_each_missing_capability_is_a_row_with_both_remedies(
    check: Look, argocd: FakeArgoCD, capabilities: list[str], failing: list[str]
) -> None:
    argocd.account["capabilities"] = capabilities
    found = check()
    assert [r.name for r in found.rows if r.state == "failed"] == failing
    assert found.exit_code == 77
    remedy = row(found, failing[0]).remedy
    assert "patch configmap argocd-cm" in remedy
    assert 'configs.cm."accounts.admin": apiKey, login' in remedy
    assert argocd.asked[-1] == "GET /auth/logout"


def test_a_lacking_api_key_capability_is_a_remark_when_the_hook_adds_it(check: Look, argocd: FakeArgoCD) -> None:
    argocd.account["capabilities"] = ["login"]
    found = check("hook.enableApiKey=true")
    assert (row(found, "apiKey").state, found.exit_code) == ("warning", 0)


def test_a_disabled_account_shows_as_such_though_the_login_is_refused(check: Look, argocd: FakeArgoCD) -> None:
    argocd.login_says = (401, {"message": "Account admin is disabled", "code": 16})
    found = check()
    assert [r.name for r in found.rows if r.state == "failed"] == ["Enabled"]
    assert "admin.enabled" in row(found, "Enabled").remedy
    assert found.exit_code == 77


def test_a_refused_password_is_sent_once(check: Look, argocd: FakeArgoCD, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hook.login.FASTEST_VERDICT", 0.0)
    argocd.login_says = (401, {"message": "Invalid username or password", "code": 16})
    found = check()
    assert argocd.asked.count("POST /api/v1/session") == 1
    assert row(found, "Login").state == "failed"
    assert row(found, "Account").state == "skipped"
    assert found.exit_code == 77


def test_a_missing_secret_is_named_with_the_command_that_makes_it(check: Look, cluster: FakeCluster) -> None:
    cluster.secrets.clear()
    failed = row(found := check(), "Credential")
    assert "argocd-initial-admin-secret" in failed.found
    assert "kubectl -n ns create secret generic argocd-initial-admin-secret" in failed.remedy
    assert found.exit_code == 78


def test_a_newline_at_the_end_of_the_password_is_a_remark(check: Look, cluster: FakeCluster) -> None:
    cluster.put("argocd-initial-admin-secret", password=PASSWORD + "\n")
    assert row(check(), "Credential").state == "warning"


def test_a_secret_that_may_not_be_read_can_be_given(check: Look, cluster: FakeCluster) -> None:
    cluster.refuses = True
    failed = check()
    assert (row(failed, "Credential").state, failed.exit_code) == ("failed", 77)
    assert "--set-file global.external-arg-cd.auth.password=FILE" in row(failed, "Credential").remedy
    given = check(f"global.external-arg-cd.auth.password={PASSWORD}")
    assert (given.exit_code, row(given, "API key Secret").state) == (0, "warning")


def test_a_foreign_secret_is_refused_and_whose_it_is_said(check: Look, cluster: FakeCluster) -> None:
    cluster.put("argocd-token", {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "other"})
    found = check()
    assert "other" in row(found, "API key Secret").found
    assert found.exit_code == 78


def test_a_secret_of_another_release_is_foreign_to_the_named_one(check: Look, cluster: FakeCluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "other"}
    cluster.put("argocd-token", labels, token=token())
    assert check(release="mine").exit_code == 78
    assert check(release="other").exit_code == 0


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (token(exp=4102444800), "expires"),
        (token(capability="login"), "login session"),
        ("no-token", "no JWT"),
        (token(), "refuses the API key"),
    ],
)
def test_tokens_that_can_not_work_are_refused(check: Look, argocd: FakeArgoCD, given: str, part: str) -> None:
    found = check("global.external-arg-cd.auth.type=token", f"global.external-arg-cd.auth.token={given}")
    [failed] = [r for r in found.rows if r.state == "failed"]
    assert part in failed.found
    assert "argocd account generate-token" in failed.remedy
    assert "POST /api/v1/session" not in argocd.asked


def test_a_good_token_needs_no_login_capability(check: Look, argocd: FakeArgoCD) -> None:
    argocd.good_tokens = {token("robot")}
    argocd.account.update(name="robot", capabilities=["apiKey"])
    found = check("global.external-arg-cd.auth.type=token", f"global.external-arg-cd.auth.token={token('robot')}")
    assert {r.state for r in found.rows} == {"ok"}
    assert "login" not in [r.name for r in found.rows]


def test_an_account_without_a_role_and_an_old_argocd_are_remarks(check: Look, argocd: FakeArgoCD) -> None:
    argocd.role, argocd.version = "no", "v2.13.4"
    found = check()
    assert [r.name for r in found.rows if r.state == "warning"] == ["Version", "RBAC role"]
    assert "policy.csv" in row(found, "RBAC role").remedy
    assert found.exit_code == 0


def test_values_that_the_schema_refuses_are_refused_before_anything_is_asked(check: Look, argocd: FakeArgoCD) -> None:
    found = check("global.external-arg-cd.auth.usernam=admin")
    assert "usernam" in row(found, "Values").found
    assert "username" in row(found, "Values").remedy
    assert (found.exit_code, argocd.asked) == (78, [])


def test_no_report_holds_the_credential(check: Look) -> None:
    found = check()
    shown = found.as_text(colours=True, plain_signs=False, width=80) + found.as_json()
    assert PASSWORD not in shown
    assert SESSION not in shown


def test_json_is_for_scripts(check: Look, argocd: FakeArgoCD) -> None:
    argocd.account["capabilities"] = ["login"]
    parsed = json.loads(check().as_json())
    assert (parsed["ok"], parsed["exitCode"]) == (False, 77)
    assert {"name", "state", "found", "remedy"} == set(parsed["checks"][0])


def test_a_server_that_is_no_url_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        run(Given(server="argocd.example.com"))


def test_the_command_line_becomes_what_check_is_given() -> None:
    line = "check -f a -f b --set c=1 --set-string d=2 --set-file e=3 -n ns --release r --context k -o json"
    options = vars(cli.parser().parse_args(line.split()))
    options.pop("command")
    given = Given(**options)
    assert (given.files, given.sets, given.strings, given.from_files) == (["a", "b"], ["c=1"], ["d=2"], ["e=3"])
    assert (given.namespace, given.release, given.kube_context, given.output) == ("ns", "r", "k", "json")


@pytest.mark.parametrize(
    ("url", "outside", "service"),
    [
        ("https://argocd-server", False, ("ns", "argocd-server", 443)),
        ("http://argocd-server.argocd:8080/x", False, ("argocd", "argocd-server", 8080)),
        ("https://argocd-server.argocd.svc", True, ("argocd", "argocd-server", 443)),
        ("https://argocd-server.argocd.svc.cluster.local", True, ("argocd", "argocd-server", 443)),
        ("https://argocd.example.com", True, None),
        ("https://argocd.example", True, None),
        ("http://localhost:8080", True, None),
        ("http://127.0.0.1:8080", True, None),
    ],
)
def test_only_services_are_reached_by_port_forward(url: str, outside: bool, service: object) -> None:
    assert service_of(url, outside, "ns") == service


def test_completion_knows_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", "bash"]) == 0
    assert "--set-string" in capsys.readouterr().out


def test_the_namespace_is_the_kubeconfigs_unless_given(tmp_path: Any) -> None:
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: 'https://x'}}]\n"
        "users: [{name: u, user: {}}]\ncontexts:\n- {name: a, context: {cluster: c, user: u, namespace: one}}\n"
        "- {name: b, context: {cluster: c, user: u}}\n"
    )
    assert laptop.default_namespace(Given(kubeconfig=str(config))) == "one"
    assert laptop.default_namespace(Given(kubeconfig=str(config), kube_context="b")) == "default"
    assert laptop.default_namespace(Given(kubeconfig=str(config), namespace="two")) == "two"
    assert laptop.default_namespace(Given(kubeconfig=str(tmp_path / "absent"))) == "default"
