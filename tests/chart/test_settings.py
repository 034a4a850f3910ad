"""settings.json: what the chart hands to hook and keeper, derived once; files and variables of their Pods."""

import hashlib
import json
from typing import Any

import pytest
import yaml

from tests.chart import helm
from tests.chart.test_environment import INLINE, REF, block

READERS = ("r-auth-ensure", "r-auth-retire", "r-auth-cleanup", "r-key-keeper")


def test_everybody_gets_the_same_settings_and_their_hash() -> None:
    manifests = helm.render(block(INLINE["password"]))
    texts = {helm.one(manifests, "ConfigMap", name)["data"]["settings.json"] for name in READERS}
    assert len(texts) == 1
    expected = hashlib.sha256(texts.pop().encode()).hexdigest()
    pods = [("Job", f"r-auth-{name}") for name in ("ensure", "ensure-rollback", "retire", "cleanup")]
    for kind, name in [*pods, ("Deployment", "r-app-proxy")]:
        seen = helm.environment(helm.one(manifests, kind, name))
        own = {key: value for key, value in seen.items() if not key.startswith(("ARGO_CD", "IS_"))}
        assert own == {
            "RELEASE_NAME": "r",
            "RELEASE_NAMESPACE": "metadata.namespace",
            "POD_NAME": "metadata.name",
            "POD_UID": "metadata.uid",
            "CHART": "gitops-runtime-auth-0.1.0",
            "SETTINGS_SHA256": expected,
        }


def test_the_settings_of_the_defaults() -> None:
    assert helm.settings(helm.render()) == {
        "values": {
            "global": {
                "external-arg-cd": {
                    "server": {
                        "svc": "argocd-server",
                        "port": 443,
                        "rootpath": "",
                        "url": "",
                        "insecureSkipVerify": False,
                        "caSecretKeyRef": {"name": "argocd-secret", "key": "tls.crt"},
                    },
                    "auth": {
                        "type": "password",
                        "username": "admin",
                        "passwordSecretKeyRef": {"name": "argocd-initial-admin-secret", "key": "password"},
                    },
                }
            },
            "hook": {
                "timeout": 180,
                "waitForSecrets": 120,
                "enableApiKey": False,
                "argocdNamespace": "",
                "logLevel": "info",
            },
            "keeper": {
                "interval": 60,
                "maxAge": "",
                "gracePeriod": 180,
                "restartConsumers": True,
                "consumers": [],
            },
            "keySecret": {
                "name": "argocd-token",
                "data": {"token": "token"},
                "labels": {},
                "annotations": {},
                "formerNames": [],
                "adopt": False,
            },
        },
        "derived": {
            "block": "global.external-arg-cd",
            "url": "https://argocd-server",
            "argocdNamespace": "ns",
            "credential": {"name": "argocd-initial-admin-secret", "key": "password", "inline": False},
            "key": {"name": "argocd-token", "key": "token"},
            "consumers": [f"deployment/r-{name}" for name in ("sources-server", "event-reporter", "gitops-operator")],
            "waitFor": ["deployment/r-app-proxy"],
            "refused": "r-auth-refused",
            "commonLabels": {},
            "commonAnnotations": {},
            "leftovers": {
                "jobs": ["r-auth-ensure", "r-auth-ensure-rollback", "r-auth-rehearsal", "r-auth-retire"],
                "pods": ["r-auth-verify"],
                "secrets": ["r-auth-credential"],
            },
        },
    }


def derived(values: dict[str, Any], *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = helm.settings(helm.render(values, *flags))["derived"]
    return found


@pytest.mark.parametrize(
    ("auth", "credential", "key"),
    [
        (INLINE["password"], ("gitops-runtime-argo-cd-password", "password", True), ("argocd-token", "token")),
        (REF["password"], ("mine", "k", False), ("argocd-token", "token")),
        (INLINE["token"], ("gitops-runtime-argo-cd-token", "token", True), ("gitops-runtime-argo-cd-token", "token")),
        (REF["token"], ("mine", "k", False), ("mine", "k")),
    ],
)
def test_where_credential_and_key_are(
    auth: dict[str, Any], credential: tuple[str, str, bool], key: tuple[str, str]
) -> None:
    found = derived(block(auth))
    assert tuple(found["credential"][name] for name in ("name", "key", "inline")) == credential
    assert tuple(found["key"][name] for name in ("name", "key")) == key


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"b": "token", "a": "token", "u": "url"}, "token"),
        ({"token": None, "b": "token", "a": "token"}, "a"),
        ({"token": "url", "b": "token"}, "b"),
    ],
)
def test_the_key_of_the_key_secret_that_our_own_deployments_read(data: dict[str, Any], key: str) -> None:
    assert derived({"keySecret": {"name": "mine", "data": data}})["key"] == {"name": "mine", "key": key}


@pytest.mark.parametrize(
    ("values", "namespace"),
    [
        ({}, "ns"),
        (block(server={"svc": "argocd-server.argocd"}), "argocd"),
        (block(server={"svc": "argocd-server.argocd.svc.cluster.local"}), "argocd"),
        (block(server={"svc": "a.argocd", "url": "https://a.example.com"}), "ns"),
        ({**block(server={"svc": "a.b"}), "hook": {"argocdNamespace": "c"}}, "c"),
    ],
)
def test_argocds_namespace(values: dict[str, Any], namespace: str) -> None:
    assert derived(values)["argocdNamespace"] == namespace


VENDOR = {"image": {"repository": "example.com/a"}}


@pytest.mark.parametrize(
    ("values", "consumers", "wait_for"),
    [
        ({"event-reporter": {"enabled": False}}, ["r-sources-server", "r-gitops-operator"], ["r-app-proxy"]),
        ({"app-proxy": {"enabled": False}, "runtimeDefaults": {"enabled": False}}, [], ["r-key-keeper"]),
        ({"runtime": {"enabled": False}}, [], ["r-key-keeper"]),
        ({"app-proxy": VENDOR, "runtimeDefaults": {"enabled": False}}, [], ["r-key-keeper"]),
        (
            {"app-proxy": {**VENDOR, "enabled": True}, "runtimeDefaults": {"enabled": False}},
            [],
            ["r-app-proxy", "r-key-keeper"],
        ),
    ],
)
def test_workloads_that_matter_when_the_key_changes(
    values: dict[str, Any], consumers: list[str], wait_for: list[str]
) -> None:
    found = derived(values)
    assert found["consumers"] == [f"deployment/{name}" for name in consumers]
    assert found["waitFor"] == [f"deployment/{name}" for name in wait_for]


def test_further_consumers_come_once_and_with_their_kind() -> None:
    given = ["cap-app-proxy", "deployment/cap-app-proxy", "statefulset/x.y"]
    found = derived({"runtime": {"enabled": False}, "keeper": {"consumers": given}})
    assert found["consumers"] == ["deployment/cap-app-proxy", "statefulset/x.y"]


def test_common_labels_and_annotations_reach_what_the_hook_makes() -> None:
    values = {
        "commonLabels": {"team": "a", "more": "b"},
        "commonAnnotations": {"note": "a"},
        "keySecret": {"labels": {"team": "mine"}, "annotations": {"example.com/replicate": "true"}},
    }
    settings = helm.settings(helm.render(values))
    found, others = settings["values"]["keySecret"], settings["derived"]
    assert found["labels"] == {"team": "mine", "more": "b"}
    assert found["annotations"] == {"note": "a", "example.com/replicate": "true"}
    assert (others["commonLabels"], others["commonAnnotations"]) == ({"team": "a", "more": "b"}, {"note": "a"})


def test_only_the_chosen_types_keys_and_no_credential_are_in_the_settings() -> None:
    both = {"username": "alice", "password": "pw-1", "token": "tk-1", "acceptExpiring": True}
    for kind, left in (
        ("password", ["passwordSecretKeyRef", "type", "username"]),
        ("token", ["acceptExpiring", "tokenSecretKeyRef", "type"]),
    ):
        document = helm.settings(helm.render(block({"type": kind, **both})))
        assert sorted(document["values"]["global"]["external-arg-cd"]["auth"]) == left
        assert "pw-1" not in json.dumps(document)
        assert "tk-1" not in json.dumps(document)


def _files(manifest: helm.Manifest) -> dict[str, tuple[str, str]]:
    """What is mounted under the program's folder: folder -> (kind, name). All but the settings may be missing."""
    mounts = (helm.pod_spec(manifest) or {})["containers"][0]["volumeMounts"]
    seen = {}
    for name, volume in helm.volumes(manifest).items():
        mount = next(m for m in mounts if m["name"] == name)
        if name in ("tmp", "argocd-token"):
            continue
        assert mount == {"name": name, "mountPath": f"/var/run/gitops-runtime-auth/{name}", "readOnly": True}
        (kind,) = set(volume) - {"name"}
        source = volume[kind]
        assert source.get("optional", False) == (name != "settings"), name
        assert source.get("defaultMode") == (0o440 if kind == "secret" else None)
        seen[name] = (kind, source.get("secretName") or source.get("name"))
    return seen


def test_files_of_each_pod() -> None:
    server = {
        "caConfigMapKeyRef": {"name": "my-ca", "key": "ca-bundle.crt"},
        "headersSecretRef": {"name": "my-headers"},
        "clientCertSecretRef": {"name": "my-cert"},
    }
    manifests = helm.render({**block(INLINE["password"], server), "keySecret": {"name": "my-key"}})
    way = {"ca": ("configMap", "my-ca"), "headers": ("secret", "my-headers"), "client-cert": ("secret", "my-cert")}
    made = {"credential": ("secret", "gitops-runtime-argo-cd-password")}
    record = {"refused": ("configMap", "r-auth-refused"), **way}
    expected = {
        # At pre-install the release's own Secret is not there yet.
        "ensure": {"settings": ("configMap", "r-auth-ensure"), "credential": ("secret", "r-auth-credential")},
        "ensure-rollback": {"settings": ("configMap", "r-auth-ensure"), "credential": ("secret", "r-auth-credential")},
        "retire": {"settings": ("configMap", "r-auth-retire"), **made},
        "cleanup": {"settings": ("configMap", "r-auth-cleanup"), **made},
    }
    for name, files in expected.items():
        key = {} if name == "retire" else {"key": ("secret", "my-key")}
        assert _files(helm.one(manifests, "Job", f"r-auth-{name}")) == {**files, **key, **record}
    proxy = _files(helm.one(manifests, "Deployment", "r-app-proxy"))
    assert proxy == {"settings": ("configMap", "r-key-keeper"), **made, **record}
    assert _files(helm.one(manifests, "Deployment", "r-event-reporter")) == way
    assert _files(helm.one(manifests, "Pod", "r-auth-verify")) == {"settings": ("configMap", "r-key-keeper"), **way}
    volumes = helm.volumes(helm.one(manifests, "Job", "r-auth-ensure"))
    assert volumes["credential"]["secret"]["items"] == [{"key": "password", "path": "value"}]
    assert volumes["ca"]["configMap"]["items"] == [{"key": "ca-bundle.crt", "path": "ca.crt"}]
    assert volumes["refused"]["configMap"]["items"] == [{"key": "record", "path": "record"}]
    assert volumes["tmp"] == {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}


@pytest.mark.parametrize("reference", [None, {"name": "", "key": ""}])
def test_no_ca_is_mounted_where_the_user_takes_it_away(reference: Any) -> None:
    for name in ("external-arg-cd", "external-argo-cd"):
        manifests = helm.render({"global": {name: {"server": {"caSecretKeyRef": reference}}}})
        assert "ca" not in helm.volumes(helm.one(manifests, "Job", "r-auth-ensure"))
    stock = helm.volumes(helm.one(helm.render(), "Job", "r-auth-ensure"))["ca"]["secret"]
    assert stock == {
        "secretName": "argocd-secret",
        "optional": True,
        "defaultMode": 0o440,
        "items": [{"key": "tls.crt", "path": "ca.crt"}],
    }


def test_helm_test_learns_whose_credential_to_prove() -> None:
    def args(values: dict[str, Any]) -> list[str]:
        found: list[str] = helm.one(helm.render(values), "Pod", "r-auth-verify")["spec"]["containers"][0]["args"]
        return found

    assert args({}) == [
        "verify",
        "--deployments=app-proxy,sources-server,event-reporter,gitops-operator",
    ]
    values = {
        "runtime": {"enabled": False},
        "keySecret": {"name": "mine", "data": {"a": "token", "u": "url"}},
        "keeper": {"consumers": ["a", "statefulset/b"]},
    }
    assert args(values) == ["verify", "--deployments=", "--consumers=deployment/a,statefulset/b"]
    pod = helm.one(helm.render(values), "Pod", "r-auth-verify")
    assert pod["spec"]["serviceAccountName"] == "r-auth-verify"
    assert helm.volumes(pod)["key"]["secret"]["secretName"] == "mine"


def test_nothing_of_the_settings_is_a_secret_outside_secrets() -> None:
    for kind in ("password", "token"):
        for manifest in helm.render(block({"type": kind, kind: f"canary-{kind}"})):
            if manifest["kind"] != "Secret":
                assert "canary" not in yaml.safe_dump(manifest)
