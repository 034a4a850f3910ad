"""The main job: ``helm install`` connects a Runtime to a real Argo CD, or refuses and says what to do."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from hook import store, tokens
from hook.cluster import secret_path
from tests.e2e.runtime import BLOCK, CHART, CONFIG, CONSUMERS, Runtime, runtime, within
from tests.sandbox import tools

VARIANTS = ("password inline", "password in a Secret", "token inline", "token in a Secret")
HELMS = ("helm", "helm4")


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(tools.which(request.param))


@pytest.fixture
def fresh() -> Iterator[Runtime]:
    with runtime("e2e-install") as made:
        yield made


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with runtime("e2e-refused") as made:
        yield made


@pytest.fixture
def refused(place: Runtime) -> Iterator[Runtime]:
    """One surrounding for all refusals; what a failed test leaves is cleared, so that the next one counts."""
    yield place
    place.helm("uninstall", "r", "--wait", "--ignore-not-found")


def kubectl(*words: str) -> str:
    command = [str(tools.which("kubectl")), f"--kubeconfig={CONFIG}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def environment(release: Runtime, service: str) -> dict[str, str]:
    """Return what the Deployment's own container sees."""
    program = "import json,os;print(json.dumps(dict(os.environ)))"
    words = ("-n", release.name, "exec", f"deploy/r-{service}", "--", "/app/bin/python", "-c", program)
    found: dict[str, str] = json.loads(kubectl(*words))
    return found


def new_key(release: Runtime, key_id: str, seconds: int = 0) -> str:
    """Make an API key by hand, as a user does with argocd account generate-token."""
    body = {"name": release.name, "id": key_id, "expiresIn": seconds}
    path = f"/api/v1/account/{release.name}/token"
    answer = release.argocd.send("POST", path, bearer=release.session, body=body, timeout=10).json
    return str(answer["token"])


def values(release: Runtime, variant: str) -> list[str]:
    """Return the --set arguments of a variant, and make the Secret that it refers to."""
    kind = variant.split()[0]
    secret = f"password-of-{release.name}" if kind == "password" else new_key(release, "by-hand")
    sets = release.sets(**{f"{BLOCK}.auth.type": kind})
    if "inline" in variant:
        return [*sets, "--set-string", f"{BLOCK}.auth.{kind}={secret}"]
    release.secret("my-credential", mine=secret)
    ref = f"{BLOCK}.auth.{kind}SecretKeyRef"
    return [*sets, "--set", f"{ref}.name=my-credential,{ref}.key=mine"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_comes_up_and_each_deployments_own_credential_is_accepted(
    fresh: Runtime, variant: str, helm: str
) -> None:
    fresh.install(*values(fresh, variant), program=helm)
    for service in CONSUMERS:
        seen = environment(fresh, service)
        assert fresh.argocd.account(fresh.name, seen["ARGO_CD_TOKEN"]).name == fresh.name
        assert seen["ARGO_CD_URL"] == "https://argocd-server.argocd"
        assert seen["ARGOCD_SERVER"] == "argocd-server.argocd:443"
    proxy = environment(fresh, "app-proxy")
    if variant.startswith("password"):
        assert "ARGO_CD_TOKEN" not in proxy
        fresh.argocd.logout(fresh.argocd.login(proxy["ARGO_CD_USERNAME"], proxy["ARGO_CD_PASSWORD"]))
        (key,) = fresh.argocd.account(fresh.name, fresh.session).keys
        assert key.expires_at == 0
    else:
        assert not {"ARGO_CD_USERNAME", "ARGO_CD_PASSWORD"} & set(proxy)
        assert fresh.argocd.account(fresh.name, proxy["ARGO_CD_TOKEN"]).name == fresh.name
        assert fresh.keys() == ["by-hand"], "with a token of the user's, no key is made"


def test_type_on_the_command_line_decides_whatever_the_values_file_leaves_over(fresh: Runtime) -> None:
    token = new_key(fresh, "by-hand")
    both = [*fresh.sets(), "--set-string", f"{BLOCK}.auth.token={token}"]
    fresh.install(*both, "--set", f"{BLOCK}.auth.type=token")
    assert environment(fresh, "sources-server")["ARGO_CD_TOKEN"] == token
    fresh.install(*both, "--set", f"{BLOCK}.auth.type=password")
    assert environment(fresh, "sources-server")["ARGO_CD_TOKEN"] != token
    assert fresh.works()


def test_upgrades_keep_the_key_and_replace_a_revoked_one(fresh: Runtime) -> None:
    sets = fresh.sets(keeper__interval="3600")
    fresh.install(*sets)
    first = fresh.key()
    for _ in range(2):
        fresh.install(*sets)
        assert fresh.key() == first
    assert first is not None
    fresh.argocd.delete_key(first.account, first.key_id(), fresh.session)
    fresh.install(*sets)
    second = fresh.key()
    assert second is not None
    assert fresh.keys() == [second.key_id()] != [first.key_id()]


def refuse(release: Runtime, code: int, *sets: str, program: str = "helm") -> str:
    """Install, see it refused with ``code`` and nothing left behind, and return what helm printed."""
    before = release.keys()
    printed = release.helm("install", "r", CHART, "--timeout", "90s", *sets, program=program, check=False)
    assert "INSTALLATION FAILED" in printed, printed
    assert "What to do: " in printed
    path = f"/api/v1/namespaces/{release.name}/pods?labelSelector=app.kubernetes.io/instance=r"
    pods = (release.cluster.get(path) or {})["items"]
    states = [c["state"].get("terminated") or {} for p in pods for c in p["status"].get("containerStatuses") or []]
    assert [s.get("exitCode") for s in states] == [code], "one pod, one attempt"
    assert states[0]["message"].splitlines()[0] in printed, "the termination message is what helm shows"
    assert release.keys() == before
    deployments = release.cluster.get(f"/apis/apps/v1/namespaces/{release.name}/deployments") or {}
    assert not deployments["items"]
    assert left(release, *sorted({*KINDS} - {"jobs", "pods"})) == [], "the failed Job alone stays, to be read"
    release.helm("uninstall", "r", "--wait")
    within(30, lambda: left(release, *KINDS) == [], "uninstall clears the failed Job, and the clean-up itself")
    return printed


KINDS = ("jobs", "pods", "deployments", "secrets", "configmaps", "serviceaccounts", "roles", "rolebindings")


def left(release: Runtime, *kinds: str) -> list[str]:
    """Return the release's objects of these kinds; helm's own record of a failed release is not one."""
    selector = "app.kubernetes.io/instance=r"
    return kubectl("-n", release.name, "get", ",".join(kinds), "-l", selector, "-o", "name").split()


@pytest.mark.parametrize("program", HELMS)
def test_refuses_an_account_without_api_key(refused: Runtime, program: str) -> None:
    refused.account("e2e-login-only")
    refused.cluster.patch(
        "/api/v1/namespaces/argocd/configmaps/argocd-cm", {"data": {"accounts.e2e-login-only": "login"}}
    )
    within(10, lambda: refused.argocd.account("e2e-login-only", refused.session).capabilities == {"login"})
    printed = refuse(refused, 77, *refused.sets("e2e-login-only"), program=str(tools.which(program)))
    assert "lacks the apiKey capability" in printed
    assert '{\\"data\\"' in printed or '{"data"' in printed


def test_refuses_an_account_that_may_not_log_in(refused: Runtime) -> None:
    refused.account("e2e-key-only")
    refused.cluster.patch(
        "/api/v1/namespaces/argocd/configmaps/argocd-cm", {"data": {"accounts.e2e-key-only": "apiKey"}}
    )
    within(10, lambda: refused.argocd.account("e2e-key-only", refused.session).capabilities == {"apiKey"})
    assert "lacks the login capability" in refuse(refused, 77, *refused.sets("e2e-key-only"))


def test_refuses_a_disabled_account(refused: Runtime) -> None:
    refused.account("e2e-disabled")
    refused.enable("e2e-disabled", enabled=False)
    within(10, lambda: not refused.argocd.account("e2e-disabled", refused.session).enabled)
    assert "is disabled" in refuse(refused, 77, *refused.sets("e2e-disabled"))


def test_refuses_an_unknown_account(refused: Runtime) -> None:
    refused.secret("nobody", password="whatever")
    assert "the account does not exist" in refuse(refused, 77, *refused.sets("nobody"))


@pytest.mark.alone
def test_refuses_a_wrong_password_after_one_login(refused: Runtime) -> None:
    refused.secret("wrong", password="not-the-password")
    before = refused.login_failures()
    sets = refused.sets(**{f"{BLOCK}.auth.passwordSecretKeyRef.name": "wrong"})
    printed = refuse(refused, 77, *sets)
    assert "the password is wrong" in printed
    assert "locked for 5 minutes" in printed
    assert "not-the-password" not in printed
    assert refused.login_failures() - before == 1, "helm uninstall, which refuse() ends with, does not send it again"


@pytest.mark.parametrize(
    ("secret", "key"), [("no-such", "password"), ("e2e-partial", "no-such"), ("e2e-partial", "empty")]
)
def test_refuses_a_secret_that_is_not_there_or_lacks_its_key(refused: Runtime, secret: str, key: str) -> None:
    refused.secret("e2e-partial", other="x", empty="")
    ref = f"{BLOCK}.auth.passwordSecretKeyRef"
    printed = refuse(refused, 78, *refused.sets(**{f"{ref}.name": secret, f"{ref}.key": key}))
    assert secret in printed
    assert key in printed


def token_sets(release: Runtime, token: str) -> list[str]:
    release.secret("e2e-token", token=token)
    ref = f"{BLOCK}.auth.tokenSecretKeyRef"
    return release.sets(**{f"{BLOCK}.auth.type": "token", f"{ref}.name": "e2e-token", f"{ref}.key": "token"})


def test_refuses_a_revoked_token(refused: Runtime) -> None:
    token = new_key(refused, "to-be-revoked")
    refused.argocd.delete_key(refused.name, "to-be-revoked", refused.session)
    assert "has been revoked" in refuse(refused, 77, *token_sets(refused, token))


def test_refuses_a_token_that_expires(refused: Runtime) -> None:
    assert "expires" in refuse(refused, 78, *token_sets(refused, new_key(refused, "expiring", 3600)))
    refused.argocd.delete_key(refused.name, "expiring", refused.session)


def test_refuses_a_login_session_as_token(refused: Runtime) -> None:
    claims = tokens.read(refused.session)
    assert claims is not None
    assert claims.capability == "login"
    assert "login session" in refuse(refused, 78, *token_sets(refused, refused.session))


def test_refuses_when_argocd_cannot_be_reached(refused: Runtime) -> None:
    sets = refused.sets(hook__timeout="10", **{f"{BLOCK}.server.svc": "no-such-service.argocd"})
    assert "does not answer" in refuse(refused, 69, *sets)


def test_refuses_to_overwrite_somebody_elses_secret(refused: Runtime) -> None:
    refused.secret(store.NAME, token="precious")
    printed = refuse(refused, 78, *refused.sets())
    assert "is not this release's" in printed
    path = secret_path(refused.name, store.NAME)
    assert "data" in (refused.cluster.get(path) or {}), "uninstalling left it alone, too"
    refused.cluster.delete(path)
