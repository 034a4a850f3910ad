"""The sandbox leaves alone what is somebody else's, gets over what a kill left behind, and says what it needs."""

import json
import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.sandbox import argocd, cgroups, cli, controlplane, debian, images, neighbours, network, processes, tools
from dev.sandbox.paths import TOOLS
from dev.sandbox.shell import SandboxError


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with the records of running processes, empty; logs beside it."""
    children: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(processes, "_CHILDREN", children)
    monkeypatch.setattr(processes, "_RECORDS", tmp_path / "run")
    monkeypatch.setattr(processes, "LOGS", tmp_path / "log")
    (tmp_path / "run").mkdir()
    yield tmp_path / "run"
    for child in children:
        child.wait()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that the network would have run."""
    commands: list[str] = []

    def fake(command: list[str | Path], **_: object) -> str:
        commands.append(" ".join(str(word) for word in command))
        return ""

    monkeypatch.setattr(network, "run", fake)
    return commands


# --- what it needs


@pytest.mark.parametrize("command", ["up", "down", "load-image"])
@pytest.mark.parametrize(("system", "user"), [("Linux", 1000), ("Darwin", 0)])
def test_without_root_or_off_linux_it_says_what_works_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, system: str, user: int
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(cli, "_alone", lambda: pytest.fail("something was begun"))
    assert cli.main([command]) == 1
    said = capsys.readouterr().err
    assert "needs root on a machine with Debian 12 (bookworm)" in said
    assert "E2E_KUBECONFIG" in said
    assert "E2E_IMAGE" in said


@pytest.mark.parametrize(("release", "here"), [("bookworm", True), ("trixie", False), ("", False)])
def test_another_debian_is_told_at_once_and_not_after_a_quarter_of_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, here: bool
) -> None:
    monkeypatch.setattr(debian, "_RELEASE", tmp_path / "os-release")
    if release:
        (tmp_path / "os-release").write_text(f"ID=debian\nVERSION_CODENAME={release}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    if here:
        cli._require_root()
    else:
        with pytest.raises(SandboxError, match="Debian 12"):
            cli._require_root()


def test_a_busy_port_is_named_with_the_command_that_finds_its_owner(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(controlplane, "PORT", port)
        with pytest.raises(SandboxError, match=f"Port {port} on 127.0.0.1 is taken.*ss -ltnp 'sport = :{port}'"):
            controlplane.check_port()
        own = {"pid": os.getpid(), "started": processes._started(os.getpid())}
        (records / "forward-host.json").write_text(json.dumps(own))
        controlplane.check_port()
    (records / "forward-host.json").unlink()
    controlplane.check_port()


# --- the network


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(network, "NAMESPACE", tmp_path / "netns")
    monkeypatch.setattr(network, "_MARK", tmp_path / "mark")
    return tmp_path / "netns"


def test_a_network_of_somebody_else_is_neither_used_nor_removed(namespace: Path, ran: list[str]) -> None:
    namespace.touch()
    with pytest.raises(SandboxError, match=r"that this sandbox did not make\. Remove it: ip netns delete"):
        network.up()
    network.down()
    assert namespace.exists()
    assert ran == []


def test_a_network_that_a_kill_left_half_made_is_made_anew(namespace: Path, ran: list[str]) -> None:
    namespace.touch()
    (namespace.parent / "mark").touch()
    network.up()
    assert ran[0] == f"ip netns add {network.NAME}"
    assert f"nsenter --net={namespace} -- ip link add {network.BRIDGE} type bridge" in ran


# --- processes


@pytest.mark.parametrize("record", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": ""}'])
def test_a_spoilt_record_is_no_process(records: Path, record: str) -> None:
    (records / "etcd.json").write_text(record)
    assert not processes.running("etcd")


def test_a_pid_that_another_process_has_by_now_is_left_alone(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (records / "etcd.json").write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("a stranger was signalled"))
    assert not processes.running("etcd")
    processes.stop("etcd")
    assert processes.names() == []


def test_a_started_process_is_found_again_and_ended_with_its_children(records: Path) -> None:
    processes.start("pair", ["sh", "-c", "sleep 60 & echo $!; wait"], in_namespace=False)
    log = records.parent / "log" / "pair.log"
    while not log.read_text().strip():
        assert processes.running("pair")
    child = int(log.read_text())
    processes.stop("pair")
    assert not processes.running("pair")
    until = time.monotonic() + 30  # init reaps it
    while processes._alive(child):
        assert time.monotonic() < until


def test_only_the_shims_of_our_containerd_are_killed() -> None:
    ours = Path("/state/containerd.sock")
    line = "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id 1 -address {}"
    assert processes.is_shim_of(line.format(ours).split(), ours)
    assert not processes.is_shim_of(line.format("/run/containerd/containerd.sock").split(), ours)
    assert not processes.is_shim_of(f"grep -r -address {ours}".split(), ours)
    assert not processes.is_shim_of([""], ours)


# --- cgroups


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup hierarchy; of version 1, one of two."""
    mount = tmp_path / "cgroup"
    monkeypatch.setattr(cgroups, "_MOUNT", mount)
    monkeypatch.setattr(cgroups, "_TASKS", tmp_path / "tasks")
    for hierarchy in [mount] if request.param == 2 else [mount / "memory", mount / "pids"]:
        group(hierarchy)
    if request.param == 2:
        (mount / "cgroup.controllers").write_text("cpu memory rdma\n")
    return mount if request.param == 2 else mount / "memory"


def group(path: Path, *pids: int) -> Path:
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    return path


def test_pods_of_another_kubelet_survive(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group(tree / "kubepods/besteffort/pod1/a", 11)
    group(tree / "k8s.io/b", 12)
    group(tree / "kubepods/besteffort/pod2/ours", 13)
    group(tree / "gitops-runtime-auth-sandbox/kubepods/pod3/c", 14)
    config = cgroups._TASKS / "ours" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"linux": {"cgroupsPath": "/kubepods/besteffort/pod2/ours"}}))
    for name, content in (("half", "{"), ("root", json.dumps({"linux": {"cgroupsPath": "/"}}))):
        (cgroups._TASKS / name).mkdir()
        (cgroups._TASKS / name / "config.json").write_text(content)
    killed: set[tuple[int, int]] = set()
    removed: list[str] = []
    monkeypatch.setattr(os, "kill", lambda pid, sign: killed.add((pid, sign)))

    def remove(path: Path) -> bool:
        removed.append(str(path.relative_to(tree)))
        return True

    monkeypatch.setattr(cgroups, "_remove", remove)
    cgroups.kill()
    assert killed == {(13, signal.SIGKILL), (14, signal.SIGKILL)}
    own = "gitops-runtime-auth-sandbox"
    assert set(removed) == {
        "kubepods/besteffort/pod2/ours",
        *(f"{own}{rest}" for rest in ("", "/kubepods", "/kubepods/pod3", "/kubepods/pod3/c")),
    }
    assert removed.index(f"{own}/kubepods/pod3") < removed.index(f"{own}/kubepods") < removed.index(own)


def test_the_kubelets_group_is_made_in_every_hierarchy_and_again(tree: Path) -> None:
    cgroups.make()
    cgroups.make()
    assert all((hierarchy / "gitops-runtime-auth-sandbox").is_dir() for hierarchy in cgroups._hierarchies())
    assert len(cgroups._hierarchies()) == (1 if tree == cgroups._MOUNT else 2)
    control = tree / "cgroup.subtree_control"
    assert control.exists() == (tree == cgroups._MOUNT)


# --- what is cached


def test_a_build_context_left_by_a_killed_run_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CACHE", tmp_path)
    (tmp_path / f"context-{os.getpid()}").mkdir()
    assert images._context() != images._context()


def test_a_sandbox_of_an_older_recipe_is_not_the_one_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifests").mkdir()
    install = tmp_path / "manifests" / "install.yaml"
    install.write_text("image: quay.io/argoproj/argocd:v3\nreplicas: 1\n")
    monkeypatch.setattr(tools, "module_folder", lambda *_: tmp_path)
    monkeypatch.setattr(argocd, "_RECIPE", tmp_path / "recipe")
    wanted = argocd.recipe([Path("cache/argocd-1.tar")])
    assert not argocd.is_wanted(wanted)
    (tmp_path / "recipe").write_text(wanted)
    assert argocd.is_wanted(argocd.recipe([Path("elsewhere/argocd-1.tar")]))
    assert not argocd.is_wanted(argocd.recipe([Path("cache/argocd-2.tar")]))
    with monkeypatch.context() as patch:
        patch.setattr(tools, "ARGOCD", "3.2.11")
        assert not argocd.is_wanted(argocd.recipe([Path("cache/argocd-1.tar")]))
    with monkeypatch.context() as patch:
        patch.setattr(tools, "KUBERNETES", "1.30.14")
        assert not argocd.is_wanted(argocd.recipe([Path("cache/argocd-1.tar")]))
    install.write_text(install.read_text().replace("replicas: 1", "replicas: 2"))
    assert not argocd.is_wanted(argocd.recipe([Path("cache/argocd-1.tar")]))


def test_the_clients_settings_are_those_of_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(name)
        (tmp_path / name / "go.sum").touch()
    with monkeypatch.context() as patch:
        patch.setattr(tools, "TOOLS", tmp_path)
        assert tools._key("a") != tools._key("b")
    assert tools.PLUGINS.name == tools._key("helm-unittest")
    assert tools.CT_CONFIG.name == tools._key("ct")


def test_settings_that_a_kill_left_incomplete_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("plugin.yaml", "etc/lintconf.yaml", "etc/chart_schema.yaml"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(tools, "ensure", lambda _: tmp_path)
    monkeypatch.setattr(tools, "module_folder", lambda *_: tmp_path)
    monkeypatch.setattr(tools, "PLUGINS", tmp_path / "plugins")
    monkeypatch.setattr(tools, "CT_CONFIG", tmp_path / "ct")
    (tmp_path / "plugins/unittest").mkdir(parents=True)
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct/lintconf.yaml").touch()
    tools.ensure_clients()
    assert (tmp_path / "plugins/unittest/plugin.yaml").read_text() == "plugin.yaml"
    assert {p.name for p in (tmp_path / "ct").iterdir()} == {"lintconf.yaml", "chart_schema.yaml"}
    assert (tmp_path / "ct/chart_schema.yaml").read_text() == "etc/chart_schema.yaml"


@pytest.mark.parametrize(
    ("given", "version"),
    [({}, "1.37.2"), ({"SANDBOX_KUBERNETES": ""}, "1.37.2"), ({"SANDBOX_KUBERNETES": "1.30.14"}, "1.30.14")],
)
def test_the_environment_chooses_a_line(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], version: str) -> None:
    monkeypatch.delenv("SANDBOX_KUBERNETES", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert tools._chosen("SANDBOX_KUBERNETES", tools.KUBERNETES_LINES) == version


def test_an_unknown_line_is_answered_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_ARGOCD", "3.4.0")
    with pytest.raises(SystemExit, match=r"SANDBOX_ARGOCD=3\.4\.0 is none of 3\.6\.1, 3\.2\.11"):
        tools._chosen("SANDBOX_ARGOCD", tools.ARGOCD_LINES)


def test_each_line_and_each_neighbour_has_a_recipe() -> None:
    folders = {*tools.KUBERNETES_LINES.values(), *tools.ARGOCD_LINES.values(), *(t.module for t in tools.NEIGHBOURS)}
    for folder in folders:
        assert f"module tools/{folder}\n" in (TOOLS / folder / "go.mod").read_text()
        assert (TOOLS / folder / "go.sum").stat().st_size


def test_a_neighbour_without_a_cluster_says_what_to_do_first(records: Path) -> None:
    with pytest.raises(SandboxError, match=r"run python -m dev\.sandbox up"):
        neighbours.up("flux")
    assert list(records.iterdir()) == []


def test_kube_routers_rules_and_sets_are_removed_and_the_kubelets_rules_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    kubelets = ["*filter", ":INPUT ACCEPT [0:0]", ":KUBE-FIREWALL - [0:0]", "-A INPUT -j KUBE-FIREWALL"]
    chains = [":KUBE-ROUTER-INPUT - [0:0]", ":KUBE-NWPLCY-DEFAULT - [0:0]", ":KUBE-POD-FW-ABC - [0:0]"]
    jumps = ["-A INPUT -j KUBE-ROUTER-INPUT", "-A KUBE-ROUTER-INPUT -s 1.2.3.4/32 -j KUBE-POD-FW-ABC"]
    lists_of_sets = ["", "KUBE-SRC-A"]
    restored: list[object] = []

    def run(command: list[str | Path], *, stdin: object = None, check: bool = True) -> str:
        match command[3:]:
            case ["iptables-save", "-t", "filter"]:
                return "\n".join([*kubelets, *chains, *jumps, "COMMIT", ""])
            case ["iptables-restore"]:
                restored.append(stdin)
            case ["ipset", "destroy"] if check:
                raise SandboxError("Set cannot be destroyed: it is in use by a kernel component")
            case ["ipset", "list", "-name"]:
                return lists_of_sets.pop()
        return ""

    monkeypatch.setattr(network, "run", run)
    network.drop_policies()
    assert restored == ["\n".join([*kubelets, "COMMIT", ""])]
    assert lists_of_sets == [], "asked again until the kernel has let go of the last one"
