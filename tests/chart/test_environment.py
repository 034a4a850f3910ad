"""What the Runtime's Deployments get, to the letter of the Runtime's own chart: variables, files, Secrets."""

import base64
from typing import Any

import pytest

from tests.chart import helm

CONSUMERS = ("sources-server", "event-reporter", "gitops-operator")
SERVICES = ("app-proxy", *CONSUMERS)
INLINE: dict[str, dict[str, Any]] = {
    "password": {"type": "password", "password": "pw"},
    "token": {"type": "token", "token": "tk"},
}
REF: dict[str, dict[str, Any]] = {
    "password": {"type": "password", "passwordSecretKeyRef": {"name": "mine", "key": "k"}},
    "token": {"type": "token", "tokenSecretKeyRef": {"name": "mine", "key": "k"}},
}


def block(auth: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"global": {"external-arg-cd": {"auth": auth or {}, "server": server or {}}}}


def environment(manifests: list[helm.Manifest], service: str) -> dict[str, Any]:
    return helm.environment(helm.one(manifests, "Deployment", f"r-{service}"))


def contract(manifests: list[helm.Manifest], service: str) -> dict[str, Any]:
    seen = environment(manifests, service)
    return {name: value for name, value in seen.items() if name.startswith(("ARGO", "IS_"))}


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
    manifests = helm.render(block(auth, {"rootpath": "/x"}))
    if auth["type"] == "password":
        own = {"ARGO_CD_USERNAME": "admin", "ARGO_CD_PASSWORD": credential}
    else:
        own = {"ARGO_CD_TOKEN": credential}
    url, address = "https://argocd-server/x", "argocd-server:443/x"
    assert contract(manifests, "app-proxy") == {"ARGO_CD_URL": url, "IS_EXTERNAL_ARGOCD": "true", **own}
    token = {
        "ARGO_CD_TOKEN_SECRET_NAME": key[0],
        "ARGO_CD_TOKEN_SECRET_KEY": key[1],
        "ARGO_CD_TOKEN": key,
        "ARGO_CD_TOKEN_FILE": "/var/run/argocd/token",
    }
    server = {"ARGO_CD_URL": url, "ARGOCD_SERVER": address, "ARGOCD_SERVER_ROOTPATH": "/x"}
    assert contract(manifests, "sources-server") == {**server, **token}
    assert contract(manifests, "event-reporter") == {**server, **token}
    assert contract(manifests, "gitops-operator") == {"ARGO_CD_URL": address, **token}
    for service in CONSUMERS:
        deployment = helm.one(manifests, "Deployment", f"r-{service}")
        volume = helm.volumes(deployment)["argocd-token"]["secret"]
        assert volume == {
            "secretName": key[0],
            "optional": True,
            "defaultMode": 0o440,
            "items": [{"key": key[1], "path": "token"}],
        }
        mounts = (helm.pod_spec(deployment) or {})["containers"][0]["volumeMounts"]
        assert {"name": "argocd-token", "mountPath": "/var/run/argocd", "readOnly": True} in mounts


@pytest.mark.parametrize("kind", ["password", "token"])
def test_only_inline_credentials_become_secrets(kind: str) -> None:
    def secrets(auth: dict[str, Any]) -> dict[str, dict[str, str]]:
        found = (m for m in helm.render(block(auth)) if m["kind"] == "Secret")
        return {
            m["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in m["data"].items()}
            for m in found
        }

    assert secrets(REF[kind]) == {}
    value = {"password": "pw", "token": "tk"}[kind]
    # The Runtime's components read the password by the key token.
    made = {"token": value} | {kind: value}
    assert secrets(INLINE[kind]) == {f"gitops-runtime-argo-cd-{kind}": made, "r-auth-credential": {kind: value}}


@pytest.mark.parametrize(
    ("server", "url", "address", "rootpath"),
    [
        ({}, "https://argocd-server", "argocd-server:443", ""),
        ({"svc": "argocd-server.argocd", "port": 80}, "http://argocd-server.argocd", "argocd-server.argocd:80", ""),
        ({"port": 8080}, "http://argocd-server:8080", "argocd-server:8080", ""),
        ({"rootpath": "argocd/"}, "https://argocd-server/argocd", "argocd-server:443/argocd", "/argocd"),
        ({"rootpath": "/"}, "https://argocd-server", "argocd-server:443", ""),
        ({"url": "https://a.example.com"}, "https://a.example.com", "a.example.com:443", ""),
        ({"url": "http://a.example.com/"}, "http://a.example.com", "a.example.com:80", ""),
        ({"url": "https://a.example.com:443/x/y/"}, "https://a.example.com/x/y", "a.example.com:443/x/y", "/x/y"),
        ({"url": "http://a.example.com:443"}, "http://a.example.com:443", "a.example.com:443", ""),
        ({"url": "HTTPS://a.example.com:8443"}, "https://a.example.com:8443", "a.example.com:8443", ""),
        ({"url": "https://[2001:db8::1]:8443/x"}, "https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443/x", "/x"),
        ({"url": "https://[2001:db8::1]"}, "https://[2001:db8::1]", "[2001:db8::1]:443", ""),
        # url wins over the three others
        ({"url": "https://a.b", "svc": "c", "port": 80, "rootpath": "/d"}, "https://a.b", "a.b:443", ""),
    ],
)
def test_server_forms(server: dict[str, Any], url: str, address: str, rootpath: str) -> None:
    manifests = helm.render(block(server=server))
    assert contract(manifests, "app-proxy")["ARGO_CD_URL"] == url
    for service in ("sources-server", "event-reporter"):
        seen = contract(manifests, service)
        assert (seen["ARGO_CD_URL"], seen["ARGOCD_SERVER"], seen["ARGOCD_SERVER_ROOTPATH"]) == (url, address, rootpath)
    assert contract(manifests, "gitops-operator")["ARGO_CD_URL"] == address
    assert helm.settings(manifests)["derived"]["url"] == url


def test_a_user_name_that_kubernetes_would_expand_arrives_as_it_is() -> None:
    manifests = helm.render(block({"username": "$(HOSTNAME) $$ $"}))
    raw = {
        v["name"]: v.get("value")
        for v in (helm.pod_spec(helm.one(manifests, "Deployment", "r-app-proxy")) or {})["containers"][0]["env"]
    }
    assert raw["ARGO_CD_USERNAME"] == "$$(HOSTNAME) $$$$ $$"
    assert contract(manifests, "app-proxy")["ARGO_CD_USERNAME"] == "$(HOSTNAME) $$ $"


def test_the_users_own_variables_win_each_by_its_name_and_none_is_set_twice() -> None:
    own = [{"name": "HTTPS_PROXY", "value": "http://mine:3"}, {"name": "ARGO_CD_URL", "value": "x"}]
    proxy = {"httpProxy": "http://p:1", "httpsProxy": "http://p:2", "noProxy": ".svc,$$,$(A)"}
    manifests = helm.render({"proxy": proxy, "runtimeDefaults": {"extraEnv": own}, "hook": {"extraEnv": own}})
    pods = [m for m in manifests if helm.pod_spec(m)]
    assert len(pods) == 9
    for pod in pods:
        seen = helm.environment(pod)
        assert (seen["HTTP_PROXY"], seen["HTTPS_PROXY"], seen["ARGO_CD_URL"]) == ("http://p:1", "http://mine:3", "x")
        # The Kubernetes API is never reached through a proxy.
        assert seen["NO_PROXY"] == f".svc,$$,$(A),localhost,127.0.0.1,{helm.API_SERVER}"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("override", [{"image": {"repository": "example.com/a"}}, {"command": ["/a"]}, {"args": ["a"]}])
def test_a_vendors_image_gets_the_contract_and_none_of_our_arguments_probes_or_rights(
    override: dict[str, Any], service: str
) -> None:
    manifests = helm.render({service: override, "proxy": {"httpsProxy": "http://p:1"}})
    deployment = helm.one(manifests, "Deployment", f"r-{service}")
    spec = helm.pod_spec(deployment) or {}
    container = spec["containers"][0]
    assert not {"readinessProbe", "livenessProbe", "ports"} & set(container)
    assert (container.get("command", []), container.get("args", [])) == (
        override.get("command", []),
        override.get("args", []),
    )
    assert not {"runAsUser", "runAsGroup"} & set(spec["securityContext"])
    assert "readOnlyRootFilesystem" not in container["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert set(environment(manifests, service)) == set(contract(manifests, service))
    assert set(helm.volumes(deployment)) == ({"argocd-token"} if service != "app-proxy" else set())


def test_another_account_server_or_type_restarts_what_takes_the_key_by_environment() -> None:
    seen = [
        helm.one(helm.render(given), "Deployment", "r-event-reporter")["spec"]["template"]["metadata"]["annotations"]
        for given in (
            block({"username": "a"}, {"svc": "x"}),
            block({"username": "b"}, {"svc": "x"}),
            block({"username": "b"}, {"svc": "y"}),
            block({"username": "b", "type": "token", "token": "t"}, {"svc": "y"}),
        )
    ]
    assert len({annotations["checksum/connection"] for annotations in seen}) == 4


def test_a_changed_inline_credential_restarts_the_pods_that_use_it_and_is_no_bare_hash() -> None:
    def annotations(kind: str, value: str, release: str = "r") -> dict[str, dict[str, str]]:
        manifests = helm.render(block({"type": kind, kind: value}), release=release)
        pods = {s: helm.one(manifests, "Deployment", f"{release}-{s}")["spec"]["template"] for s in SERVICES}
        return {service: pod["metadata"].get("annotations", {}) for service, pod in pods.items()}

    name = "checksum/credential"
    one, other = (annotations("token", value) for value in ("abc", "abd"))
    assert all(one[service][name] != other[service][name] for service in SERVICES)
    one, other = (annotations("password", value) for value in ("abc", "abd"))
    assert one["app-proxy"][name] != other["app-proxy"][name]
    # No annotation of those that do not use the password depends on it, in whatever way it is hashed.
    assert [one[service] for service in CONSUMERS] == [other[service] for service in CONSUMERS]
    # Two releases with one password do not show it, and a list of hashes does not help.
    assert one["app-proxy"][name] != annotations("password", "abc", release="q")["app-proxy"][name]
    # Nor does trying passwords, because each try takes scrypt: {{ derivePassword 1 "maximum" "abc"
    # "gitops-runtime-auth" "r" | sha256sum }}. Another formula would also restart app-proxy at an upgrade.
    assert one["app-proxy"][name] == "6c23cdc8ae44044294ba5dd25887cee6f1fefd068ec95c5f37eed7b66f5f68bc"
