"""Installs the Debian packages that the sandbox needs, and makes the base of its images."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from dev.sandbox.paths import CACHE
from dev.sandbox.shell import SandboxError, run, step

SUITE = "bookworm"
CNI_PLUGINS = Path("/usr/lib/cni")
PROGRAMS = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "socat": "socat",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "git": "git",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
}

_RELEASE = Path("/etc/os-release")


def is_here() -> bool:
    """Tell whether this machine is the Debian that the recipes are for: its packages and its mirror are used."""
    return _RELEASE.exists() and f"VERSION_CODENAME={SUITE}" in _RELEASE.read_text().splitlines()


def install(programs: Mapping[str, str] = PROGRAMS) -> None:
    """Install what is missing of ``programs``. None of these packages starts a service here."""
    missing = [package for program, package in programs.items() if not shutil.which(program)]
    if missing:
        with step(f"installing {' '.join(missing)}"):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "-qq"], env=environment)
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=environment)


def base_archive() -> Path:
    """Return a tar of a minimal Debian with Python: what ``debian:bookworm-slim`` is to others."""
    archive = CACHE / f"debian-{SUITE}.tar"
    if not archive.exists():
        with step(f"bootstrapping Debian {SUITE}"):
            folder = CACHE / f"debian-{SUITE}.part"
            shutil.rmtree(folder, ignore_errors=True)
            run(["debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, folder, _mirror()])
            shutil.copyfile("/etc/apt/sources.list", folder / "etc/apt/sources.list") if Path(
                "/etc/apt/sources.list"
            ).exists() else None
            for extra in Path("/etc/apt/sources.list.d").glob("*"):
                if extra.is_file():
                    shutil.copyfile(extra, folder / "etc/apt/sources.list.d" / extra.name)
            for left in (folder / "var/cache/apt/archives", folder / "var/lib/apt/lists"):
                for file in left.rglob("*"):
                    file.unlink() if file.is_file() else None
            run(["tar", "-C", folder, "--one-file-system", "-cf", archive.with_suffix(".part.tar"), "."])
            archive.with_suffix(".part.tar").rename(archive)
            shutil.rmtree(folder)
    return archive


def _mirror() -> str:
    """The mirror that this machine's apt uses."""
    found = re.search(rf"^ *500 (\S+) {SUITE}/main ", run(["apt-cache", "policy"]), re.MULTILINE)
    if not found:
        raise SandboxError("apt-cache policy shows no mirror for Debian bookworm: run apt-get update first")
    return found[1]
