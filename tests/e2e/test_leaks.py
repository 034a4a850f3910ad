"""No secret leaves: canaries and issued keys are looked for wherever a cluster shows what a release does."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.runtime import BLOCK, CHART, CONFIG, Runtime, runtime, within
from dev.sandbox import tools

COMMAND_LINES = """
import glob
for name in glob.glob("/proc/[0-9]*/cmdline"):
    print(open(name, "rb").read().replace(bytes(1), b" ").decode(errors="replace"))
"""
CORE = secrets.token_hex(6)
"""What every canary holds, however the rest of it is quoted. Argo CD takes passwords of 32 characters at most."""
PASSWORD = f"c$n'\"\\ry-{CORE}"


@pytest.fixture
def release() -> Iterator[Runtime]:
    with runtime("e2e-leaks") as made:
        made.set_password(made.name, PASSWORD)
        yield made


def kubectl(release: Runtime, *words: str) -> str:
    command = [str(tools.which("kubectl")), f"--kubeconfig={CONFIG}", "-n", release.name, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def shown(release: Runtime) -> dict[str, str]:
    """Return all that the release's Pods, Jobs, Deployments, Events and helm show, by place."""
    found = {kind: kubectl(release, "get", kind, "-o", "yaml") for kind in ("pods", "jobs", "deployments", "events")}
    found |= {f"helm get {what}": release.helm("get", what, "r") for what in ("hooks", "notes", "metadata", "manifest")}
    for pod in kubectl(release, "get", "pods", "-o", "name").split():
        found[f"log of {pod}"] = kubectl(release, "logs", pod, "--all-containers", "--prefix")
        found[f"processes of {pod}"] = kubectl(release, "exec", pod, "--", "/app/bin/python", "-c", COMMAND_LINES)
    found["metadata of the Secret"] = json.dumps(((store_of(release)) or {}).get("metadata"))
    return found


def store_of(release: Runtime) -> dict[str, object] | None:
    return release.cluster.get(f"/api/v1/namespaces/{release.name}/secrets/argocd-token")


def forms(secret: str) -> list[str]:
    """Return how ``secret`` may be written: as it is, in JSON, in base64 at any offset."""
    inner = [base64.b64encode(b"x" * n + secret.encode()).decode().rstrip("=")[4:-2] for n in range(3)]
    return [secret, json.dumps(secret)[1:-1], *inner]


def leaks(places: dict[str, str], *canaries: str) -> list[str]:
    return [place for place, text in places.items() for c in canaries for form in forms(c) if form in text]


def test_nothing_shows_a_credential(release: Runtime) -> None:
    """Through an install, a regeneration and a refusal, all at debug level."""
    release.secret(release.name, password=PASSWORD)
    sets = release.sets(hook__logLevel="debug")
    said = release.install(*sets)
    first = release.key()
    assert first is not None
    release.revoke(first)
    within(30, release.works)
    second = release.key()
    assert second is not None
    canaries = (CORE, *(entry.token.rpartition(".")[2] for entry in (first, second)))
    places = shown(release)
    assert "reason: ApiKeyRegenerated" in places["events"]
    assert [p for p in places if p.startswith("log of") and "app-proxy" in p]
    assert any("/app/bin/python" in text for place, text in places.items() if place.startswith("processes of"))
    assert leaks({**places, "helm": said}, *canaries) == []

    release.without_keeper()
    release.revoke(second)
    release.secret("wrong", password=f"{PASSWORD}-wrong")
    refused = [*sets, "--set", f"{BLOCK}.auth.passwordSecretKeyRef.name=wrong"]
    said = release.helm("upgrade", "r", CHART, *refused, check=False)
    assert "refuses the login" in said
    places = shown(release)
    assert "span" in places[next(place for place in places if place.startswith("log of pod/r-auth-ensure"))]
    assert leaks({**places, "helm": said}, *canaries) == []


def test_an_inline_password_shows_in_the_charts_own_secrets_alone(release: Runtime, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({"global": {"external-arg-cd": {"auth": {"password": PASSWORD}}}}))
    said = release.install(*release.sets(hook__logLevel="debug"), "-f", str(file))
    entry = release.key()
    assert entry is not None
    found = leaks({**shown(release), "helm": said}, CORE, entry.token.rpartition(".")[2])
    # helm keeps what it is given inline, and the chart's Secrets are made of it.
    assert set(found) == {"helm get hooks", "helm get manifest"}
