"""Tells at once when the key Secret changes."""

import random
import threading
import time
from collections.abc import Callable

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube.api import Cluster, secret_path
from gitops_runtime_auth.timing import Timing


class Watch(threading.Thread):
    """Calls ``changed`` on every change of the Secret, and whenever one may have been missed.

    Each watch begins with the present state instead of an earlier resourceVersion, which is also the right answer to
    410 Gone. The pause between two watches doubles as long as they end early, for whatever reason, and is short again
    after a watch that lasted longer than the longest pause.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        changed: Callable[[], None],
        stopped: threading.Event,
        timing: Timing,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._cluster = cluster
        # A Role that names one Secret allows watching with exactly this selector.
        self._path = f"{secret_path(namespace)}?fieldSelector=metadata.name={name}"
        self._changed = changed
        self._stopped = stopped
        self._timing = timing
        self.deleted = False
        """What was heard last is that the Secret was deleted."""

    def run(self) -> None:
        """Watch until stopped."""
        ceiling = self._timing.first_retry
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._watch()
            except AuthError as e:
                log.debug(f"The watch ended: {e}")
            if time.monotonic() - began > self._timing.longest_retry:
                ceiling = self._timing.first_retry
            self._stopped.wait(random.uniform(ceiling / 2, ceiling))  # noqa: S311 (jitter)
            ceiling = min(self._timing.longest_retry, ceiling * 2)

    def _watch(self) -> None:
        events = self._cluster.watch(self._path, self._timing.watch)
        self._changed()  # a change before this moment may have been missed; every later one is an event
        for event in events:
            if event.get("type") == "ERROR":
                return
            self.deleted = event.get("type") == "DELETED"
            if self._stopped.is_set():
                return
            self._changed()
