"""``helm install`` where it can't work: what helm shows, the exit code, and that nothing stays behind."""

from collections.abc import Iterator

import jwt
import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import BLOCK, CHART, Runtime, runtime, within
from dev.sandbox import tools

KINDS = ("jobs", "pods", "deployments", "secrets", "configmaps", "serviceaccounts", "roles", "rolebindings")


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with runtime("e2e-refused") as made:
        yield made


@pytest.fixture
def refused(place: Runtime) -> Iterator[Runtime]:
    """One surrounding for all refusals; what a failed test leaves is cleared, so that the next one counts."""
    yield place
    place.helm("uninstall", "r", "--wait", "--ignore-not-found")


RECORD = "configmap/r-auth-refused"


def refuse(release: Runtime, code: int, *sets: str, program: str = "helm", recorded: bool = False) -> str:
    """Install, see it refused with ``code`` and nothing left behind, and return what helm printed.

    ``recorded``: the password was refused, and the record that keeps it from being sent again outlives uninstall.
    """
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
    others = {*left(release, *sorted({*KINDS} - {"jobs", "pods"}))}
    assert others <= {RECORD}, "the failed Job stays, to be read, and what was recorded of the login"
    release.helm("uninstall", "r", "--wait")
    stays = [RECORD] if recorded else []
    within(30, lambda: left(release, *KINDS) == stays, "uninstall clears the failed Job, and the clean-up itself")
    release.kubectl("delete", RECORD, "--ignore-not-found")
    return printed


def left(release: Runtime, *kinds: str) -> list[str]:
    """Return the release's objects of these kinds; helm's own record of a failed release is not one."""
    selector = "app.kubernetes.io/instance=r"
    return release.kubectl("get", ",".join(kinds), "-l", selector, "-o", "name").split()


@pytest.mark.parametrize("program", ["helm", "helm4"])
def test_refuses_an_account_without_api_key(refused: Runtime, program: str) -> None:
    refused.account("e2e-login-only")
    refused.give("e2e-login-only", "login")
    printed = refuse(refused, 77, *refused.sets("e2e-login-only"), program=str(tools.which(program)))
    assert "lacks the apiKey capability" in printed
    assert '\'{"data": {"accounts.e2e-login-only": "apiKey,login"}}\'' in printed.replace('\\"', '"')


def test_refuses_an_account_that_may_not_log_in(refused: Runtime) -> None:
    refused.account("e2e-key-only")
    refused.give("e2e-key-only", "apiKey")
    assert "lacks the login capability" in refuse(refused, 77, *refused.sets("e2e-key-only"))


def test_refuses_a_disabled_account(refused: Runtime) -> None:
    refused.account("e2e-disabled")
    refused.enable("e2e-disabled", enabled=False)
    assert "is disabled" in refuse(refused, 77, *refused.sets("e2e-disabled"))


def test_refuses_an_unknown_account(refused: Runtime) -> None:
    refused.secret("nobody", password="whatever")
    assert "the account does not exist" in refuse(refused, 77, *refused.sets("nobody"), recorded=True)


@pytest.mark.alone
def test_refuses_a_wrong_password_after_one_login(refused: Runtime) -> None:
    refused.secret("wrong", password="not-the-password")
    before = refused.login_failures()
    sets = refused.sets(**{f"{BLOCK}.auth.passwordSecretKeyRef.name": "wrong"})
    printed = refuse(refused, 77, *sets, recorded=True)
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
    missing = f'Secret "{secret}" in namespace {refused.name} does not exist, or its key "{key}" is missing or empty.'
    assert missing in printed.replace('\\"', '"')


def token_sets(release: Runtime, token: str) -> list[str]:
    release.secret("e2e-token", token=token)
    ref = f"{BLOCK}.auth.tokenSecretKeyRef"
    return release.sets(**{f"{BLOCK}.auth.type": "token", f"{ref}.name": "e2e-token", f"{ref}.key": "token"})


def test_refuses_a_revoked_token(refused: Runtime) -> None:
    token = refused.key_by_hand("to-be-revoked")
    refused.argocd.delete_key(refused.name, "to-be-revoked", refused.session)
    assert "has been revoked" in refuse(refused, 77, *token_sets(refused, token))


def test_refuses_a_token_that_expires(refused: Runtime) -> None:
    assert "expires" in refuse(refused, 78, *token_sets(refused, refused.key_by_hand("expiring", 3600)))
    refused.argocd.delete_key(refused.name, "expiring", refused.session)


def test_refuses_a_login_session_as_token(refused: Runtime) -> None:
    claims = jwt.decode(refused.session, options={"verify_signature": False})
    assert not claims["sub"].endswith(":apiKey"), "Argo CD calls a session's subject ACCOUNT or ACCOUNT:login"
    assert "login session" in refuse(refused, 78, *token_sets(refused, refused.session))


def test_refuses_when_argocd_cannot_be_reached(refused: Runtime) -> None:
    sets = refused.sets(hook__timeout="10", **{f"{BLOCK}.server.svc": "no-such-service.argocd"})
    assert "does not answer" in refuse(refused, 69, *sets)


def test_refuses_to_overwrite_somebody_elses_secret(refused: Runtime) -> None:
    refused.secret(KEY_SECRET, token="precious")
    printed = refuse(refused, 78, *refused.sets())
    assert "is not this release's" in printed
    path = path_of(refused.name, "secrets", KEY_SECRET)
    assert "data" in (refused.cluster.get(path) or {}), "uninstalling left it alone, too"
    refused.cluster.delete(path)
