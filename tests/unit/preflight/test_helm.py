"""The chart is rendered by the user's own helm, with every flag of helm's as it came."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from dev.sandbox.tools import CURRENT
from gitops_runtime_auth.config.schema import chart_file
from tests.fakes.laptop import ONCE, FakeLaptop

BLOCK = "global.external-arg-cd"


@pytest.fixture(autouse=True)
def plain_helm(laptop: FakeLaptop) -> None:
    laptop.plain_helm()


PARENT = """
apiVersion: v2
name: platform
version: 1.0.0
dependencies:
  - {name: gitops-runtime-auth, version: "*", repository: "", alias: runtime-auth}
"""


def spy(laptop: FakeLaptop) -> Path:
    """Have a helm that notes how it is called and what it is given to read, and hands over to the real one."""
    asked = laptop.folder / "helm-asked"
    laptop.program("helm", f'echo "$@" >> {asked}\nexec {CURRENT}/helm "$@"')
    return asked


def mute(laptop: FakeLaptop) -> tuple[Path, Path]:
    """Have a helm that notes its arguments, one a line, and its standard input, and fails."""
    arguments, stdin = laptop.folder / "arguments", laptop.folder / "stdin"
    laptop.program("helm", f'for word in "$@"; do echo "$word"; done > {arguments}\n/bin/cat > {stdin}\nexit 1')
    return arguments, stdin


def test_values_are_merged_by_helm(laptop: FakeLaptop) -> None:
    first = laptop.values({"global": {"external-arg-cd": {"auth": {"username": "of-file"}}}})
    second = laptop.values({"global": {"external-arg-cd": {"auth": {"username": "of-second"}}}}, "second.yaml")
    (laptop.folder / "name").write_text("of-set-file")
    files = ("-f", first, "--values", second)
    assert "account of-second," in laptop.check(*files).row("Values")["found"]
    of_file = ("--set-file", f"{BLOCK}.auth.username={laptop.folder / 'name'}")
    assert (
        "account of-set-file,"
        in laptop.check("--set", f"{BLOCK}.auth.username=x", *files, *of_file).row("Values")["found"]
    )


@pytest.mark.parametrize(
    "flags",
    [
        ["--values", "a.yaml", "--set", "a=b,c=d", "--values", "b.yaml"],
        ["--set-string", "a=1", "--set-json", 'a={"b": [1, 2]}', "--set-literal", "a=b,c", "--set-file", "a=x"],
    ],
)
def test_values_flags_reach_helm_as_they_came(laptop: FakeLaptop, flags: list[str]) -> None:
    arguments, stdin = mute(laptop)
    laptop.check(*flags, by_service=True)
    assert "\n".join(flags) in arguments.read_text()
    assert stdin.read_text() == ""


@pytest.mark.parametrize("flags", [["-f", "-"], ["--values=-"], ["-f", "a.yaml,-"], ["--set-file", "a.b=-"]])
def test_a_dash_is_standard_input(laptop: FakeLaptop, flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"of: stdin")))
    _, stdin = mute(laptop)
    laptop.check(*flags, by_service=True)
    assert stdin.read_text() == "of: stdin"


def test_standard_input_serves_both_runs_of_helm(laptop: FakeLaptop, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"global: {external-argo-cd: {server: {svc: of-stdin}, auth: {type: password, username: a}}}"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    found = laptop.check("-f", "-", by_service=True)
    assert "https://of-stdin" in found.row("Values")["found"]
    assert "global.external-argo-cd counts" in found.row("Vendor's chart")["found"]


def test_flags_that_check_does_not_know_go_to_helm_as_they_came(laptop: FakeLaptop) -> None:
    asked = spy(laptop)
    laptop.check("--release", "rel", "--skip-tests", "--description", "two words", "--context", "fake")
    line = asked.read_text().splitlines()[0]
    assert line.startswith("template rel ")
    assert "--namespace ns" in line
    assert "--skip-tests --description two words" in line
    assert "--kube-context fake" in line


def test_the_chart_is_rendered_for_the_users_cluster(laptop: FakeLaptop) -> None:
    asked = spy(laptop)
    laptop.version("v1.33.7-eks-1", "apps/v1", "security.openshift.io/v1")
    assert laptop.check().code == 0
    assert "--kube-version v1.33.7-eks-1 --api-versions apps/v1,security.openshift.io/v1" in asked.read_text()


@pytest.mark.parametrize("flags", [["--kube-version=v1.31.0"], ["-a", "x/v1"], ["--dry-run=server"]])
def test_a_user_who_describes_the_cluster_himself_is_not_overruled(laptop: FakeLaptop, flags: list[str]) -> None:
    arguments, _ = mute(laptop)
    laptop.check(*flags)
    assert "\n".join(flags) in arguments.read_text()
    assert "v1.34.2" not in arguments.read_text()


def test_a_cluster_that_is_too_old_for_the_chart_is_refused_by_helm(laptop: FakeLaptop) -> None:
    laptop.version("v1.20.0")
    found = laptop.check()
    assert (found.code, found.failed()) == (78, ["Values"])
    assert "kubeVersion" in found.row("Values")["found"]


def test_what_helm_says_about_values_is_shown_and_nothing_is_asked(laptop: FakeLaptop) -> None:
    found = laptop.check("--set", f"{BLOCK}.server.port=x")
    assert (found.code, found.failed()) == (78, ["Values"])
    assert found.row("Values")["found"] == (
        "helm can't render the chart: values don't meet the specifications of the schema(s) in the following chart(s):"
        "\ngitops-runtime-auth:\n- at '/global/external-arg-cd/server/port': got string, want integer"
    )
    assert laptop.argocd.server.asked() == []


def test_helms_other_refusals_are_shown_too(laptop: FakeLaptop) -> None:
    for arguments, part in (
        (("--bogus",), "unknown flag: --bogus"),
        (("--releas", "x"), "unknown flag: --releas"),  # no short form of check's own --release
        (("-f", "absent.yaml"), "absent.yaml"),
    ):
        found = laptop.check(*arguments)
        assert (found.code, found.failed()) == (78, ["Values"])
        assert part in found.row("Values")["found"]


def test_without_helm_one_sentence_says_so(laptop: FakeLaptop) -> None:
    (laptop.programs / "helm").unlink()
    found = laptop.check()
    assert (found.code, found.failed()) == (64, ["Values"])
    assert found.row("Values")["found"] == "helm is not on PATH, and check needs it to render the chart."


def test_a_helm_that_hangs_is_ended(laptop: FakeLaptop) -> None:
    laptop.program("helm", "exec /bin/sleep 60")
    found = laptop.check("--timeout", "0.3")
    assert (found.code, found.failed()) == (69, ["Values"])


def test_a_parent_chart_is_read_where_it_holds_this_one(laptop: FakeLaptop) -> None:
    folder = laptop.folder / "platform"
    (folder / "charts").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(PARENT)
    (folder / "charts/gitops-runtime-auth").symlink_to(chart_file("Chart.yaml").parent)
    found = laptop.check("--chart", str(folder), "--set", "runtime-auth.hook.enableApiKey=true")
    assert found.code == 0, found.out
    (folder / "charts/gitops-runtime-auth").unlink()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: platform\nversion: 1.0.0\n")
    found = laptop.check("--chart", str(folder))
    assert (found.code, found.failed()) == (78, ["Values"])
    assert "renders no settings" in found.row("Values")["found"]


def test_a_chart_that_holds_this_one_twice_asks_which_is_meant(laptop: FakeLaptop) -> None:
    folder = laptop.folder / "platform"
    (folder / "charts").mkdir(parents=True)
    twice = PARENT + '  - {name: gitops-runtime-auth, version: "*", repository: "", alias: second}\n'
    (folder / "Chart.yaml").write_text(twice)
    (folder / "charts/gitops-runtime-auth").symlink_to(chart_file("Chart.yaml").parent)
    found = laptop.check("--chart", str(folder))
    assert found.failed() == ["Values"]
    assert "2 times" in found.row("Values")["found"]


def test_an_inline_credential_is_read_from_what_the_chart_makes_of_it(laptop: FakeLaptop) -> None:
    laptop.argocd.account("admin", password="canary: in the values")
    found = laptop.check("--set-string", f"{BLOCK}.auth.password=canary: in the values")
    assert found.code == 0
    assert found.row("Credential")["found"] == f"{BLOCK}.auth.password"
    assert "canary" not in found.out + found.err


def test_the_chart_is_rendered_without_a_cluster_too(laptop: FakeLaptop) -> None:
    laptop.kubernetes.server.go_down()
    found = laptop.check("--kube-version", "v1.34.0", timing=ONCE)
    assert found.row("Values")["state"] == "ok"
