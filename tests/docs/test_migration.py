"""The table of docs/migration.md: what becomes of each value of the GitOps Runtime's own chart."""

import re
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
READ: dict[str, tuple[dict[str, Any], str]] = {
    f"`global.{OLD}.server.svc`, `.port`, `.rootpath`": (old(server=SERVER), "http://theirs.b/theirs"),
    f"`global.{OLD}.auth.type`": (old(auth={"type": "token", "token": "t"}), '"type":"token"'),
    f"`global.{OLD}.auth.username`": (old(auth={"username": "theirs"}), '"username":"theirs"'),
    f"`global.{OLD}.auth.password`": (old(auth={"password": "p"}), "gitops-runtime-argo-cd-password"),
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
        "theirs.example.com/gitops-runtime-auth/gitops-runtime-auth:",
    ),
}
LEFT_ALONE: dict[str, dict[str, Any]] = {
    f"`global.{OLD}.redis`, `.repoServer`": old(redis={"svc": "theirs"}, repoServer={"svc": "theirs"}),
    f"`global.{NEW}.argo-cd.server.image`, `.protocol`": new(image={"tag": "theirs"}, protocol="theirs"),
    "`argo-cd`, `argo-workflows`, `sealed-secrets`": {
        name: {"theirs": "theirs"} for name in ("argo-cd", "argo-workflows", "sealed-secrets")
    },
    "`app-proxy.config`, `app-proxy.image-enrichment`": {
        "app-proxy": {"config": {"theirs": "theirs"}, "image-enrichment": {"theirs": "theirs"}}
    },
    "`gitops-operator.env`": {"gitops-operator": {"env": {"THEIRS": "theirs"}}},
    "other keys below `global`": {"global": {"theirs": {"theirs": "theirs"}}},
}


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
    assert "read" in said or "defaults" in said
    out = helm.template(values).out.replace('\\"', '"').replace('": "', '":"')
    assert shown in out


@pytest.mark.parametrize("value", LEFT_ALONE)
def test_what_is_left_alone_changes_nothing(value: str) -> None:
    assert rows()[value].startswith("left alone")
    done = helm.template(LEFT_ALONE[value])
    assert done.code == 0, done.err
    assert "theirs" not in done.out
