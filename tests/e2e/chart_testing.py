"""``ct install`` on a real cluster, under Pod Security `restricted`.

Every chart/ci case installs, passes ``helm test`` and goes; with ``--upgrade`` once more as an upgrade of the previous
chart, which takes two minutes: so it is done in each run with the two that differ most, and with the others in the zoo.
The cases are shared between two files, which run side by side.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.cluster import decoded, path_of
from dev.runtime import BLOCK, CHART, CONFIG, IMAGE, Runtime, runtime
from tests.chart import helm

PASSWORD = "a-password"
ROOT = Path(CHART).parent
CASES = sorted(case.name for case in Path(CHART).glob("ci/*"))
UPGRADED = ("everything-values.yaml", "token-ref-values.yaml")
REPOSITORY, _, TAG = IMAGE.rpartition(":")


def cases(token: bool) -> pytest.MarkDecorator:
    """Return the parameters ``case`` and ``upgrade`` for the cases of ``type: token``, or for all others."""
    given = []
    for case in CASES:
        if case.startswith("token") != token:
            continue
        if case not in UPGRADED:
            given.append(pytest.param(case, False, id=case))
        upgraded = [] if case in UPGRADED else [pytest.mark.zoo]
        given.append(pytest.param(case, True, id=f"{case}, also as an upgrade", marks=upgraded))
    return pytest.mark.parametrize(("case", "upgrade"), given)


@contextmanager
def restricted() -> Iterator[Runtime]:
    """A namespace that enforces Pod Security `restricted`, with what the ci cases refer to."""
    with runtime("e2e-ct") as made:
        label = {"pod-security.kubernetes.io/enforce": "restricted"}
        made.cluster.patch(f"/api/v1/namespaces/{made.name}", {"metadata": {"labels": label}})
        made.account(f"{made.name}-robot", PASSWORD)
        made.secret("argocd-initial-admin-secret", password=PASSWORD)
        made.secret("my-argo-cd-token", token=made.argocd.create_key(f"{made.name}-robot", "ct", made.session))
        made.secret("argocd-secret", **{"tls.crt": decoded(made.cluster, "argocd", "argocd-secret")["tls.crt"]})
        made.cluster.create(f"/api/v1/namespaces/{made.name}/serviceaccounts", {"metadata": {"name": "event-reporter"}})
        yield made


def _adapt(chart: Path, place: Runtime, case: str) -> None:
    """Let the case name what this cluster has; no Prometheus operator, no proxy, no vendor's image."""
    replaced = {
        "an-api-key": decoded(place.cluster, place.name, "my-argo-cd-token")["token"],
        "username: admin": f"username: {place.name}-robot",
        "username: alice": f"username: {place.name}-robot",
        "https://argocd.example.com:8443/argocd": "https://argocd-server.argocd",
        "enabled: true, interval": "enabled: false, interval",
        "prometheusRule: {enabled: true": "prometheusRule: {enabled: false",
        "repository: example.com/event-reporter, tag: v1": f"repository: {REPOSITORY}, tag: {TAG}",
        "[/event-reporter]": "[gitops-runtime-auth]",
        "[--verbose]": "[agent, --insecure-skip-verify]",
        "http://proxy.example.com:3128": "",
    }
    for file in chart.glob("ci/*"):
        if file.name != case:
            file.unlink()
            continue
        text = file.read_text(encoding="utf-8")
        for old, new in replaced.items():
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")


def _git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def _history(folder: Path, place: Runtime, case: str) -> Path:
    """A repository with the last other chart on ``origin/main`` and the present one after it, both with one case."""
    before = folder / "before"
    before.mkdir()
    log = subprocess.run(["git", "log", "-2", "--format=%H", "--", "chart"], cwd=ROOT, check=True, capture_output=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "chart"], cwd=ROOT, check=False).returncode
    previous = log.stdout.decode().split()[0 if changed else -1]
    archive = subprocess.run(["git", "archive", previous, "chart"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=before, input=archive, check=True)
    _adapt(before / "chart", place, case)
    _git(before, "init", "-q", "-b", "main")
    _git(before, "add", ".")
    _git(before, "commit", "-qm", "before")
    subprocess.run(["git", "clone", "-q", before, folder / "now"], check=True)
    now = folder / "now"
    shutil.copytree(CHART, now / "chart", dirs_exist_ok=True)
    _adapt(now / "chart", place, case)
    (now / "chart" / ".now").touch()
    _git(now, "add", ".")
    _git(now, "commit", "-qm", "now")
    return now


def ct_install(place: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch, case: str, upgrade: bool) -> None:
    """Run one case: ct's own word for a file of ``chart/ci``."""
    monkeypatch.setitem(os.environ, "KUBECONFIG", CONFIG)
    monkeypatch.chdir(_history(folder, place, case))
    extra = f"--set=image.repository={REPOSITORY} --set=image.tag={TAG} --set={BLOCK}.server.svc=argocd-server.argocd"
    config = ("--config", ROOT / "ct.yaml", "--charts", "chart", "--namespace", place.name)
    before = _secrets(place)
    run = helm.run("ct", "install", f"--upgrade={upgrade}".lower(), *config, "--helm-extra-set-args", extra)
    sys.stdout.write(run.out)
    assert run.code == 0, run.out + run.err
    assert run.out.count("Installing chart with values file") == 1
    # ct upgrades it twice: from the previous chart to this one, and from this one to itself.
    assert run.out.count("has been upgraded") == (2 if upgrade else 0)
    assert _secrets(place) == before
    assert [key.id for key in place.argocd.account(f"{place.name}-robot", place.session).keys] == ["ct"]


def _secrets(place: Runtime) -> set[str]:
    found = place.cluster.get(path_of(place.name, "secrets")) or {}
    return {secret["metadata"]["name"] for secret in found["items"]}
