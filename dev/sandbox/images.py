"""Builds container images with buildah from the debootstrapped base, and imports them into containerd."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dev.sandbox import debian
from dev.sandbox.paths import CACHE, STATE
from dev.sandbox.shell import run, step
from dev.sandbox.tools import ARGOCD, which

BASE = f"localhost/debian-base:{debian.SUITE}"
PAUSE = "localhost/sandbox-pause:1"
ARGOCD_IMAGE = f"localhost/argocd:v{ARGOCD}"
REDIS_IMAGE = "localhost/redis:debian"
CONTAINERD_SOCKET = STATE / "containerd.sock"

_ARCHIVES = CACHE / "images"
_KEPT = 4
_RECIPES = Path(__file__).parent / "recipes"


def ensure() -> list[Path]:
    """Return the archives of all images that the sandbox itself needs, built on demand."""
    return [
        _ensure(PAUSE, _RECIPES / "pause.Containerfile", {}),
        _ensure(REDIS_IMAGE, _RECIPES / "redis.Containerfile", {}),
        _ensure(ARGOCD_IMAGE, _RECIPES / "argocd.Containerfile", {name: which(name) for name in ("argocd", "helm")}),
    ]


def build_project(name: str, dockerfile: Path, context: Path) -> Path:
    """Build the project's Dockerfile as ``name`` unless an image of the same files is cached."""
    parts = [dockerfile, *_copied(dockerfile, context)]
    return _ensure(name, dockerfile, {str(p.relative_to(context)): p for p in parts[1:]}, context)


def load(archive: Path) -> None:
    """Import an archive into the sandbox's containerd."""
    run(["ctr", f"--address={CONTAINERD_SOCKET}", "-n", "k8s.io", "images", "import", archive])


def _ensure(name: str, recipe: Path, files: dict[str, Path], context: Path | None = None) -> Path:
    key = hashlib.sha256(f"{name} {debian.SUITE}".encode() + recipe.read_bytes())
    for target, source in sorted(files.items()):
        # A cached program's real path holds the hash of its recipe; everything else is small enough to read.
        key.update(target.encode() + (str(source.resolve()).encode() if context is None else source.read_bytes()))
    stem = name.replace("/", "_").replace(":", "_")
    archive = _ARCHIVES / f"{stem}-{key.hexdigest()[:16]}.tar"
    if not archive.exists():
        _ensure_base()
        with step(f"building image {name}"):
            _build(name, recipe, files, archive, context)
        _prune(stem)
    return archive


def _prune(stem: str) -> None:
    """Keep the newest archives of an image: a few, for those who go back and forth between branches."""
    for old in sorted(_ARCHIVES.glob(f"{stem}-*.tar"), key=lambda p: -p.stat().st_mtime)[_KEPT:]:
        old.unlink()


def _build(name: str, recipe: Path, files: dict[str, Path], archive: Path, context: Path | None) -> None:
    folder = context
    if folder is None:
        folder = _context()
        for target, source in files.items():
            shutil.copy(source, folder / target)
    try:
        mounts = _machine_trust()
        buildah("bud", "--layers=false", *mounts, f"--build-arg=BASE_IMAGE={BASE}", "-t", name, "-f", recipe, folder)
    finally:
        if context is None:
            shutil.rmtree(folder)
    _ARCHIVES.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(f".part{os.getpid()}")
    buildah("push", "-q", name, f"docker-archive:{part}:{name}")
    part.rename(archive)


def _context() -> Path:
    """Make a build context of a name that no killed run has left behind; beside the base, which is linked in."""
    return Path(tempfile.mkdtemp(prefix="context-", dir=CACHE))


def _machine_trust() -> list[str]:
    """Let pip in a RUN step trust what this machine trusts, without leaving a trace in the image."""
    settings = CACHE / "pip.conf"
    settings.write_text("[global]\ncert = /run/machine-ca.crt\n")
    pairs = {"/etc/ssl/certs/ca-certificates.crt": "/run/machine-ca.crt", str(settings): "/etc/pip.conf"}
    return [f"--volume={source}:{target}:ro" for source, target in pairs.items()]


def _ensure_base() -> None:
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}"):
        return
    archive = debian.base_archive()
    with step(f"making base image {BASE}"):
        folder = _context()
        (folder / "Containerfile").write_text('FROM scratch\nADD base.tar /\nCMD ["bash"]\n')
        os.link(archive, folder / "base.tar")
        try:
            buildah("bud", "--layers=false", "-t", BASE, folder)
        finally:
            shutil.rmtree(folder)


def buildah(*arguments: str | Path) -> str:
    """Run buildah on the sandbox's own image store, without a container engine."""
    environment = {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot", "BUILDAH_FORMAT": "docker"}
    store: list[str | Path] = ["--root", CACHE / "buildah", "--runroot", CACHE / "buildah-run"]
    return run(["buildah", *store, *arguments], env=environment)


def _copied(dockerfile: Path, context: Path) -> Iterable[Path]:
    """Yield the files of the build context that the Dockerfile copies."""
    for line in dockerfile.read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            for source in words[1:-1]:
                path = context / source
                found = sorted(path.rglob("*")) if path.is_dir() else [path]
                yield from (f for f in found if f.is_file() and "__pycache__" not in f.parts)
