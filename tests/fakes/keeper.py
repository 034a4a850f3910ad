"""A keeper's pod: settings and files of its own, and one check at a time, with all that a check tells."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from gitops_runtime_auth import context, log
from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.service.health import Health, Verdict
from gitops_runtime_auth.service.keeper import Keeper
from gitops_runtime_auth.service.metrics import MeasuredTransport
from gitops_runtime_auth.timing import Timing

if TYPE_CHECKING:
    from tests.fakes.world import World

PREFIX = "gitops_runtime_auth_"


class KeeperPod:
    """A pod that runs ``keep`` with the settings of the moment in which it was made. ``check`` is one turn of it."""

    def __init__(self, world: "World", timing: Timing, number: int) -> None:
        world.remount()
        environ = world.environment()
        self.files = world.files.with_name(f"keeper-{number}")
        shutil.copytree(world.files, self.files)
        self._environ = environ | {"GITOPS_RUNTIME_AUTH_FILES": str(self.files), "POD_NAME": f"keeper-{number}"}
        self.log = io.StringIO()
        with self._inside():
            base = context.from_environment(os.environ, timing, MeasuredTransport)
            log.setup(base.settings.log_level, as_json=True)
        self.health = Health(timing.stalls_after)
        self._base, self._keeper = base, Keeper(base)
        self._loop = keep.Loop(base, self._keeper, self.health)

    def check(self) -> Verdict:
        """Check once, and tell what it came to as the keeper does."""
        with self._inside():
            log.setup("debug", as_json=True)
            return self._loop.turn()

    def leave(self) -> None:
        """End it, as SIGTERM does once the present check is done."""
        with self._inside():
            log.setup("debug", as_json=True)
            keep.leave(self._base, self._keeper, seen_going=lambda: False)

    def give(self, credential: str) -> None:
        """Bring the mounted password up to date, as the kubelet does within a minute."""
        (self.files / "credential" / "value").write_text(credential)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        from tests.fakes.world import cheap_scrypt, set_environment

        with set_environment(self._environ), contextlib.redirect_stderr(self.log), cheap_scrypt():
            yield


def metric(name: str, **labels: str) -> float | None:
    """Return a metric of this process, as Prometheus would see it."""
    return REGISTRY.get_sample_value(PREFIX + name, labels)
