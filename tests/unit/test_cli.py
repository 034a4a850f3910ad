"""The command line: what each command is given, and what is refused in words."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gitops_runtime_auth import cli, commands
from gitops_runtime_auth.commands import verify
from gitops_runtime_auth.errors import UsageError
from gitops_runtime_auth.mounted import Mounted
from gitops_runtime_auth.timing import Timing

TIMING = Timing(look=0.5)
CHART = Path(cli.__file__).parents[2] / "chart" / "Chart.yaml"


class Command(ModuleType):
    """Stands in the place of a command's module and remembers how it was called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def run(self, *given: Any, **named: Any) -> int:
        self.calls.append((given, named))
        return 7


def in_place_of(monkeypatch: pytest.MonkeyPatch, name: str) -> Command:
    command = Command(name)
    monkeypatch.setitem(sys.modules, f"{commands.__name__}.{name}", command)
    monkeypatch.setattr(commands, name, command, raising=False)
    return command


def called(monkeypatch: pytest.MonkeyPatch, argv: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Run a command line with a stand-in for its command; return what the command was given besides the environment."""
    command = in_place_of(monkeypatch, argv[0])
    assert cli.run(argv, TIMING) == 7
    ((environ, *given), named) = command.calls[0]
    assert environ["PATH"]
    return tuple(given), named


@pytest.mark.parametrize("command", ["retire", "cleanup", "keep"])
def test_commands_without_flags(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    assert called(monkeypatch, [command]) == ((TIMING,), {})


@pytest.mark.parametrize(("argv", "flag"), [(["ensure"], False), (["ensure", "--before-rollback"], True)])
def test_ensure_knows_whether_a_rollback_follows(monkeypatch: pytest.MonkeyPatch, argv: list[str], flag: bool) -> None:
    assert called(monkeypatch, argv) == ((TIMING,), {"before_rollback": flag})


def test_agent_by_default_and_with_every_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITOPS_RUNTIME_AUTH_FILES", raising=False)
    mounted = Path("/var/run/gitops-runtime-auth")
    assert called(monkeypatch, ["agent"]) == ((Mounted(mounted), 8080, TIMING, ""), {})
    monkeypatch.setenv("GITOPS_RUNTIME_AUTH_FILES", "/files")
    argv = ["agent", "--ca-file=/ca", "--insecure-skip-verify", "--port", "99", "--url=https://argocd"]
    expected = (Mounted(Path("/files"), Path("/ca"), True), 99, TIMING, "https://argocd")
    assert called(monkeypatch, argv) == (expected, {})


def test_verify_by_default_and_with_every_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[verify.Options] = []

    def run(_: object, options: verify.Options, timing: Timing) -> int:
        got.append(options)
        return int(timing is not TIMING)

    monkeypatch.setattr(verify, "run", run)
    assert cli.run(["verify"], TIMING) == 0
    cli.run(["verify", "--deployments=app-proxy,,x", "--consumers=deployment/a,statefulset/b"], TIMING)
    assert got == [
        verify.Options(),
        verify.Options(("app-proxy", "x"), ("deployment/a", "statefulset/b")),
    ]


def test_what_check_does_not_know_goes_to_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    command = in_place_of(monkeypatch, "check")
    assert cli.run(["check", "--set", "a=b", "--kube-version=1.30"], TIMING) == 7
    (((options, timing), _),) = command.calls
    assert (options.helm_values, options.helm_flags, timing) == (["--set", "a=b"], ["--kube-version=1.30"], TIMING)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "The following arguments are required: COMMAND."),
        (["nothing"], "Argument COMMAND: invalid choice: 'nothing'"),
        (["keep", "--port"], "Unrecognized arguments: --port."),
        (["agent", "--port", "many"], "Argument --port: invalid int value: 'many'."),
        (["completion", "fish"], "Argument shell: invalid choice: 'fish'"),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence(argv: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        cli.run(argv, TIMING)
    assert raised.value.problem.startswith(problem)
    assert raised.value.problem.endswith(".")
    assert raised.value.remedy.startswith("See gitops-runtime-auth")
    assert raised.value.remedy.endswith(" --help.")


def test_the_version_is_the_charts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["--version"], TIMING)
    assert ended.value.code == 0
    version = next(line for line in CHART.read_text().splitlines() if line.startswith("version: "))
    assert capsys.readouterr().out == f"gitops-runtime-auth {version.removeprefix('version: ')}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_flags_of_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", shell], TIMING) == 0
    script = capsys.readouterr().out
    for word in ("ensure", "before-rollback", "insecure-skip-verify", "kubeconfig"):
        assert word in script


def test_a_command_line_loads_no_command() -> None:
    """Start-up time is part of every install, and the image lacks what only check needs."""
    script = (
        "import json, sys; from gitops_runtime_auth import cli; cli.parser().parse_args(['ensure']);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "gitops_runtime_auth.cli" in loaded
    assert not {m for m in loaded if m.startswith("gitops_runtime_auth.commands")}
    assert not loaded & {"httpx", "kubernetes", "prometheus_client", "jsonschema", "yaml", "rich", "shtab"}
