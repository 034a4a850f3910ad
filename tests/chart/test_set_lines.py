"""Our reading of ``--set`` against the real thing: both helms must read every line as we do."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dev.sandbox import tools
from tests.set_lines import BAD, GOOD


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: echo\nversion: 0.1.0\n", encoding="utf-8")
    (folder / "templates/values.yaml").write_text('values: {{ omit .Values "global" | toJson | b64enc }}\n')
    return folder


def _helm(name: str, chart: Path, line: str) -> dict[str, Any] | None:
    command = [str(tools.which(name)), "template", "echo", str(chart), "--set", line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(base64.b64decode(done.stdout.partition("values: ")[2]))
    return found


@pytest.mark.parametrize("name", ["helm", "helm4"])
def test_helm_reads_each_line_as_we_do(name: str, chart: Path) -> None:
    found = {line: _helm(name, chart, line) for line in GOOD}
    assert found == GOOD


@pytest.mark.parametrize("name", ["helm", "helm4"])
def test_helm_refuses_what_we_refuse(name: str, chart: Path) -> None:
    assert {line: _helm(name, chart, line) for line in BAD} == dict.fromkeys(BAD)
