"""Runs what is timed in the image's own file system and in the cluster's network, as in a Pod."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from dev.sandbox import network, tools

USER = "65532"
PROGRAM = "/app/bin/gitops-runtime-auth"
_RESOLV = f"nameserver {network.NODE_IP}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n"


@dataclass(frozen=True)
class Timing:
    """One or more processes, one after the other: seconds, seconds of CPU, and the largest resident set in bytes."""

    wall: float
    cpu: float
    memory: int
    code: int
    said: str
    first: float
    """Seconds until it said something."""

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(
            self.wall + other.wall,
            self.cpu + other.cpu,
            max(self.memory, other.memory),
            self.code or other.code,
            self.said + other.said,
            self.first,
        )


class Chamber:
    """An unpacked image with the argocd CLI and kubectl beside it. Use as a context."""

    def __init__(self, image: Path) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
        self.root.chmod(0o755)
        self.layers = _unpack(image, self.root)
        (self.root / "bench").mkdir()
        for name in ("argocd", "kubectl"):
            shutil.copy(tools.which(name), self.root / "bench" / name)
        (self.root / "etc" / "resolv.conf").write_text(_RESOLV)
        (self.root / "dev").mkdir(exist_ok=True)
        os.mknod(self.root / "dev" / "null", 0o20666, os.makedev(1, 3))

    def __enter__(self) -> "Chamber":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        shutil.rmtree(self.root)

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file that the processes may read."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        shutil.chown(file, int(USER), int(USER))
        shutil.chown(file.parent, int(USER), int(USER))

    def time(self, command: Sequence[str], env: Mapping[str, str], given: str = "") -> Timing:
        """Run a program and time it, from before its start to after its end. Any number may run at once."""
        enter = [f"--net={network.NAMESPACE}", f"--root={self.root}", f"--setuid={USER}", f"--setgid={USER}"]
        began = time.perf_counter()
        process = subprocess.Popen(
            ["nsenter", *enter, "--", *command],
            env={"PATH": "/app/bin:/usr/bin", "HOME": "/tmp", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin
        assert process.stdout
        peak = _Peak(process.pid)
        process.stdin.write(given.encode())
        process.stdin.close()
        said = process.stdout.read(1)
        first = time.perf_counter() - began
        said += process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        peak.join()
        return Timing(wall, cpu, peak.bytes, process.returncode, said.decode(errors="replace"), first)


class _Peak(threading.Thread):
    """Watches a process' largest resident set. Not by ``ru_maxrss``: that counts the process it was forked from."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0
        self.start()

    def run(self) -> None:
        while True:
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text())
            except OSError:
                return
            if not found:
                return  # ended, and not yet waited for
            self.bytes = int(found[1]) << 10
            time.sleep(0.05)


def forget_files() -> None:
    """Empty the page cache: the next start reads everything from the disk, as on a node new to the image."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def _unpack(image: Path, root: Path) -> list[Path]:
    """Unpack a docker-archive and return its layers, still packed, for their size."""
    with tarfile.open(image) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or _missing(image))
        layers = []
        for name in manifest[0]["Layers"]:
            target = Path(tempfile.mkstemp(prefix="layer-", dir=root)[1])
            with archive.extractfile(name) or _missing(image) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            subprocess.run(["tar", "-xf", target, "-C", root], check=True)
            layers.append(target)
    return layers


def _missing(image: Path) -> NoReturn:
    raise FileNotFoundError(f"{image} is no docker-archive")
