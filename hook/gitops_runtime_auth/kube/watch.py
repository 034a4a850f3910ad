"""Watches an object of the Kubernetes API, so that a change of it is known at once."""

import random
import threading
import time
from collections.abc import Callable

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube.api import Cluster, Object
from gitops_runtime_auth.timing import Timing


class Watch(threading.Thread):
    """Calls ``heard`` with every event of the watch ``path``, and with None whenever one may have been missed.

    Each watch begins with the present state instead of an earlier version of it, which is also the right answer to
    410 Gone. The pause between two watches doubles as long as they end early, for whatever reason, and is short again
    after a watch that lasted longer than the longest pause.
    """

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        heard: Callable[[Object | None], None],
        stopped: threading.Event,
        timing: Timing,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._cluster = cluster
        self._path = path
        self._heard = heard
        self._stopped = stopped
        self._timing = timing

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
        self._heard(None)  # a change before this moment may have been missed; every later one is an event
        for event in events:
            if event.get("type") == "ERROR":
                return
            self._heard(event)
            if self._stopped.is_set():
                return
