"""Each remedy for each owner: the command in it is taken apart as a shell and the programs themselves would."""

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.sandbox.tools import CURRENT
from gitops_runtime_auth.keys import remedies
from gitops_runtime_auth.keys.managers import Kind, Manager

NOBODY = Manager(Kind.NOBODY, "argocd", settings={})
OPERATOR = Manager(Kind.OPERATOR, "gitops", "openshift-gitops", settings={})
HELM = Manager(Kind.HELM, "argocd", "my.argo", "argocd", "argo-cd-9.1.0", of_argo_helm=True, settings={})
OTHER_HELM = Manager(Kind.HELM, "argocd", "argo", "argocd", "argo-cd-7.2.1", settings={})
APPLICATION = Manager(Kind.APPLICATION, "argocd", "argo-cd", chart="argo-cd-9.1.0", settings={})
UNKNOWN = Manager(Kind.UNKNOWN, "argocd")


def command(text: str) -> list[str]:
    """Return the words of the command at the end of a remedy."""
    return shlex.split(re.split(r"[Rr]un: ", text)[-1])


def patch(text: str) -> tuple[list[str], dict[str, Any]]:
    words = command(text)
    assert words[-3:-1] == ["merge", "-p"]
    return words[:-3], json.loads(words[-1])


def test_a_capability_is_added_beside_those_that_the_account_has_and_as_argocd_writes_it() -> None:
    words, body = patch(remedies.remedy(NOBODY, "runtime", ["apiKey"], ["login"]))
    assert words == ["kubectl", "-n", "argocd", "patch", "configmap", "argocd-cm", "--type"]
    assert body == {"data": {"accounts.runtime": "apiKey,login"}}
    assert patch(remedies.remedy(NOBODY, "runtime", ["apiKey"], []))[1] == {"data": {"accounts.runtime": "apiKey"}}


def test_an_operators_configmap_is_changed_through_its_resource() -> None:
    words, body = patch(remedies.remedy(OPERATOR, "runtime", ["apiKey", "login"], []))
    assert words[:6] == ["kubectl", "-n", "gitops", "patch", "argocd", "openshift-gitops"]
    assert body == {"spec": {"extraConfig": {"accounts.runtime": "apiKey,login"}}}


def test_a_helm_release_is_changed_through_its_values_as_helm_itself_reads_them(tmp_path: Path) -> None:
    words = command(remedies.remedy(HELM, "runtime", ["apiKey"], ["login"]))
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set-string"]
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: argo-cd\nversion: 9.1.0\n")
    (tmp_path / "templates/a.yaml").write_text("{{ .Values.configs.cm | toYaml }}")
    rendered = subprocess.run(
        [CURRENT / "helm", "template", "x", tmp_path, "--set-string", sets[0]], capture_output=True, check=True
    ).stdout
    assert yaml.safe_load(rendered) == {"accounts.runtime": "apiKey,login"}
    upgrade = words[words.index("&&") + 1 :]
    assert upgrade[:6] == ["helm", "-n", "argocd", "upgrade", "my.argo", "argo-cd"]
    assert upgrade[upgrade.index("--version") + 1] == "9.1.0"
    assert "--reuse-values" in upgrade  # or all other values of the release would be lost


@pytest.mark.parametrize(("chart", "upgraded"), [("argo-cd-9.1.0", True), ("platform-1.0.0", False)])
def test_a_parent_chart_that_holds_argocd_is_never_replaced(tmp_path: Path, chart: str, upgraded: bool) -> None:
    helm = tmp_path / "helm"
    helm.write_text(
        "#!/bin/sh\n"
        f'case "$3" in list) echo \'[{{"name":"my.argo","chart":"{chart}"}}]\';;\n'
        f"upgrade) touch {tmp_path}/upgraded;; esac\n"
    )
    helm.chmod(0o755)
    text = re.split("Run: ", remedies.remedy(HELM, "runtime", ["apiKey"], ["login"]))[-1]
    subprocess.run(["sh", "-c", text], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert (tmp_path / "upgraded").exists() == upgraded


@pytest.mark.parametrize(
    ("manager", "text"),
    [
        (
            OPERATOR,
            "ArgoCD resource openshift-gitops manages {configmap} and undoes other changes. Run: kubectl -n gitops"
            " patch argocd openshift-gitops --type merge -p ",
        ),
        (
            HELM,
            "Helm release my.argo manages {configmap}. Set {lines} under {values} in its values (below the key of its"
            " argo-cd dependency if another chart contains Argo CD; the command does not change such a release). Run:"
            r" helm -n argocd list --filter '^my\.argo$' -o json | grep -q ",
        ),
        (
            OTHER_HELM,
            "Helm release argo (chart argo-cd-7.2.1) manages {configmap}: add {lines} to it through that chart's"
            " values.",
        ),
        (
            replace(OTHER_HELM, chart=""),
            "Helm release argo manages {configmap}: add {lines} to it through that chart's values.",
        ),
        (
            APPLICATION,
            "Argo CD Application argo-cd manages {configmap} and undoes other changes: add {lines} to its data in Git"
            " (with Argo CD's Helm chart: under {values} in the values).",
        ),
        (
            replace(APPLICATION, kind=Kind.FLUX, name="Kustomization flux/argo", chart=""),
            "Flux Kustomization flux/argo manages {configmap} and undoes other changes: add {lines} to its data in"
            " Git.",
        ),
        (
            UNKNOWN,
            "Add {lines} to {configmap} where it is managed (the values of Argo CD's Helm chart: {values}; an ArgoCD"
            " resource: spec.extraConfig; Git). If nothing manages it, run: kubectl -n argocd patch configmap"
            " {configmap} --type merge -p ",
        ),
    ],
)
@pytest.mark.parametrize(("configmap", "values"), [("argocd-cm", "configs.cm"), ("argocd-rbac-cm", "configs.rbac")])
def test_where_a_change_lasts_is_told_and_only_there_a_command(
    manager: Manager, text: str, configmap: str, values: str
) -> None:
    told = remedies.lasting_change(manager, {"accounts.a": "apiKey,login", "b": "c"}, configmap)
    lines = 'accounts.a: "apiKey,login" and b: "c"'
    wanted = text.format(configmap=configmap, values=values, lines=lines)
    assert told.startswith(wanted) if wanted.endswith(" ") else told == wanted


def test_the_hook_offers_itself_only_where_its_change_lasts() -> None:
    offer = "Let this chart do it (--set hook.enableApiKey=true), or do it yourself. "
    for manager, offered in ((NOBODY, True), (UNKNOWN, True), (HELM, False), (OPERATOR, False), (APPLICATION, False)):
        text = remedies.remedy(manager, "a", ["apiKey"], ["login"])
        assert (text.startswith(offer), "enableApiKey" in text) == (offered, offered)
    assert "enableApiKey" not in remedies.remedy(NOBODY, "a", ["apiKey", "login"], [])


def test_of_admins_two_switches_the_one_that_decides_is_set() -> None:
    """``accounts.admin.enabled`` overrides ``admin.enabled`` where it is set (util/settings/accounts.go)."""
    both = Manager(Kind.NOBODY, "argocd", settings={"admin.enabled": "true", "accounts.admin.enabled": "false"})
    assert patch(remedies.enabling(both, "admin"))[1] == {"data": {"accounts.admin.enabled": "true"}}
    one = Manager(Kind.NOBODY, "argocd", settings={"admin.enabled": "false"})
    assert patch(remedies.enabling(one, "admin"))[1] == {"data": {"admin.enabled": "true"}}
    unread = patch(remedies.enabling(UNKNOWN, "admin"))[1]
    assert unread == {"data": {"admin.enabled": "true", "accounts.admin.enabled": "true"}}
    assert remedies.enabling(one, "admin").startswith(
        "If admin was switched off on purpose, use an account of its own (argocd-cm: accounts.NAME: apiKey,login; its"
        " password: argocd account update-password --account NAME). Otherwise enable admin again. Run: kubectl "
    )


def test_another_accounts_switch_is_its_own() -> None:
    assert patch(remedies.enabling(NOBODY, "runtime"))[1] == {"data": {"accounts.runtime.enabled": "true"}}
    assert "on purpose" not in remedies.enabling(NOBODY, "runtime")


def test_an_account_that_does_not_exist_is_made_with_what_it_needs() -> None:
    text = remedies.making(NOBODY, "runtime", ("apiKey", "login"))
    assert text.startswith(
        "Correct the account's name, or make the account and set its password (argocd account update-password --account"
        " runtime). Run: kubectl "
    )
    assert patch(text)[1] == {"data": {"accounts.runtime": "apiKey,login"}}
    robot = remedies.making(NOBODY, "robot", ("apiKey",))
    assert robot.startswith("Correct the account's name, or make the account. Run: kubectl ")
    assert patch(robot)[1] == {"data": {"accounts.robot": "apiKey"}}


def test_a_role_is_granted_in_a_policy_of_its_own_so_that_nobodys_is_replaced() -> None:
    for manager in (NOBODY, OPERATOR):  # an operator writes its own keys of argocd-rbac-cm only
        text = remedies.granting(manager, "runtime")
        assert text.startswith("Give it a role (role:readonly may read, role:admin may do everything). Run: kubectl ")
        words, body = patch(text)
        assert words[2] == manager.namespace
        assert words[4:6] == ["configmap", "argocd-rbac-cm"]
        assert body == {"data": {"policy.gitops-runtime-auth-runtime.csv": "g, runtime, role:readonly"}}
    assert "configs.rbac.policy\\.gitops-runtime-auth-runtime\\.csv=g\\, runtime\\, role:readonly" in command(
        remedies.granting(HELM, "runtime")
    )


def test_no_account_name_gets_out_of_its_quotes() -> None:
    text = remedies.remedy(NOBODY, "x'; touch /tmp/pwned; '", ["apiKey"], [])
    assert json.loads(command(text)[-1]) == {"data": {"accounts.x'; touch /tmp/pwned; '": "apiKey"}}
