"""The key Secret through the API: read, written, deleted, moved from a former name, taken over from nobody."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth.config.settings import KeySecretSpec
from gitops_runtime_auth.errors import ConflictError, ForeignSecretError
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.kube.secret import KeySecret, StoredKey, StoredKeys, mounted
from gitops_runtime_auth.kube.stored import encode
from gitops_runtime_auth.release import Release
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.kube.test_stored import URL, key, token

RELEASE = Release("r", "ns")
SECRETS = "/api/v1/namespaces/ns/secrets"
PATH = f"{SECRETS}/argocd-token"
NOW = 1700000000.0


def secret(cluster: Cluster, release: Release = RELEASE, **spec: Any) -> KeySecret:
    return KeySecret(cluster, release, "gitops-runtime-auth-1.2.3", KeySecretSpec(**spec))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def foreign(text: str = "", **fields: Any) -> dict[str, Any]:
    return {"data": {"token": b64(text or token("by-hand"))}, **fields}


def test_the_defaults_of_the_values() -> None:
    spec = KeySecretSpec()
    assert (spec.name, spec.data, spec.labels, spec.annotations) == ("argocd-token", {"token": "token"}, {}, {})
    assert (spec.former_names, spec.adopt) == ((), False)


def test_no_secret(cluster: Cluster) -> None:
    assert secret(cluster).read() == StoredKeys()


def test_what_is_written(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    written = secret(cluster, labels={"team": "a"}, annotations={"note": "b"}).write(StoredKeys(key()), NOW)
    found = kubernetes.objects[PATH]
    assert written == StoredKeys(key(), (), NOW, found["metadata"]["resourceVersion"])
    assert found["type"] == "Opaque"
    assert found["metadata"]["labels"] == {
        "team": "a",
        "app.kubernetes.io/name": "gitops-runtime-auth",
        "app.kubernetes.io/managed-by": "gitops-runtime-auth",
        "app.kubernetes.io/instance": "r",
        "app.kubernetes.io/component": "api-key",
        "helm.sh/chart": "gitops-runtime-auth-1.2.3",
    }
    assert found["metadata"]["annotations"] == {
        "note": "b",
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "gitops-runtime-auth/account": "robot",
        "gitops-runtime-auth/key-id": "gra.one",
        "gitops-runtime-auth/server": URL,
        "gitops-runtime-auth/created-at": "2023-11-14T22:13:20+00:00",
    }
    (sent,) = [request.object() for request in kubernetes.server.asked("POST")]
    metadata = {"name": "argocd-token", "namespace": "ns"}
    metadata |= {part: found["metadata"][part] for part in ("labels", "annotations")}
    assert sent == {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": found["data"]}
    data = {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
    assert data == encode(StoredKeys(key(), since=NOW), {"token": "token"})
    assert secret(cluster, labels={"team": "a"}).read() == written


def test_a_key_keeps_the_time_since_when_it_is_the_key(cluster: Cluster) -> None:
    keys = secret(cluster).write(StoredKeys(key(), since=5.0), NOW)
    assert keys.since == 5.0
    assert secret(cluster).read().since == 5.0


def test_only_the_version_that_was_read_is_replaced(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    first = secret(cluster).write(StoredKeys(key()), NOW)
    second = secret(cluster).write(first.moved_to(key("gra.two"), NOW + 1), NOW + 1)
    assert second.previous == (key(),)
    assert second.resource_version == kubernetes.objects[PATH]["metadata"]["resourceVersion"] != first.resource_version
    with pytest.raises(ConflictError):
        secret(cluster).write(first.moved_to(key("gra.three"), NOW), NOW)
    with pytest.raises(ConflictError):
        secret(cluster).write(StoredKeys(key("gra.three")), NOW)
    assert secret(cluster).read() == second


def test_a_secret_that_went_is_not_replaced(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    keys = secret(cluster).write(StoredKeys(key()), NOW)
    kubernetes.remove(PATH)
    with pytest.raises(ConflictError):
        secret(cluster).write(keys, NOW)
    assert PATH not in kubernetes.objects


@pytest.mark.parametrize(
    ("spec", "outdated"),
    [
        ({}, False),
        ({"labels": {"team": "a"}}, True),
        ({"annotations": {"note": "b"}}, True),
        ({"data": {"ARGO_TOKEN": "token"}}, True),
        ({"data": {"token": "token", "url": "url"}}, True),
        ({"former_names": ("old",), "adopt": True}, False),
    ],
)
def test_a_secret_is_outdated_when_the_values_ask_for_another(
    cluster: Cluster, spec: dict[str, Any], outdated: bool
) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    assert secret(cluster, **spec).read().outdated is outdated
    written = secret(cluster, **spec).write(secret(cluster, **spec).read(), NOW)
    assert written.outdated is False
    assert secret(cluster, **spec).read() == written


def test_another_version_of_the_chart_makes_no_secret_outdated(cluster: Cluster) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    assert KeySecret(cluster, RELEASE, "chart-9", KeySecretSpec()).read().outdated is False


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"annotations": {"gitops-runtime-auth/key-id": "gra.other"}}},
        {"metadata": {"labels": {"app.kubernetes.io/component": None}}},
        {"data": {"more": b64("x")}},
    ],
)
def test_a_secret_is_outdated_when_somebody_changed_it(cluster: Cluster, change: dict[str, Any]) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    cluster.patch(PATH, change)
    assert secret(cluster).read().outdated is True


def test_marks_of_others_are_not_our_business(cluster: Cluster) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    cluster.patch(PATH, {"metadata": {"labels": {"seen-by": "backup"}, "annotations": {"seen-by": "backup"}}})
    assert secret(cluster).read().outdated is False


def test_an_emptied_secret(cluster: Cluster) -> None:
    keys = secret(cluster).write(StoredKeys(key(), (key("gra.two"),)), NOW)
    version = cluster.patch(PATH, {"data": {"token": None}})["metadata"]["resourceVersion"]
    assert secret(cluster).read() == StoredKeys(None, keys.previous, NOW, version)
    version = cluster.patch(PATH, {"data": None})["metadata"]["resourceVersion"]
    assert secret(cluster).read() == StoredKeys(resource_version=version)


FOREIGN = [
    ({}, "nothing in it names an owner"),
    ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "it belongs to Helm"),
    (
        {"labels": {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "other"}},
        "it belongs to other (managed by gitops-runtime-auth)",
    ),
]


@pytest.mark.parametrize(("metadata", "whose"), FOREIGN)
def test_somebody_elses_secret(
    kubernetes: FakeKubernetes, cluster: Cluster, metadata: dict[str, Any], whose: str
) -> None:
    stored = kubernetes.put(PATH, foreign(metadata=metadata))
    for act in (secret(cluster).read, secret(cluster).delete):
        with pytest.raises(ForeignSecretError) as raised:
            act()
        assert raised.value.problem == f'Secret "argocd-token" in namespace ns is not this release\'s: {whose}.'
        adopt = "" if metadata else ", or let this release take it over (keySecret.adopt)"
        assert raised.value.remedy == f"Choose another name (keySecret.name){adopt}."
    assert kubernetes.objects[PATH] == stored


def test_a_secret_of_nobody_is_taken_over_if_asked(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    version = kubernetes.put(PATH, foreign())["metadata"]["resourceVersion"]
    ours = secret(cluster, adopt=True)
    found = ours.read()
    assert found == StoredKeys(resource_version=version, outdated=True, foreign_key="by-hand")
    written = ours.write(found.moved_to(key(), NOW), NOW)
    assert written.foreign_key == ""
    assert ours.read() == written == replace(written, outdated=False)
    assert kubernetes.objects[PATH]["metadata"]["labels"]["app.kubernetes.io/instance"] == "r"


@pytest.mark.parametrize(
    ("data", "key_id"),
    [
        ({"argo": b64(token("gra.one")), "token": b64(token("by-hand"))}, "gra.one"),
        ({"token": b64(f" {token('by-hand')}\n")}, "by-hand"),
        ({"token": b64("garbage")}, ""),
        ({"token": b64(token(""))}, ""),
        ({}, ""),
    ],
)
def test_the_key_of_a_secret_that_is_taken_over(
    kubernetes: FakeKubernetes, cluster: Cluster, data: dict[str, str], key_id: str
) -> None:
    kubernetes.put(PATH, {"data": data})
    found = secret(cluster, adopt=True, data={"argo": "token"}).read()
    assert (found.current, found.foreign_key) == (None, key_id)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "kubernetes.io/basic-auth"},
        {"immutable": True},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}},
        {"metadata": {"ownerReferences": [{"kind": "ExternalSecret", "name": "e"}]}},
    ],
)
def test_a_secret_that_is_not_taken_over(kubernetes: FakeKubernetes, cluster: Cluster, fields: dict[str, Any]) -> None:
    kubernetes.put(PATH, foreign(**fields))
    for adopt in (True, False):
        with pytest.raises(ForeignSecretError) as raised:
            secret(cluster, adopt=adopt).read()
        assert "take it over" not in raised.value.remedy


def test_a_secret_that_would_be_taken_over_is_not_deleted(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(PATH, foreign())
    with pytest.raises(ForeignSecretError) as raised:
        secret(cluster, adopt=True).delete()
    assert "take it over" not in raised.value.remedy
    assert PATH in kubernetes.objects


def test_delete(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    assert secret(cluster).delete() is False
    secret(cluster).write(StoredKeys(key()), NOW)
    assert secret(cluster).delete() is True
    assert PATH not in kubernetes.objects
    assert secret(cluster).delete() is False


def test_a_secret_that_is_written_while_it_is_deleted(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    count = iter(range(100))

    def another_writes() -> None:
        found = kubernetes.objects[PATH]
        kubernetes.put(PATH, {**found, "data": {**found["data"], "n": b64(str(next(count)))}})

    fault = kubernetes.fault("DELETE", does=another_writes, times=4)
    assert secret(cluster).delete() is True
    assert fault.met == 5
    secret(cluster).write(StoredKeys(key()), NOW)
    kubernetes.server.heal()
    endless = kubernetes.fault("DELETE", does=another_writes)
    with pytest.raises(ConflictError, match=r"^Secret argocd-token was changed"):
        secret(cluster).delete()
    assert endless.met == 5
    assert PATH in kubernetes.objects


def test_a_former_name(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    secret(cluster, name="old").write(StoredKeys(key("gra.old")), NOW)
    renamed = secret(cluster, name="new", former_names=("older", "old"))
    found = renamed.read()
    assert found == StoredKeys(key("gra.old"), since=NOW, outdated=True)
    written = renamed.write(found, NOW + 5)
    assert renamed.read() == written == replace(found, resource_version=written.resource_version, outdated=False)
    assert renamed.delete_former() == ["old"]
    assert sorted(path for path in kubernetes.objects if "/secrets/" in path) == [f"{SECRETS}/new"]
    assert renamed.delete_former() == []


def test_the_first_former_name_that_is_ours_counts(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(f"{SECRETS}/a", foreign())
    for name in ("b", "c"):
        secret(cluster, name=name).write(StoredKeys(key(f"gra.{name}")), NOW)
    renamed = secret(cluster, name="new", former_names=("a", "b", "c"))
    assert renamed.read().current == key("gra.b")
    assert renamed.delete_former() == ["b", "c"]
    assert f"{SECRETS}/a" in kubernetes.objects


def test_a_former_name_that_is_the_present_one_is_not_deleted(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    assert secret(cluster, former_names=("argocd-token",)).delete_former() == []
    assert PATH in kubernetes.objects


def test_the_secret_of_the_present_name_counts_before_former_ones(cluster: Cluster) -> None:
    secret(cluster, name="old").write(StoredKeys(key("gra.old")), NOW)
    secret(cluster).write(StoredKeys(key("gra.new")), NOW)
    assert secret(cluster, former_names=("old",)).read().current == key("gra.new")


def test_each_release_has_its_own(cluster: Cluster) -> None:
    secret(cluster).write(StoredKeys(key()), NOW)
    with pytest.raises(ForeignSecretError):
        secret(cluster, Release("other", "ns")).read()
    assert (
        secret(cluster, Release("other", "ns"), name="another", former_names=("argocd-token",)).read() == StoredKeys()
    )


def mount(folder: Path, data: dict[str, str]) -> Path:
    """Lay the files as the kubelet does: links into a folder of the moment."""
    at = folder / "..2026_11_25"
    at.mkdir(parents=True)
    (folder / "..data").symlink_to(at.name)
    for name, value in data.items():
        (at / name).write_text(value)
        (folder / name).symlink_to(f"..data/{name}")
    return folder


def test_a_mounted_secret(tmp_path: Path) -> None:
    keys = StoredKeys(key(), (key("gra.two"),), NOW)
    folder = mount(tmp_path / "key", encode(keys, {"token": "token"}))
    assert mounted(folder, KeySecretSpec()) == keys
    assert mounted(folder, KeySecretSpec(labels={"a": "b"})) == keys, "labels are not mounted"
    other = KeySecretSpec(data={"ARGO_TOKEN": "token"})
    assert mounted(folder, other) == replace(keys, outdated=True)


def test_a_mounted_secret_without_state(tmp_path: Path) -> None:
    folder = mount(tmp_path / "key", {"token": token()})
    assert mounted(folder, KeySecretSpec()) == StoredKeys(StoredKey(token(), "", ""))


def test_a_mounted_secret_with_more_in_it(tmp_path: Path) -> None:
    folder = mount(tmp_path / "key", {**encode(StoredKeys(key()), {"token": "token"}), ".more": "x"})
    assert mounted(folder, KeySecretSpec()).outdated is True


def test_no_mounted_secret(tmp_path: Path) -> None:
    assert mounted(tmp_path / "absent", KeySecretSpec()) == StoredKeys()
    assert mounted(tmp_path, KeySecretSpec()) == StoredKeys()


def test_a_mounted_file_that_can_not_be_read(tmp_path: Path) -> None:
    keys = StoredKeys(key())
    folder = mount(tmp_path / "key", encode(keys, {"token": "token"}))
    (folder / "a-file-that-goes").symlink_to("..data/gone")
    assert mounted(folder, KeySecretSpec()) == keys


def test_a_mounted_token_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff")
    current = mounted(tmp_path, KeySecretSpec()).current
    assert current
    assert current.token == "\ufffd"
