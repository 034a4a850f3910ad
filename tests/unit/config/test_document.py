"""settings.json, the contract between chart and hook: each of its keys counts, and what is not there has a default."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth.config.document import load, parse
from gitops_runtime_auth.config.settings import Auth, KeySecretSpec, SecretRef, Server, Settings
from gitops_runtime_auth.errors import ConfigurationError, UsageError

LEAST: dict[str, Any] = {
    "values": {
        "global": {"external-arg-cd": {"server": {}, "auth": {"type": "password", "username": "admin"}}},
        "hook": {"timeout": 60, "logLevel": "warning"},
        "keeper": {"interval": 30, "restartConsumers": True},
        "keySecret": {"name": "argocd-token", "data": {"token": "token"}},
    },
    "derived": {
        "block": "global.external-arg-cd",
        "url": "https://argocd-server",
        "argocdNamespace": "ns",
        "credential": {"name": "mine", "key": "password", "inline": False},
        "key": {"name": "argocd-token", "key": "token"},
        "consumers": [],
        "waitFor": [],
        "refused": "r-auth-refused",
        "leftovers": {"jobs": [], "pods": [], "secrets": []},
    },
}
EVERYTHING: dict[str, Any] = {
    "values": {
        "global": {
            "external-arg-cd": {
                "server": {
                    "insecureSkipVerify": True,
                    "caSecretKeyRef": {"name": "my-ca", "key": "ca.crt"},
                    "headersSecretRef": {"name": "my-headers"},
                    "clientCertSecretRef": {"name": "my-cert"},
                },
                "auth": {
                    "type": "token",
                    "tokenSecretKeyRef": {"name": "mine", "key": "k"},
                    "acceptExpiring": True,
                },
            }
        },
        "hook": {"timeout": 61, "waitForSecrets": 11, "enableApiKey": True, "logLevel": "debug"},
        "keeper": {"interval": 31, "maxAge": "2h", "gracePeriod": 12, "restartConsumers": False},
        "keySecret": {
            "name": "my-key",
            "data": {"t": "token", "u": "url"},
            "labels": {"team": "a"},
            "annotations": {"note": "b"},
            "formerNames": ["old", "older"],
            "adopt": True,
        },
    },
    "derived": {
        "block": "global.external-argo-cd",
        "url": "http://a.example.com/x",
        "argocdNamespace": "argo",
        "credential": {"name": "made", "key": "k", "inline": True},
        "key": {"name": "found", "key": "t"},
        "consumers": ["deployment/a", "statefulset/b"],
        "waitFor": ["deployment/c"],
        "refused": "x-auth-refused",
        "commonLabels": {"cost": "c"},
        "commonAnnotations": {"owner": "d"},
        "leftovers": {"jobs": ["j"], "pods": ["p"], "secrets": ["s"]},
    },
}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with the value at ``path`` replaced, or taken away where it is ``...``."""
    copy = deepcopy(document)
    *folders, name = path.split("/")
    place = copy
    for folder in folders:
        place = place[folder]
    place[name] = value
    if value is ...:
        del place[name]
    return copy


def server(**fields: Any) -> Server:
    return parse(changed(LEAST, "values/global/external-arg-cd/server", fields)).server


def test_every_key_counts() -> None:
    assert parse(EVERYTHING) == Settings(
        server=Server(
            url="http://a.example.com/x",
            namespace="argo",
            insecure_skip_verify=True,
            ca_origin='Secret "my-ca", key "ca.crt"',
            headers_secret="my-headers",
            client_cert_secret="my-cert",
        ),
        auth=Auth(
            type="token",
            username="",
            credential=SecretRef("made", "k"),
            inline=True,
            path="global.external-argo-cd.auth",
            accept_expiring=True,
        ),
        key_secret=KeySecretSpec(
            name="my-key",
            data={"t": "token", "u": "url"},
            labels={"team": "a"},
            annotations={"note": "b"},
            former_names=("old", "older"),
            adopt=True,
        ),
        key=SecretRef("found", "t"),
        consumers=("deployment/a", "statefulset/b"),
        wait_for=("deployment/c",),
        refused_record="x-auth-refused",
        common_labels={"cost": "c"},
        common_annotations={"owner": "d"},
        leftover_jobs=("j",),
        leftover_pods=("p",),
        leftover_secrets=("s",),
        timeout=61.0,
        wait_for_secrets=11.0,
        enable_api_key=True,
        log_level="debug",
        interval=31.0,
        max_age=7200.0,
        grace_period=12.0,
        restart_consumers=False,
    )


def test_what_is_not_there_has_its_default() -> None:
    assert parse(LEAST) == Settings(
        server=Server("https://argocd-server", "ns", False, "", "", ""),
        auth=Auth("password", "admin", SecretRef("mine", "password"), False, "global.external-arg-cd.auth", False),
        key_secret=KeySecretSpec("argocd-token", {"token": "token"}, {}, {}, (), False),
        key=SecretRef("argocd-token", "token"),
        refused_record="r-auth-refused",
        timeout=60.0,
        wait_for_secrets=120.0,
        enable_api_key=False,
        log_level="warning",
        interval=30.0,
        max_age=0.0,
        grace_period=180.0,
        restart_consumers=True,
    )


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("", 0), ("90s", 90), ("3m", 180), ("36h", 129_600), ("30d", 2_592_000), (None, 0)],
)
def test_the_units_of_max_age(given: str | None, seconds: int) -> None:
    assert parse(changed(LEAST, "values/keeper/maxAge", given)).max_age == seconds


def test_the_ca_is_named_where_the_user_keeps_it() -> None:
    config_map = {"name": "my-ca", "key": "bundle"}
    assert server(caConfigMapKeyRef=config_map).ca_origin == 'ConfigMap "my-ca", key "bundle"'
    assert server(caConfigMapKeyRef=config_map, caSecretKeyRef={"name": "s", "key": "k"}).ca_origin.startswith("Conf")
    for empty in ({"name": "", "key": ""}, None):
        of_secret = server(caConfigMapKeyRef=empty, caSecretKeyRef={"name": "s", "key": "k"})
        assert of_secret.ca_origin == 'Secret "s", key "k"'
        assert server(caSecretKeyRef=empty).ca_origin == ""


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("derived/url", ..., "KeyError"),
        ("derived/credential", ..., "KeyError"),
        ("derived/credential/inline", ..., "KeyError"),
        ("derived/key", {"name": "a"}, "KeyError"),
        ("derived/consumers", None, "TypeError"),
        ("derived/leftovers", [], "TypeError"),
        ("derived", ..., "TypeError"),
        ("derived", "x", "TypeError"),
    ],
)
def test_what_the_chart_did_not_write_is_told_with_the_way_out(path: str, value: Any, kind: str) -> None:
    """Image and chart of two versions: nobody's values are wrong."""
    with pytest.raises(ConfigurationError) as refused:
        parse(changed(LEAST, path, value))
    assert refused.value.problem == f"The settings that the chart wrote are not complete ({kind})."
    assert refused.value.remedy == "Use image and chart of the same version: helm upgrade writes the settings again."


def test_a_value_that_helm_was_told_not_to_check_is_named_in_the_users_spelling_and_not_shown() -> None:
    spelt = changed(LEAST, "derived/block", "global.integrations.argo-cd.server")
    with pytest.raises(ConfigurationError) as refused:
        parse(changed(spelt, "values/global/external-arg-cd/auth/username", 7_000_001))
    assert refused.value.problem.startswith("global.integrations.argo-cd.server.auth.username is not right: it must be")
    assert "7000001" not in f"{refused.value.problem}{refused.value.remedy}"


@pytest.mark.parametrize(
    ("path", "value", "said", "wanted"),
    [
        (
            "values/keeper",
            ...,
            "The settings file is not right: it lacks a required key",
            " (The values in settings.json",
        ),
        ("values/keeper/more", 1, "keeper is not right: it has a key that this chart does not know", ";"),
        (
            "values/hook/timeout",
            "60",
            "hook.timeout is not right: it must be of type integer",
            " (Seconds for a whole run.);",
        ),
        (
            "values/hook/logLevel",
            "loud",
            "hook.logLevel is not right: it must be one of ['debug', 'info', 'warning', 'error']",
            ";",
        ),
        (
            "values/keySecret/data/1",
            2,
            "keySecret.data.1 is not right: it must be one of ['token', 'url', 'server', 'account']",
            ";",
        ),
        (
            "values/keeper/interval",
            0,
            "keeper.interval is not right: it breaks the rule minimum",
            " (Seconds between two checks.);",
        ),
    ],
)
def test_what_is_wrong_is_told_in_words(path: str, value: Any, said: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(changed(LEAST, path, value))
    assert refused.value.problem == f"{said}."
    assert refused.value.remedy.startswith(f"Correct it in your values{wanted}")
    assert refused.value.remedy.endswith("; helm lint shows the same without a cluster.")


def test_a_file_that_is_not_there_or_not_the_charts(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    with pytest.raises(UsageError) as unread:
        load(file)
    assert unread.value.problem == f"The settings file {file} can't be read (No such file or directory)."
    assert unread.value.remedy == "Let the chart run this command: it mounts the file."
    for text in ("", "{", "[]", "null"):
        file.write_text(text)
        with pytest.raises(ConfigurationError) as refused:
            load(file)
        assert refused.value.problem == f"The settings file {file} is not JSON."
        assert refused.value.remedy == "Run helm upgrade: the chart writes this file."
    file.write_text(json.dumps(LEAST))
    assert load(file) == (parse(LEAST), file.read_bytes())
