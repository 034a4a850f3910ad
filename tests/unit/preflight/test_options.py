"""The command line of check, and the namespace and cluster that it is about."""

from pathlib import Path

import pytest

from gitops_runtime_auth import cli
from gitops_runtime_auth.__main__ import main
from gitops_runtime_auth.preflight.options import CheckOptions, default_namespace, from_arguments
from tests.fakes.laptop import FakeLaptop


def options(line: str) -> CheckOptions:
    return from_arguments(*cli.parser().parse_known_args(["check", *line.split()]))


def test_the_command_line_becomes_options() -> None:
    found = options(
        "-f a --set b=1 -n ns --release r --kube-context k -o json --version 1.2 --kubeconfig c --skip-tests"
    )
    assert (found.namespace, found.release, found.context, found.output) == ("ns", "r", "k", "json")
    assert found.helm_values == ["-f", "a", "--set", "b=1"]
    assert found.helm_flags == ["--version", "1.2", "--skip-tests"]
    assert found.cluster_flags("--context") == ["--kubeconfig", "c", "--context", "k"]


def test_no_value_shows_in_a_repr() -> None:
    assert "canary" not in repr(options("--set password=canary --set-json canary"))


def test_helms_variables_count_as_they_do_for_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_NAMESPACE", "of-helm")
    monkeypatch.setenv("HELM_KUBECONTEXT", "of-helm")
    assert (default_namespace(options("")), options("").context) == ("of-helm", "of-helm")
    assert (default_namespace(options("-n own")), options("--context own").context) == ("own", "own")


def test_the_namespace_is_the_kubeconfigs_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELM_NAMESPACE", raising=False)
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: c, cluster: {server: 'https://x'}}]\n"
        "users: [{name: u, user: {}}]\ncontexts:\n- {name: a, context: {cluster: c, user: u, namespace: one}}\n"
        "- {name: b, context: {cluster: c, user: u}}\n"
    )
    assert default_namespace(options(f"--kubeconfig {config}")) == "one"
    assert default_namespace(options(f"--kubeconfig {config} --context b")) == "default"
    assert default_namespace(options(f"--kubeconfig {config} -n two")) == "two"
    assert default_namespace(options(f"--kubeconfig {tmp_path / 'absent'}")) == "default"


def test_a_server_that_is_no_url_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--server", "argocd.example.com"]) == 64
    assert "--server argocd.example.com is not a URL" in capsys.readouterr().err


def test_only_check_hands_flags_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensure", "--set", "a=b"]) == 64
    assert "Unrecognized arguments: --set a=b" in capsys.readouterr().err


def test_completion_knows_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert "--set-literal" in capsys.readouterr().out


def test_no_kubeconfig_at_all_is_said(laptop: FakeLaptop) -> None:
    laptop.kubeconfig.unlink()
    found = laptop.check()
    assert (found.code, found.failed()) == (78, ["Credential"])
    assert "There is no way to the Kubernetes API from here" in found.only_failure()["found"]
