"""A keeper that runs on, as its Pod does, and what it shows of itself."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from dev.runtime import within
from tests.faults.release import Release
from tests.faults.traffic import Traffic


@dataclass
class Running:
    """The process, what it asks, what it has logged, and its port."""

    process: "subprocess.Popen[str]"
    traffic: Traffic
    port: int
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def ready(self) -> bool:
        """Tell whether it says that the key works."""
        return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).status_code == httpx.codes.OK

    def metric(self, name: str) -> float:
        """Return a metric without labels."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        (value,) = (line.split()[1] for line in text.splitlines() if line.startswith(f"gitops_runtime_auth_{name} "))
        return float(value)

    def end(self) -> str:
        """Kill it, and return what it has logged."""
        self.process.kill()
        self.process.wait()
        self._reading.join()
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            self.lines += output


def start(release: Release, traffic: Traffic) -> Running:
    """Start a keeper whose requests are noted in ``traffic``, which is the one of the release's proxies."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return Running(release.start("keep-on", str(port)), traffic, port)


@contextmanager
def keeper(release: Release) -> Iterator[Running]:
    """Run the keeper of a release that is installed, once it has seen that the key works; kill it in the end."""
    running = start(release, release.between.begin())
    try:
        within(30, lambda: any('"ready": true' in line for line in running.lines), "a good check of the keeper")
        yield running
    finally:
        release.said += running.end()
