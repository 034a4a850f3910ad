"""The table of docs/migration.md: what becomes of each value of the GitOps Runtime's own chart, and of its examples."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.chart import helm
from tests.docs.blocks import ROOT

OLD, NEW = "external-argo-cd", "integrations"


def old(**block: Any) -> dict[str, Any]:
    """Return values with the block that the vendor's chart reads up to 0.25."""
    return {"global": {OLD: block}}


def new(**server: Any) -> dict[str, Any]:
    """Return values with the block that the vendor's chart reads since 0.26."""
    return {"global": {NEW: {"argo-cd": {"server": server}}}}


SERVER = {"svc": "theirs.b", "port": 80, "rootpath": "/theirs"}
REF = {"name": "theirs", "key": "theirs"}
READ: dict[str, tuple[dict[str, Any], str | tuple[str, ...]]] = {
    f"`global.{OLD}.server.svc`, `.port`, `.rootpath`": (old(server=SERVER), "http://theirs.b/theirs"),
    f"`global.{OLD}.auth.type`": (old(auth={"type": "token", "token": "t"}), '"type":"token"'),
    f"`global.{OLD}.auth.username`": (old(auth={"username": "theirs"}), '"username":"theirs"'),
    f"`global.{OLD}.auth.password`": (
        old(auth={"password": "p"}),
        ("name: gitops-runtime-argo-cd-password", "  token: cA==", "  password: cA=="),
    ),
    f"`global.{OLD}.auth.passwordSecretKeyRef`": (old(auth={"passwordSecretKeyRef": REF}), '"name":"theirs"'),
    f"`global.{OLD}.auth.token`": (old(auth={"type": "token", "token": "t"}), "gitops-runtime-argo-cd-token"),
    f"`global.{OLD}.auth.tokenSecretKeyRef`": (
        old(auth={"type": "token", "tokenSecretKeyRef": REF}),
        '"name":"theirs"',
    ),
    f"`global.{NEW}.argo-cd.server.svc`, `.port`, `.rootpath`": (new(**SERVER), "http://theirs.b/theirs"),
    f"`global.{NEW}.argo-cd.server.auth`": (new(auth={"username": "theirs"}), '"username":"theirs"'),
    "`global.nodeSelector`, `.tolerations`, `.imageRegistry`, `.imagePullSecrets`, "
    "`.httpProxy`, `.httpsProxy`, `.noProxy`": (
        {
            "global": {
                "nodeSelector": {"theirs": "theirs"},
                "tolerations": [{"key": "theirs"}],
                "imageRegistry": "theirs.example.com",
                "imagePullSecrets": [{"name": "theirs"}],
                "httpProxy": "http://theirs:1",
                "httpsProxy": "http://theirs:2",
                "noProxy": "theirs",
            }
        },
        (
            "nodeSelector:\n        theirs: theirs",
            "tolerations:\n      - key: theirs",
            'image: "theirs.example.com/gitops-runtime-auth/gitops-runtime-auth:',
            "imagePullSecrets:\n      - name: theirs",
            'value: "http://theirs:1"',
            'value: "http://theirs:2"',
            'value: "theirs,localhost',
        ),
    ),
}
COMPANION = {"runtime": {"enabled": False}}
SECTIONS = (
    *("anchors", "argo-cd", "argo-events", "argo-gateway", "argo-rollouts", "argo-workflows", "cf-argocd-extras"),
    *("codefreshWorkflowLogStoreCM", "garage-workflows-artifact-storage", "installer", "internal-router"),
    *("redis", "redis-ha", "redis-secret-init", "sealed-secrets", "tunnel-client"),
)
LEFT_ALONE: dict[str, dict[str, Any]] = {
    f"`global.{OLD}.redis`, `.repoServer`": old(redis={"svc": "theirs"}, repoServer={"svc": "theirs"}),
    f"`global.{NEW}.argo-cd.server.image`, `.protocol`": new(image={"tag": "theirs"}, protocol="theirs"),
    ", ".join(f"`{name}`" for name in SECTIONS): {key: {"theirs": "theirs"} for key in SECTIONS},
    "`event-reporters`": {**COMPANION, "event-reporters": {"theirs": "theirs"}},
    "`app-proxy.config`, `app-proxy.image-enrichment`": {
        "app-proxy": {"config": {"theirs": "theirs"}, "image-enrichment": {"theirs": "theirs"}}
    },
    "everything below `app-proxy` and `gitops-operator`": {
        **COMPANION,
        "app-proxy": {"image": "theirs", "theirs": "theirs"},
        "gitops-operator": {"config": {"theirs": "theirs"}, "crds": {"theirs": "theirs"}},
    },
    "`gitops-operator.env`": {"gitops-operator": {"env": {"THEIRS": "theirs"}}},
    "other keys below `global`": {"global": {"theirs": {"theirs": "theirs"}}},
}
REFUSED: dict[str, dict[str, Any]] = {
    f"`global.{OLD}.auth.type`": old(auth={"type": "ldap"}),
    "`event-reporters`": {"event-reporters": {"theirs": "theirs"}},
    "other keys below `global`": {"global": {"external-argocd": {"auth": {"username": "theirs"}}}},
}


PASSWORD_REF = {"name": "argocd-initial-admin-secret", "key": "password"}
WHERE = {"svc": "argocd", "port": 80}
OTHERS = {"redis": {"svc": "argocd-redis", "port": 6379}, "repoServer": {"svc": "argocd-repo-server", "port": 8081}}
WHOLE_AUTH = {
    "type": "password",
    "username": "admin",
    "password": "",
    "passwordSecretKeyRef": PASSWORD_REF,
    "token": "",
    "tokenSecretKeyRef": {},
}
ADMIN = ("password", "admin", "argocd-initial-admin-secret", "password")
DEFAULT_URL = "https://argocd-server"
EXAMPLES: dict[str, tuple[dict[str, Any], str, tuple[str, str | None, str, str]]] = {
    "chart: an existing Argo CD": (
        old(server={**WHERE, "rootpath": ""}, auth=WHOLE_AUTH, **OTHERS) | {"argo-cd": {"enabled": False}},
        "http://argocd",
        ADMIN,
    ),
    "chart: before 0.26": (old(server={"svc": "argocd-server", "port": 80}), "http://argocd-server", ADMIN),
    "chart: since 0.26": (new(svc="argocd-server", port=80), "http://argocd-server", ADMIN),
    "chart: its defaults since 0.26": (
        new(svc="argo-cd-server", port=80, rootpath="", auth=WHOLE_AUTH),
        "http://argo-cd-server",
        ADMIN,
    ),
    "chart: its CI": (new(svc="argocd-server") | {"argo-cd": {"enabled": False}}, DEFAULT_URL, ADMIN),
    "prerequisites: services": (old(server=WHERE, **OTHERS), "http://argocd", ADMIN),
    "prerequisites: root path": (old(server={**WHERE, "rootpath": "/argocd"}), "http://argocd/argocd", ADMIN),
    "API token: a token's Secret": (
        old(auth={"type": "token", "tokenSecretKeyRef": {"name": "secret-name", "key": "secret-key"}}),
        DEFAULT_URL,
        ("token", None, "secret-name", "secret-key"),
    ),
    "API token: a password in plain text": (
        old(auth={"type": "password", "username": "user-name", "password": "explicit-password"}),
        DEFAULT_URL,
        ("password", "user-name", "gitops-runtime-argo-cd-password", "password"),
    ),
    "API token: a password's Secret": (
        old(
            auth={
                "type": "password",
                "username": "some-user-name",
                "passwordSecretKeyRef": {"name": "secret-name", "key": "secret-key"},
            }
        ),
        DEFAULT_URL,
        ("password", "some-user-name", "secret-name", "secret-key"),
    ),
    "manage runtimes: from Git": (
        {
            "global": {
                "codefresh": {"accountId": "1", "userToken": {"secretKeyRef": {"name": "user", "key": "token"}}},
                "runtime": {"name": "codefresh", "isConfigurationRuntime": True},
                OLD: {
                    "auth": {
                        "type": "token",
                        "tokenSecretKeyRef": {"name": "gitops-runtime-argo-cd-token", "key": "token"},
                    }
                },
            },
            "argo-cd": {"enabled": False},
        },
        DEFAULT_URL,
        ("token", None, "gitops-runtime-argo-cd-token", "token"),
    ),
}
"""What the vendor's chart (README, values, CI) and documentation (prerequisites, API token, manage runtimes) show."""


def rows() -> dict[str, str]:
    """Return the table: value, and what becomes of it."""
    text = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| (.*?) \| (.*) \|$", text, re.MULTILINE))
    return {value: fate for value, fate in found.items() if "`" in value}


def test_every_row_has_a_case() -> None:
    assert set(rows()) == {*READ, *LEFT_ALONE}


@pytest.mark.parametrize("value", READ)
def test_what_is_read_arrives(value: str) -> None:
    values, shown = READ[value]
    said = rows()[value]
    assert re.match(r"read\b|defaults for this chart's values\b", said)
    out = helm.template(values).out.replace('\\"', '"').replace('": "', '":"')
    assert [text for text in ((shown,) if isinstance(shown, str) else shown) if text not in out] == []


@pytest.mark.parametrize("value", LEFT_ALONE)
def test_what_is_left_alone_changes_nothing(value: str) -> None:
    assert rows()[value].startswith("left alone")
    done = helm.template(LEFT_ALONE[value])
    assert done.code == 0, done.err
    assert "theirs" not in done.out


def test_every_refusal_of_the_table_has_a_case() -> None:
    assert {value for value, fate in rows().items() if "refused" in fate} == set(REFUSED)


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_refused_is_refused(value: str) -> None:
    assert helm.template(REFUSED[value]).refusals() != []


@pytest.mark.parametrize("subchart", [False, True], ids=["alone", "as a subchart"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_of_the_vendors_renders_with_what_it_says(example: str, subchart: bool, tmp_path: Path) -> None:
    values, url, credential = EXAMPLES[example]
    chart = helm.CHART
    if subchart:
        chart = tmp_path
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: umbrella, version: 1.0.0}", encoding="utf-8")
        (chart / "charts").mkdir()
        (chart / "charts" / "gitops-runtime-auth").symlink_to(helm.CHART)
    for which in helm.HELMS:
        found = helm.settings(helm.render(values, helm=which, chart=chart))
        auth = found["values"]["global"]["external-arg-cd"]["auth"]
        taken = found["derived"]["credential"]
        assert found["derived"]["url"] == url
        assert (auth["type"], auth.get("username"), taken["name"], taken["key"]) == credential
