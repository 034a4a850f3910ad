"""The three spellings of the block: which counts, what becomes of the others, and release names that are refused."""

from typing import Any

import pytest

from tests.chart import helm
from tests.chart.test_environment import environment

FIRST, SECOND, THIRD = "global.external-arg-cd", "global.external-argo-cd", "global.integrations.argo-cd.server"


def spelt(**blocks: dict[str, Any]) -> dict[str, Any]:
    """Return ``global`` with blocks in the spellings ``first``, ``second`` and ``third``."""
    found: dict[str, Any] = {}
    if "first" in blocks:
        found["external-arg-cd"] = blocks["first"]
    if "second" in blocks:
        found["external-argo-cd"] = blocks["second"]
    if third := blocks.get("third"):
        auth = {"auth": third["auth"]} if "auth" in third else {}
        found["integrations"] = {"argo-cd": {"server": {**third.get("server", {}), **auth}}}
    return {"global": found}


ALICE: dict[str, Any] = {"auth": {"username": "alice"}}
BOB: dict[str, Any] = {"auth": {"username": "bob"}, "server": {"svc": "argocd.b"}}
TOKEN: dict[str, Any] = {"auth": {"type": "token", "token": "t"}}
ONLY_TOKEN: dict[str, Any] = {"auth": {"type": "token"}}
ONLY_PASSWORD: dict[str, Any] = {"auth": {"type": "password"}}
BOTH: dict[str, Any] = {"auth": {"username": "alice", "tokenSecretKeyRef": {"name": "mine", "key": "k"}}}


@pytest.mark.parametrize(
    ("blocks", "name", "kind", "who"),
    [
        ({}, FIRST, "password", "admin"),
        ({"first": {}}, FIRST, "password", "admin"),
        ({"first": ALICE}, FIRST, "password", "alice"),
        ({"second": ALICE}, SECOND, "password", "alice"),
        ({"third": ALICE}, THIRD, "password", "alice"),
        ({"first": ALICE, "second": BOB, "third": TOKEN}, FIRST, "password", "alice"),
        ({"second": ALICE, "third": TOKEN}, SECOND, "password", "alice"),
        ({"first": {}, "second": {}, "third": TOKEN}, THIRD, "token", None),
        ({"first": {"auth": {}, "server": {}}, "second": BOB}, SECOND, "password", "bob"),
        # One that says only the type sets the type of the one that counts, wherever it stands.
        ({"first": ONLY_TOKEN, "second": BOTH}, SECOND, "token", None),
        ({"first": BOTH, "second": ONLY_TOKEN}, FIRST, "token", None),
        ({"first": BOTH, "third": ONLY_TOKEN}, FIRST, "token", None),
        ({"first": ONLY_PASSWORD, "third": TOKEN}, THIRD, "password", "admin"),
        ({"first": ONLY_PASSWORD, "second": ONLY_TOKEN, "third": TOKEN}, THIRD, "password", "admin"),
        ({"first": ONLY_PASSWORD}, FIRST, "password", "admin"),
        # A block that says where, and no other that says who: the defaults authenticate.
        ({"second": {"server": {"svc": "argocd.b"}}}, SECOND, "password", "admin"),
        ({"second": {"redis": {"svc": "a"}}}, SECOND, "password", "admin"),
    ],
)
def test_which_spelling_counts(blocks: dict[str, Any], name: str, kind: str, who: str | None) -> None:
    manifests = helm.render(spelt(**blocks))
    document = helm.settings(manifests)
    auth = document["values"]["global"]["external-arg-cd"]["auth"]
    assert (document["derived"]["block"], auth["type"], auth.get("username")) == (name, kind, who)
    assert environment(manifests, "app-proxy").get("ARGO_CD_USERNAME") == who


@pytest.mark.parametrize("third", [False, True])
def test_the_block_that_counts_counts_as_a_whole_over_the_defaults(third: bool) -> None:
    block = {
        # Only the Runtime's own chart reads the last two.
        "server": {"svc": "argocd.b", "port": 80, "rootpath": "/x", "protocol": "http", "image": {"tag": "v1"}},
        "auth": {"passwordSecretKeyRef": {"name": "mine"}},
    }
    blocks = (
        {"third": block} if third else {"first": block, "second": {"server": {"insecureSkipVerify": True}, **TOKEN}}
    )
    found = helm.settings(helm.render(spelt(**blocks)))["values"]["global"]["external-arg-cd"]
    assert found == {
        "server": {
            "svc": "argocd.b",
            "port": 80,
            "rootpath": "/x",
            "url": "",
            "insecureSkipVerify": False,
            "caSecretKeyRef": {"name": "argocd-secret", "key": "tls.crt"},
        },
        "auth": {
            "type": "password",
            "username": "admin",
            "passwordSecretKeyRef": {"name": "mine", "key": "password"},
        },
    }


def test_a_type_on_the_command_line_works_on_top_of_any_spelling() -> None:
    for spelling in ("first", "second", "third"):
        for flag in (f"{FIRST}.auth.type=token", f"{SECOND}.auth.type=token", f"{THIRD}.auth.type=token"):
            document = helm.settings(helm.render(spelt(**{spelling: BOTH}), "--set", flag))
            assert document["values"]["global"]["external-arg-cd"]["auth"]["type"] == "token", (spelling, flag)


@pytest.mark.parametrize(
    ("release", "made"),
    [
        ("runtime", "runtime-event-reporter"),
        ("cluster", "cluster-event-reporter"),
        ("cap", "cap-app-proxy"),
    ],
)
def test_release_names_that_make_a_deployment_of_the_runtimes_own_chart_are_refused(release: str, made: str) -> None:
    for name in helm.HELMS:
        run = helm.template({}, release=release, helm=name)
        assert (run.code, run.out) == (1, "")
        assert run.refusals()[0].startswith(f"Release name {release} would make Deployment {made}, which is a name")
    assert helm.template({"runtime": {"enabled": False}}, release=release).code == 0
    service = made.removeprefix(f"{release}-")
    assert helm.template({service: {"enabled": False}}, release=release).code == 0


def test_other_release_names_are_fine() -> None:
    for release in ("runtime-auth", "captain", "gitops"):
        assert helm.template({}, release=release).code == 0
