"""DESIGN section 2 to the letter: which Deployment gets which variables, and who makes which Secret."""

import base64
import json
from typing import Any

import pytest

from gitops_runtime_auth.config import settings
from tests.chart import helm

CONSUMERS = ("sources-server", "event-reporter", "gitops-operator")
INLINE: dict[str, dict[str, Any]] = {
    "password": {"type": "password", "password": "pw"},
    "token": {"type": "token", "token": "tk"},
}
REF: dict[str, dict[str, Any]] = {
    "password": {"type": "password", "passwordSecretKeyRef": {"name": "mine", "key": "k"}},
    "token": {"type": "token", "tokenSecretKeyRef": {"name": "mine", "key": "k"}},
}


def _block(auth: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"global": {"external-arg-cd": {"auth": auth or {}, "server": server or {}}}}


def _contract(manifests: list[helm.Manifest], service: str) -> dict[str, Any]:
    seen = helm.environment(helm.one(manifests, "Deployment", f"r-{service}"))
    return {name: value for name, value in seen.items() if name.startswith("ARGO")}


SERVER = {"ARGO_CD_URL": "https://argocd-server", "ARGOCD_SERVER": "argocd-server:443"}


@pytest.mark.parametrize(
    ("auth", "credential", "key"),
    [
        (INLINE["password"], ("gitops-runtime-argo-cd-password", "password"), ("argocd-token", "token")),
        (REF["password"], ("mine", "k"), ("argocd-token", "token")),
        (INLINE["token"], ("gitops-runtime-argo-cd-token", "token"), ("gitops-runtime-argo-cd-token", "token")),
        (REF["token"], ("mine", "k"), ("mine", "k")),
    ],
)
def test_environment_of_the_four_deployments(
    auth: dict[str, Any], credential: tuple[str, str], key: tuple[str, str]
) -> None:
    manifests = helm.render(_block(auth))
    if auth["type"] == "password":
        own = {"ARGO_CD_USERNAME": "admin", "ARGO_CD_PASSWORD": credential}
    else:
        own = {"ARGO_CD_TOKEN": credential}
    assert _contract(manifests, "app-proxy") == {**SERVER, **own}
    for service in CONSUMERS:
        assert _contract(manifests, service) == {
            **SERVER,
            "ARGO_CD_TOKEN_SECRET_NAME": key[0],
            "ARGO_CD_TOKEN_SECRET_KEY": key[1],
            "ARGO_CD_TOKEN": key,
            "ARGO_CD_TOKEN_FILE": "/var/run/argocd/token",
        }
        spec = helm.pod_spec(helm.one(manifests, "Deployment", f"r-{service}")) or {}
        volume = next(v for v in spec["volumes"] if v["name"] == "argocd-token")["secret"]
        assert (volume["secretName"], volume["items"]) == (key[0], [{"key": key[1], "path": "token"}])
        mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "argocd-token")
        assert (mount["mountPath"], mount["readOnly"]) == ("/var/run/argocd", True)


@pytest.mark.parametrize("kind", ["password", "token"])
def test_only_inline_credentials_become_secrets(kind: str) -> None:
    def secrets(auth: dict[str, Any]) -> dict[str, str]:
        found = (m for m in helm.render(_block(auth)) if m["kind"] == "Secret")
        return {m["metadata"]["name"]: base64.b64decode(m["data"][kind]).decode() for m in found}

    assert secrets(REF[kind]) == {}
    value = {"password": "pw", "token": "tk"}[kind]
    assert secrets(INLINE[kind]) == {f"gitops-runtime-argo-cd-{kind}": value, "r-auth-credential": value}


@pytest.mark.parametrize(
    ("server", "url", "address", "rootpath"),
    [
        ({}, "https://argocd-server", "argocd-server:443", None),
        ({"svc": "argocd-server.argocd", "port": 80}, "http://argocd-server.argocd", "argocd-server.argocd:80", None),
        ({"port": 8080}, "http://argocd-server:8080", "argocd-server:8080", None),
        ({"rootpath": "argocd/"}, "https://argocd-server/argocd", "argocd-server:443", "/argocd"),
        ({"rootpath": "/"}, "https://argocd-server", "argocd-server:443", None),
        ({"url": "https://a.example.com"}, "https://a.example.com", "a.example.com:443", None),
        ({"url": "http://a.example.com/"}, "http://a.example.com", "a.example.com:80", None),
        ({"url": "https://a.example.com:443/x/y/"}, "https://a.example.com/x/y", "a.example.com:443", "/x/y"),
        ({"url": "http://a.example.com:443"}, "http://a.example.com:443", "a.example.com:443", None),
        ({"url": "HTTPS://a.example.com:8443"}, "https://a.example.com:8443", "a.example.com:8443", None),
        ({"url": "https://[2001:db8::1]:8443/x"}, "https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443", "/x"),
        ({"url": "https://[2001:db8::1]"}, "https://[2001:db8::1]", "[2001:db8::1]:443", None),
        # url wins over the three others
        ({"url": "https://a.b", "svc": "c", "port": 80, "rootpath": "/d"}, "https://a.b", "a.b:443", None),
    ],
)
def test_server_forms(server: dict[str, Any], url: str, address: str, rootpath: str | None) -> None:
    manifests = helm.render(_block(server=server))
    for service in ("app-proxy", *CONSUMERS):
        seen = _contract(manifests, service)
        assert (seen["ARGO_CD_URL"], seen["ARGOCD_SERVER"]) == (url, address)
        assert seen.get("ARGOCD_SERVER_ROOTPATH") == rootpath


def _annotations(block: dict[str, Any], service: str) -> dict[str, str]:
    template = helm.one(helm.render(block), "Deployment", f"r-{service}")["spec"]["template"]
    found: dict[str, str] = template["metadata"].get("annotations", {})
    return found


def test_a_changed_inline_credential_restarts_the_pods_that_use_it() -> None:
    for kind, services in (("token", ("app-proxy", *CONSUMERS)), ("password", ("app-proxy",))):
        for service in services:
            one, other = (_annotations(_block({"type": kind, kind: v}), service) for v in ("abc", "abd"))
            assert one["checksum/credential"] != other["checksum/credential"]
    assert "checksum/credential" not in _annotations(_block(INLINE["password"]), "event-reporter")
    assert "checksum/credential" not in _annotations(_block(REF["password"]), "app-proxy")


def test_another_account_or_server_restarts_what_takes_the_key_by_environment() -> None:
    seen = [
        _annotations(_block({"username": user}, {"svc": svc}), "event-reporter")["checksum/connection"]
        for user, svc in (("a", "x"), ("b", "x"), ("b", "y"))
    ]
    assert len(set(seen)) == 3


def test_a_changed_keeper_setting_restarts_the_keeper() -> None:
    one, other = (_annotations({"keeper": {"interval": i}}, "app-proxy") for i in (5, 6))
    assert one["checksum/settings"] != other["checksum/settings"]


def test_a_vendors_image_gets_the_contract_and_none_of_our_arguments_probes_or_rights() -> None:
    for override in ({"image": {"repository": "example.com/a"}}, {"command": ["/a"]}, {"args": ["a"]}):
        for service in ("app-proxy", "event-reporter"):
            manifests = helm.render({service: override})
            spec = helm.pod_spec(helm.one(manifests, "Deployment", f"r-{service}")) or {}
            container = spec["containers"][0]
            assert not {"readinessProbe", "livenessProbe", "ports"} & set(container)
            assert container.get("args", []) == override.get("args", [])
            assert "runAsUser" not in spec["securityContext"]
            assert spec["automountServiceAccountToken"] is False
            assert set(_contract(manifests, service)) == set(helm.environment({"kind": "Pod", "spec": spec}))
            names = {m["metadata"]["name"] for m in manifests if m["kind"] == "Role"}
            assert ("r-app-proxy" in names) == (service != "app-proxy")


def test_a_proxy_of_the_users_own_wins_and_no_variable_is_set_twice() -> None:
    proxy = {"httpProxy": "http://p:1", "httpsProxy": "http://p:2"}
    own = [{"name": "HTTPS_PROXY", "value": "http://mine:3"}, {"name": "NO_PROXY", "value": ""}]
    for service in ("app-proxy", *CONSUMERS):
        manifests = helm.render({"proxy": proxy, service: {"extraEnv": own}})
        seen = helm.environment(helm.one(manifests, "Deployment", f"r-{service}"))
        assert (seen["HTTP_PROXY"], seen["HTTPS_PROXY"], seen["NO_PROXY"]) == ("http://p:1", "http://mine:3", "")


def test_the_keepers_rights_go_to_the_account_that_it_runs_as() -> None:
    for given, account in (({}, "r-app-proxy"), ({"serviceAccountName": "mine"}, "mine")):
        manifests = helm.render({"app-proxy": given})
        spec = helm.pod_spec(helm.one(manifests, "Deployment", "r-app-proxy")) or {}
        subjects = helm.one(manifests, "RoleBinding", "r-app-proxy")["subjects"]
        assert [spec["serviceAccountName"]] == [s["name"] for s in subjects] == [account]
        made = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
        assert ("r-app-proxy" in made) == (not given)


def test_the_jobs_see_the_settings_without_credentials_and_the_credential_as_a_file() -> None:
    manifests = helm.render(_block(INLINE["password"], {"rootpath": "/x"}))
    made = "gitops-runtime-argo-cd-password"
    expected = {"ensure": "r-auth-credential", "retire": made, "cleanup": made}
    for command, secret in expected.items():
        text = helm.one(manifests, "ConfigMap", f"r-auth-{command}")["data"]["settings.json"]
        read = settings.load_values(json.loads(text))
        assert (read.server.url, read.auth.username) == ("https://argocd-server/x", "admin")
        assert read.auth.origin() == "global.external-arg-cd.auth.password"
        volumes = (helm.pod_spec(helm.one(manifests, "Job", f"r-auth-{command}")) or {})["volumes"]
        given = {v["name"]: v.get("secret") for v in volumes}
        assert (given["credential"] or {})["secretName"] == secret
        assert all(v["optional"] for v in given.values() if v)
