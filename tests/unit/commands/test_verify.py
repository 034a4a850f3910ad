"""``verify``, what ``helm test`` runs: Argo CD accepts every consumer's own credential, or a row says why not."""

from typing import Any

import pytest

from tests.fakes.logins import Verdict
from tests.fakes.web import Answer, as_text
from tests.fakes.world import ACCOUNT, ONCE, PASSWORD, Run, World

FOUR = "app-proxy,sources-server,event-reporter,gitops-operator"
PAGE = Answer(200, b"<!doctype html><html>Please sign in</html>", {"Content-Type": "text/html"})


@pytest.fixture
def installed(world: World) -> World:
    world.install()
    world.remount()
    return world


def verify(world: World, *options: str, deployments: str = FOUR, **environ: str) -> Run:
    """Run it as the chart does; ``environ`` is laid over what the chart injects."""
    injected = {
        "ARGO_CD_URL": world.url,
        "ARGO_CD_TOKEN": world.token,
        "ARGO_CD_TOKEN_FILE": str(world.files / "key" / "token"),
        "ARGO_CD_USERNAME": ACCOUNT,
        "ARGO_CD_PASSWORD": PASSWORD,
    }
    files = ("--files", str(world.files))
    return world.run("verify", *files, "--deployments", deployments, *options, timing=ONCE, **injected | environ)


def rows(run: Run) -> list[list[str]]:
    """The table without its head, split at wide gaps."""
    return [[cell for cell in line.split("  ") if cell] for line in run.out.splitlines()[1:] if line]


def test_every_credential_has_a_row_and_all_are_accepted(installed: World) -> None:
    done = verify(installed)
    assert done.code == 0, done.said
    assert len(rows(done)) == 7, "one of app-proxy, two of each other Deployment"
    assert done.out.count("accepted") == 7
    assert done.out.count(ACCOUNT) == 7
    assert installed.argocd.live_sessions() == []
    assert installed.argocd.logins.verdicts() == [Verdict.OK] * 2, "the hook's and app-proxy's"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"ARGO_CD_PASSWORD": "wrong"}, 77),
        ({"ARGO_CD_TOKEN": "not a token"}, 78),
        ({"ARGO_CD_TOKEN": ""}, 78),
        ({"ARGO_CD_TOKEN_FILE": "/nonexistent"}, 78),
        ({"ARGO_CD_TOKEN_FILE": ""}, 78),
    ],
)
def test_one_that_is_not_accepted_fails_the_test_and_the_others_are_told_too(
    installed: World, environ: dict[str, str], code: int
) -> None:
    done = verify(installed, **environ)
    assert done.code == code
    assert len(rows(done)) == 7
    assert "accepted" in done.out


def test_a_revoked_key_is_77_and_named(installed: World) -> None:
    installed.argocd.revoke(ACCOUNT)
    done = verify(installed)
    assert done.code == 77
    assert "revoked" in done.out
    assert done.out.count("accepted") == 1, "app-proxy's password"


def test_a_refusal_counts_more_than_what_is_missing(installed: World) -> None:
    installed.argocd.revoke(ACCOUNT)
    assert verify(installed, ARGO_CD_TOKEN_FILE="/nonexistent").code == 77


def test_a_wrong_password_is_sent_once(installed: World) -> None:
    verify(installed, ARGO_CD_PASSWORD="wrong")
    assert installed.argocd.logins.verdicts()[1:] == [Verdict.WRONG]


def test_a_password_that_argocd_refused_lately_is_not_sent(world: World) -> None:
    world.give("wrong")
    world.install()
    world.remount()
    done = verify(world, deployments="app-proxy", ARGO_CD_PASSWORD="wrong")
    assert done.code == 77
    assert world.argocd.logins.verdicts() == [Verdict.WRONG]


@pytest.mark.parametrize("answer", [PAGE, Answer(302, b"", {"Location": "https://sso.example.invalid"})])
def test_no_credential_goes_to_what_is_not_argocd(installed: World, answer: Answer) -> None:
    installed.argocd.received.clear()
    installed.argocd.server.fault("/api/version$", answer=answer)
    assert verify(installed).code == 78
    assert installed.argocd.received == set()


def test_a_certificate_that_nobody_trusts_gets_nothing(installed: World) -> None:
    installed.trust(installed.other)
    installed.argocd.received.clear()
    assert verify(installed).code == 78
    assert installed.argocd.received == set()


def test_certificates_can_be_left_unchecked(installed: World) -> None:
    installed.trust(None)
    assert verify(installed, "--insecure-skip-verify").code == 0


def test_argocd_down_is_69(installed: World) -> None:
    installed.argocd.close()
    assert verify(installed).code == 69


def test_argocd_busy_is_no_refusal(installed: World) -> None:
    installed.argocd.server.fault("/account/", answer=as_text(503, "no"))
    assert verify(installed).code == 75


def test_without_a_url_it_says_where_it_belongs(world: World) -> None:
    done = world.run("verify", "--deployments", "app-proxy")
    assert done.code == 64
    assert "helm test" in done.remedy


# keeper.consumers: workloads of other charts


def takes(**container: Any) -> dict[str, Any]:
    volumes = container.pop("volumes", [])
    pod = {"containers": [{"name": "c", "image": "i", **container}], "volumes": volumes}
    labels = {"app": "x"}
    return {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}}


BY_VARIABLE = takes(
    env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "argocd-token", "key": "token"}}}]
)
BY_ALL_VARIABLES = takes(envFrom=[{"secretRef": {"name": "argocd-token"}}])
BY_VOLUME = takes(volumes=[{"name": "v", "secret": {"secretName": "argocd-token"}}])
NOT_AT_ALL = takes(env=[{"name": "T", "value": "x"}])


def verify_consumers(world: World, *names: str) -> Run:
    options = ("--consumers", ",".join(names), "--key-secret", "argocd-token", "--token-keys", "token")
    return verify(world, *options, deployments="")


@pytest.mark.parametrize("how", [BY_VARIABLE, BY_ALL_VARIABLES, BY_VOLUME])
@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
def test_a_consumer_of_another_chart_is_proven_by_the_key_that_it_takes(
    installed: World, kind: str, how: dict[str, Any]
) -> None:
    installed.put(installed.path_of(f"{kind}/cap-app-proxy"), how)
    done = verify_consumers(installed, f"{kind}/cap-app-proxy")
    assert done.code == 0, done.said
    assert "accepted" in done.out
    installed.argocd.revoke(ACCOUNT)
    assert verify_consumers(installed, f"{kind}/cap-app-proxy").code == 77


@pytest.mark.parametrize("there", [False, True])
def test_a_consumer_that_takes_no_key_from_the_secret_proves_nothing(installed: World, there: bool) -> None:
    if there:
        installed.put(installed.path_of("deployment/cap-app-proxy"), NOT_AT_ALL)
    done = verify_consumers(installed, "deployment/cap-app-proxy")
    assert done.code == 0, done.said
    assert "accepted" not in done.out
    assert "cap-app-proxy" in done.out
