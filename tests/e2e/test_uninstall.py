"""helm uninstall leaves no key in Argo CD and no Secret, and ends whatever is gone; helm test before it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import BLOCK, CHART, Runtime, runtime, within
from tests.e2e.leftovers import ABANDONED, FORGOTTEN, objects, remove_as_documented


@pytest.fixture
def surroundings() -> Iterator[Runtime]:
    with runtime("e2e-uninstall") as made:
        yield made


@pytest.mark.parametrize("program", ["helm", "helm4"])
def test_no_key_and_no_object_stay(surroundings: Runtime, program: str) -> None:
    before = objects(surroundings)
    surroundings.install(program=program)
    assert len(surroundings.keys()) == 1
    said = surroundings.helm("test", "r", program=program)
    assert said.count("  accepted") == 7, said  # one for app-proxy, environment and file of the other three
    assert said.count("  accepted") < surroundings.helm("test", "r", "--logs", program=program).count("  accepted")
    surroundings.helm("uninstall", "r", program=program)
    assert surroundings.keys() == []
    within(30, lambda: objects(surroundings) == before, "nothing is left, nor the Pod of helm test")


@pytest.mark.parametrize("program", ["helm", "helm4"])
def test_the_users_own_key_and_secret_stay(surroundings: Runtime, program: str) -> None:
    token = surroundings.argocd.create_key(surroundings.name, "users-own", surroundings.session)
    surroundings.secret("users-key", token=token)
    given = ["--set", f"{BLOCK}.auth.type=token", "--set", f"{BLOCK}.auth.tokenSecretKeyRef.name=users-key"]
    sets = [*surroundings.sets(), *given, "--set", f"{BLOCK}.auth.tokenSecretKeyRef.key=token"]
    surroundings.install(*sets, program=program)
    surroundings.helm("uninstall", "r", program=program)
    assert surroundings.keys() == ["users-own"]
    assert surroundings.cluster.get(path_of(surroundings.name, "secrets", "users-key"))


def test_argocd_gone_does_not_block(surroundings: Runtime) -> None:
    surroundings.install()
    stored = surroundings.key()
    assert stored is not None
    # The Argo CD that made the key is gone, for the Job alone: its name leads to where nothing listens.
    gone = [{"ip": "127.0.0.1", "hostnames": [urlsplit(stored.url).hostname]}]
    aliases = ["--set-json", f"hook.hostAliases={json.dumps(gone)}"]
    surroundings.helm("upgrade", "r", CHART, "--reuse-values", "--no-hooks", *aliases)
    began = time.monotonic()
    said = surroundings.helm("uninstall", "r", "--timeout", "4m")
    assert time.monotonic() - began < 180
    assert f"WARNING: Revoking the API key {stored.id} failed: Argo CD at {stored.url} does not answer" in said, said
    assert said.count("argocd account delete-token") == 1
    assert surroundings.cluster.get(path_of(surroundings.name, "secrets", KEY_SECRET)) is None


def test_the_key_revoked_and_the_password_gone_do_not_block(surroundings: Runtime) -> None:
    surroundings.install()
    stored = surroundings.key()
    assert stored is not None
    surroundings.without_keeper()
    surroundings.cluster.delete(path_of(surroundings.name, "secrets", surroundings.name))
    surroundings.revoke(stored)
    said = surroundings.helm("uninstall", "r")
    assert "does not exist, or its key" in said
    assert "argocd account delete-token" in said
    assert surroundings.cluster.get(path_of(surroundings.name, "secrets", KEY_SECRET)) is None


def test_a_namespace_that_is_being_deleted_does_not_block(surroundings: Runtime) -> None:
    surroundings.install()
    held = {"metadata": {"name": "held", "finalizers": ["gitops-runtime-auth.example/held"]}}
    surroundings.cluster.create(path_of(surroundings.name, "configmaps"), held)
    surroundings.cluster.delete(f"/api/v1/namespaces/{surroundings.name}")
    began = time.monotonic()
    surroundings.helm("uninstall", "r", "--timeout", "4m", "--ignore-not-found", check=False)
    assert time.monotonic() - began < 180
    within(90, lambda: surroundings.keys() == [], "no key outlives its namespace")
    held_there = path_of(surroundings.name, "configmaps", "held")
    surroundings.cluster.patch(held_there, {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("done", [FORGOTTEN, ABANDONED])
def test_what_argo_cd_leaves_is_removed_as_documented(surroundings: Runtime, tmp_path: Path, done: str) -> None:
    """Argo CD leaves something only sometimes, so this test makes the same by helm: all objects of the hook; or a Job
    that can't start, with the key and its Secret."""
    before = objects(surroundings)
    surroundings.install(*surroundings.hook_alone())
    surroundings.helm("uninstall", "r", "--no-hooks", "--wait")
    surroundings.helm("template", "r", CHART, *surroundings.hook_alone(), "--output-dir", str(tmp_path))
    hook = tmp_path / "gitops-runtime-auth" / "templates" / "hooks" / "cleanup"
    surroundings.kubectl("create", "-f", str(hook / "job.yaml" if done == ABANDONED else hook))
    if done == FORGOTTEN:
        surroundings.kubectl("wait", "--for=condition=Complete", "job/r-auth-cleanup", "--timeout=60s")
    assert remove_as_documented(surroundings, before) == done


def test_after_a_failed_install(surroundings: Runtime) -> None:
    surroundings.secret(surroundings.name, password="wrong")
    said = surroundings.helm("install", "r", CHART, *surroundings.sets(), check=False)
    assert "refuses the login" in said
    surroundings.helm("uninstall", "r")
    jobs = surroundings.cluster.get(f"/apis/batch/v1/namespaces/{surroundings.name}/jobs") or {}
    assert jobs["items"] == []
