"""The documentation's commands, page by page, as a reader would type them, on a real cluster with a stock Argo CD.

They change Argo CD's settings (accounts, RBAC), which are put back afterwards: nothing else may use it meanwhile.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.sandbox import tools
from dev.sandbox.cli import PROJECT_IMAGE
from dev.site import CONFIG, Site
from tests.docs.blocks import ALL, INLINE, ROOT, Block

pytestmark = pytest.mark.alone
REPOSITORY, _, TAG = (os.environ.get("E2E_IMAGE") or PROJECT_IMAGE).rpartition(":")
IMAGE = f"image:\n  repository: {REPOSITORY}\n  tag: {TAG}\n"
SETTINGS = ("argocd-cm", "argocd-rbac-cm")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A stock Argo CD, a folder with the chart, and the environment of somebody who has the programs installed."""
    (tmp_path / "chart").symlink_to(ROOT / "chart")
    program = tmp_path / "gitops-runtime-auth"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT / "hook"} exec {sys.executable} -m gitops_runtime_auth "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    site, path = Site(), "/api/v1/namespaces/argocd/configmaps/"
    before: dict[str, Any] = {name: (site.cluster.get(path + name) or {}).get("data") or {} for name in SETTINGS}
    environ = {
        **site.environment(),
        "PATH": f"{tmp_path}:{tools.CURRENT}:{os.environ['PATH']}",
        "ADMIN_PASSWORD": site.admin_password,
        "RUNTIME_PASSWORD": secrets.token_hex(12),
    }
    remove_releases(tmp_path, environ)  # which ``make demo`` leaves to look at
    site.cluster.patch(f"{path}argocd-cm", {"data": {"accounts.admin": None}})
    try:
        yield environ
    finally:
        remove_releases(tmp_path, environ)  # of a page that broke off
        for name in SETTINGS:
            after = (site.cluster.get(path + name) or {}).get("data") or {}
            site.cluster.patch(path + name, {"data": dict.fromkeys(after) | before[name]})
        site.close()


def remove_releases(folder: Path, environ: dict[str, str]) -> None:
    """Uninstall the pages' releases."""
    for namespace in ("argocd", "runtime"):
        run(f"helm uninstall my-runtime -n {namespace} --ignore-not-found --wait", folder, environ)
    run("kubectl delete namespace runtime --ignore-not-found", folder, environ)


def install(folder: Path, environ: dict[str, str]) -> None:
    """What the page takes for granted: a release ``my-runtime`` in namespace argocd, as the README makes it."""
    (folder / "image.yaml").write_text(IMAGE, encoding="utf-8")
    patch = '{"data": {"accounts.admin": "apiKey,login"}}'
    run(f"kubectl -n argocd patch configmap argocd-cm --type merge -p '{patch}'", folder, environ)
    run("helm install my-runtime ./chart -n argocd -f image.yaml --wait", folder, environ)


def run(text: str, folder: Path, environ: dict[str, str], expected: int = 0, where: str = "") -> None:
    command = ["bash", "-eu", "-o", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"{where}: {text}\n{done.stdout}\n{done.stderr}"


PAGES = sorted({block.page for block in ALL if block.mark == "cluster"})


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, tmp_path: Path, reader: dict[str, str]) -> None:
    blocks: list[Block] = [block for block in ALL if block.page == page]
    for block in blocks:
        if block.options.get("setup") == "install":
            install(tmp_path, reader)
        if block.mark in ("file", "part"):
            text = IMAGE if block.options["file"] == "image.yaml" else block.text
            (tmp_path / block.options["file"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.options["file"]).write_text(text, encoding="utf-8")
        if block.mark in ("cluster", "run"):
            run(block.text, tmp_path, reader, int(block.options.get("expect", "0")), str(block))


LOOKS = re.compile(r"kubectl (-n \S+ )?(get|auth|logs deployment)\b|argocd account get ")
STANDS_FOR = {"NAMESPACE": "argocd", "NAME": "admin", "RELEASE": "my-runtime"}


def test_the_commands_in_the_text_that_only_look_work(tmp_path: Path, reader: dict[str, str]) -> None:
    """Where a page names no namespace, it is the reader's own."""
    reader["KUBECONFIG"] = str(tmp_path / "kubeconfig")
    (tmp_path / "kubeconfig").write_bytes(Path(CONFIG).read_bytes())
    run("kubectl config set-context --current --namespace argocd", tmp_path, reader)
    looks = [command for command in INLINE if LOOKS.match(command.text)]
    install(tmp_path, reader)
    for command in looks:
        text = re.sub(r"\b(NAMESPACE|NAME|RELEASE)\b", lambda found: STANDS_FOR[found[0]], command.text)
        run(text, tmp_path, reader, where=str(command))
    assert len(looks) > 8
