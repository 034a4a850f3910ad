"""Privileges in ``ensure``: what an account lacks is named with what gives it, or given, and nothing is left behind."""

from dataclasses import replace

import pytest

from tests.fakes.logins import Verdict
from tests.fakes.web import Answer, as_json
from tests.fakes.world import ACCOUNT, CM, FAST, NO_RIGHT, World


def nothing_left(world: World) -> None:
    """Neither a key nor a Secret nor a session."""
    assert world.live() == []
    assert world.token == ""
    assert world.argocd.live_sessions() == []


@pytest.mark.parametrize(
    ("capabilities", "lacks"),
    [("login", "apiKey"), ("apiKey", "login"), ("", "login")],
    ids=["no apiKey", "no login", "neither"],
)
def test_a_missing_capability_is_named_with_the_commands_that_give_it(
    world: World, capabilities: str, lacks: str
) -> None:
    world.argocd.account(ACCOUNT, capabilities)
    done = world.install()
    assert done.code == 77
    assert done.problem == f"Argo CD account {ACCOUNT} lacks the {lacks} capability."
    assert "apiKey,login" in done.remedy.replace('", "', ""), "as Argo CD itself writes it"
    assert "kubectl" in done.remedy
    nothing_left(world)


@pytest.mark.parametrize("kind", ["password", "token"])
def test_where_argocd_names_the_lacking_capability_only_the_remedy_takes_no_other_away(world: World, kind: str) -> None:
    """Argo CD refuses a key because of ``apiKey``, without a word about ``login``."""
    world.begin_installed()
    if kind == "token":
        world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    world.argocd.account(ACCOUNT, "login")
    done = world.upgrade()
    assert done.problem == f"Argo CD account {ACCOUNT} lacks the apiKey capability."
    assert f'"accounts.{ACCOUNT}": "apiKey,login"' in done.remedy


def test_the_capabilities_of_admin_come_twice_and_are_enough(world: World) -> None:
    world.argocd.account("admin", "apiKey, login")
    world.use("admin")
    done = world.install()
    assert done.code == 0, done.said


@pytest.mark.parametrize("stored", [False, True], ids=["first install", "with a stored key"])
def test_a_disabled_account_is_told_without_a_further_login(world: World, stored: bool) -> None:
    if stored:
        world.install()
    key, logins = world.key, len(world.argocd.logins.seen)
    world.argocd.accounts.enable(ACCOUNT, False)
    for _ in range(3):
        done = world.upgrade()
        assert done.code == 77
        assert done.problem == f"Argo CD account {ACCOUNT} is disabled."
        assert f"accounts.{ACCOUNT}.enabled" in done.remedy
    if stored:
        assert len(world.argocd.logins.seen) == logins, "the key tells: it works again once the account is enabled"
        world.argocd.accounts.enable(ACCOUNT)
        assert world.upgrade().code == 0
        assert world.key == key


def test_an_account_that_shows_as_disabled_is_told_though_its_session_is_accepted(world: World) -> None:
    """By a replica of argocd-server that lags."""
    shown = {"name": ACCOUNT, "enabled": False, "capabilities": ["apiKey", "login"]}
    world.argocd.server.fault(f"GET .*/account/{ACCOUNT}$", answer=as_json(200, shown))
    done = world.install()
    assert (done.code, done.problem) == (77, f"Argo CD account {ACCOUNT} is disabled.")
    assert f'"accounts.{ACCOUNT}.enabled": "true"' in done.remedy
    nothing_left(world)


@pytest.mark.parametrize("switch", ["admin.enabled", "accounts.admin.enabled"])
def test_both_switches_of_admin_are_named(world: World, switch: str) -> None:
    """In Argo CD 3.6 the second overrides the first, so a remedy with the first alone may change nothing."""
    world.argocd.account("admin", "apiKey, login")
    world.use("admin")
    world.argocd.accounts.cm[switch] = "false"
    done = world.install()
    assert done.code == 77
    assert "accounts.admin.enabled" in done.remedy


def test_an_account_that_vanished_keeps_its_key_for_its_return(world: World) -> None:
    """Argo CD keeps the keys of an account whose entry in argocd-cm is removed: the entry makes them valid again."""
    world.begin_installed()
    key, logins = world.key, len(world.argocd.logins.seen)
    world.argocd.accounts.vanish(ACCOUNT)
    done = world.upgrade()
    assert done.code == 77
    assert done.problem == f"Argo CD has no account {ACCOUNT} (any more); its keys work again if it is added again."
    assert f'"accounts.{ACCOUNT}": "apiKey,login"' in done.remedy
    assert len(world.argocd.logins.seen) == logins
    world.argocd.account(ACCOUNT)
    assert world.upgrade().code == 0
    assert world.key == key


def test_an_account_whose_role_sees_no_applications_is_warned_of(world: World) -> None:
    done = world.install()
    assert done.code == 0
    [warning] = done.warnings
    assert warning.startswith(f"Argo CD account {ACCOUNT} may not see all applications. ")
    assert warning.count(f'"policy.gitops-runtime-auth-{ACCOUNT}.csv": ') == 1
    assert "policy.csv" not in warning, "that key would be replaced as a whole"


def test_an_account_that_sees_all_is_not_warned_of(world: World) -> None:
    world.argocd.may_see.add(ACCOUNT)
    assert not any("applications" in w for w in world.install().warnings)


def test_a_question_that_only_warns_fails_nothing(world: World) -> None:
    page = Answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"})
    world.argocd.server.fault("GET .*/can-i/", answer=page)
    done = world.install()
    assert done.code == 0
    assert done.warnings[0].startswith(f"Whether account {ACCOUNT} may see applications could not be asked: ")
    assert world.live() == [world.key]


def test_a_capability_that_another_replica_does_not_show_yet_is_asked_for_again(world: World) -> None:
    """The account showed ``apiKey`` a moment ago, by another replica."""
    lags = as_json(500, {"code": 2, "message": "account 'runtime' does not have apiKey capability"})
    world.argocd.server.fault("POST .*/token$", times=3, answer=lags)
    done = world.install()
    assert done.code == 0, done.said
    assert f"Creating the API key: Argo CD account {ACCOUNT} lacks the apiKey capability. It showed it a" in done.log
    world.argocd.revoke(ACCOUNT)
    world.argocd.server.fault("POST .*/token$", answer=lags)
    done = world.upgrade(replace(FAST, fresh_shows=0.1))
    assert done.code == 77
    assert "apiKey" in done.problem
    assert world.live() == []


def test_a_capability_that_goes_before_the_new_key_is_proven_is_told_and_the_key_is_revoked(world: World) -> None:
    takes_away = {"skip": 1, "times": 1, "does": lambda: world.argocd.account(ACCOUNT, "login")}
    world.argocd.server.fault(f"GET .*/account/{ACCOUNT}$", **takes_away)
    done = world.install(replace(FAST, fresh_shows=0.1))
    assert (done.code, done.problem) == (77, f"Argo CD account {ACCOUNT} lacks the apiKey capability.")
    nothing_left(world)


@pytest.mark.parametrize("may_read", [True, False])
def test_beside_argocd_the_remedy_is_the_one_that_lasts(world: World, may_read: bool) -> None:
    """In Argo CD's own namespace the hook may read who manages argocd-cm; where it may not, the remedy is the usual."""
    world.argocd_namespace = world.namespace
    path = CM.replace("/argocd/", f"/{world.namespace}/")
    helm = {"meta.helm.sh/release-name": "argo-cd", "meta.helm.sh/release-namespace": world.namespace}
    world.put(path, {"metadata": {"annotations": helm}})
    if not may_read:
        world.kubernetes.fault(f"GET {path}$", answer=NO_RIGHT)
    world.argocd.accounts.enable(ACCOUNT, False)
    done = world.install()
    assert done.code == 77
    assert ("Helm release argo-cd manages" in done.remedy) is may_read
    assert f"accounts.{ACCOUNT}.enabled" in done.remedy.replace("\\", "")


# hook.enableApiKey


@pytest.fixture
def enabling(world: World) -> World:
    """An account that may only log in, and a hook that may change that."""
    world.argocd.account(ACCOUNT, "login")
    world.set("hook.enableApiKey", True)
    return world


def test_the_missing_capability_is_added_and_the_others_stay(enabling: World) -> None:
    before = dict(enabling.argocd.accounts.cm)
    done = enabling.install()
    assert done.code == 0, done.said
    assert (
        f"Added accounts.{ACCOUNT}: apiKey,login to ConfigMap argocd-cm in namespace argocd." in done.log.splitlines()
    )
    after = dict(enabling.argocd.accounts.cm)
    assert {c.strip() for c in after.pop(f"accounts.{ACCOUNT}").split(",")} == {"apiKey", "login"}
    before.pop(f"accounts.{ACCOUNT}")
    assert after == before
    assert enabling.argocd.logins.verdicts() == [Verdict.OK]


def test_a_capability_that_is_there_is_not_added_again(enabling: World) -> None:
    """Somebody else may manage argocd-cm, so the hook does not write it without need."""
    enabling.argocd.account(ACCOUNT, "apiKey, login")
    assert enabling.install().code == 0
    assert enabling.kubernetes.server.asked(f"PATCH {CM}") == []


def test_only_apikey_is_ever_added(enabling: World) -> None:
    """``login`` is how the password serves: giving that is the user's decision."""
    enabling.argocd.account(ACCOUNT, "apiKey")
    before = dict(enabling.argocd.accounts.cm)
    assert enabling.install().code == 77
    assert dict(enabling.argocd.accounts.cm) == before


def test_what_argocd_shows_late_is_waited_for(enabling: World) -> None:
    enabling.argocd.accounts.cm_shows_after = 0.1
    done = enabling.install()
    assert done.code == 0, done.said


def test_a_replica_that_lags_is_not_taken_for_somebody_who_takes_it_back(enabling: World) -> None:
    without = as_json(200, {"name": ACCOUNT, "enabled": True, "capabilities": ["login"]})
    account = f"GET .*/api/v1/account/{ACCOUNT}$"
    enabling.kubernetes.fault(
        f"PATCH {CM}$", does=lambda: enabling.argocd.server.fault(account, skip=1, times=3, answer=without)
    )
    done = enabling.install()
    assert done.code == 0, done.said
    assert enabling.argocd.accepts(enabling.token)


def test_what_argocd_never_shows_ends_without_key_and_secret(enabling: World) -> None:
    enabling.argocd.accounts.cm_shows_after = 3600
    done = enabling.install(replace(FAST, capability_shows=0.1))
    assert done.code == 75
    assert done.problem == (
        f"Argo CD does not show accounts.{ACCOUNT} yet, 0 s after apiKey was added to ConfigMap argocd-cm in namespace"
        " argocd."
    )
    assert done.remedy == ("Check hook.argocdNamespace, and that nothing (GitOps) removes the entry, then try again.")
    nothing_left(enabling)


def test_somebody_who_takes_it_out_again_is_told_of_and_nothing_is_left(enabling: World) -> None:
    """Argo CD has shown it by then."""
    enabling.kubernetes.fault(f"GET {CM}$", skip=1, does=lambda: enabling.argocd.account(ACCOUNT, "login"))
    done = enabling.install()
    assert done.code == 77
    assert done.problem == (
        f"Somebody took accounts.{ACCOUNT} out of ConfigMap argocd-cm in namespace argocd again, right after it was"
        " added."
    )
    assert done.remedy == (
        "Add it where that ConfigMap is managed (an operator, GitOps, Argo CD's Helm chart): gitops-runtime-auth check"
        " names the manager and the command."
    )
    nothing_left(enabling)


def test_an_operator_that_takes_it_back_is_told_of_and_nothing_is_left(enabling: World) -> None:
    """It shows for a moment, long enough to make a key: seen under argocd-operator."""
    enabling.kubernetes.fault(
        f"PATCH {CM}$", does=lambda: enabling.later(0.01, lambda: enabling.argocd.account(ACCOUNT, "login"))
    )
    done = enabling.install()
    assert done.code in (75, 77), done.said  # it showed for a moment, or the operator was faster than Argo CD
    nothing_left(enabling)


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"meta.helm.sh/release-name": "argo-cd", "meta.helm.sh/release-namespace": "argocd"}},
        {
            "ownerReferences": [
                {"apiVersion": "argoproj.io/v1beta1", "kind": "ArgoCD", "name": "instance", "controller": True}
            ]
        },
        {"annotations": {"argocd.argoproj.io/tracking-id": "argocd:/ConfigMap:argocd/argocd-cm"}},
    ],
    ids=["Helm", "argocd-operator", "Argo CD itself"],
)
def test_a_configmap_that_somebody_manages_is_not_changed(enabling: World, metadata: dict[str, object]) -> None:
    enabling.edit(CM, **metadata)
    done = enabling.install()
    assert done.code == 77, done.said
    assert done.problem.startswith("hook.enableApiKey does not change ConfigMap argocd-cm in namespace argocd: ")
    assert "apiKey,login" in done.remedy
    assert enabling.argocd.accounts.cm[f"accounts.{ACCOUNT}"] == "login"
    nothing_left(enabling)


def test_a_wrong_namespace_of_argocd_is_named(enabling: World) -> None:
    enabling.argocd_namespace = "elsewhere"
    done = enabling.install()
    assert done.code == 78
    assert done.problem == "There is no ConfigMap argocd-cm in namespace elsewhere."
    assert done.remedy == "Set hook.argocdNamespace to the namespace that Argo CD runs in."
    nothing_left(enabling)


def test_a_disabled_account_is_not_touched_and_costs_no_second_login(enabling: World) -> None:
    enabling.argocd.account(ACCOUNT)
    enabling.install()
    logins = len(enabling.argocd.logins.seen)
    enabling.argocd.accounts.enable(ACCOUNT, False)
    before = dict(enabling.argocd.accounts.cm)
    assert enabling.upgrade().code == 77
    assert dict(enabling.argocd.accounts.cm) == before
    assert len(enabling.argocd.logins.seen) == logins


def test_an_account_that_lost_apikey_gets_it_back_and_keeps_its_key(enabling: World) -> None:
    enabling.argocd.account(ACCOUNT)
    enabling.install()
    key = enabling.key
    enabling.argocd.account(ACCOUNT, "login")
    done = enabling.upgrade()
    assert done.code == 0, done.said
    assert enabling.argocd.accepts(enabling.token)
    assert enabling.live() == [enabling.key]
    assert (enabling.key, len(enabling.argocd.made)) == (key, 1)
