"""Says at once when Secret ``argocd-token`` changes."""

import random
import threading
from collections.abc import Callable

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.cluster import Cluster, secret_path

_SECONDS = 240.0
"""How long one watch lasts. Each begins with the Secret as it is, so nothing missed stays missed for longer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Watch(threading.Thread):
    """Calls ``changed`` on every change of the Secret, and whenever a change may have been missed.

    A watch is never resumed from a resourceVersion: it begins with the present state, which also answers 410 Gone.
    """

    def __init__(self, cluster: Cluster, namespace: str, changed: Callable[[], None], stopped: threading.Event) -> None:
        super().__init__(name="watch", daemon=True)
        self._cluster = cluster
        # A Role that names one Secret allows watching with exactly this selector.
        self._path = f"{secret_path(namespace)}?fieldSelector=metadata.name={store.NAME}"
        self._changed = changed
        self._stopped = stopped

    def run(self) -> None:
        """Watch until stopped."""
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                self._changed()
                for event in self._cluster.watch(self._path, _SECONDS):
                    pause = _FIRST_PAUSE
                    if event.get("type") == "ERROR":
                        break
                    self._changed()
            except AuthError as e:
                log.debug(f"The watch ended: {e}")
                pause = min(_LONGEST_PAUSE, pause * 2)
            self._stopped.wait(pause * random.uniform(0.5, 1))  # noqa: S311 (jitter)
