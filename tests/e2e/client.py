"""A client of Argo CD that uses the Runtime's credential all the time and counts refusals."""

import threading
from collections.abc import Callable

from dev.keys import StoredKey
from dev.runtime import Runtime


class Client(threading.Thread):
    """Uses the Runtime's credential every 100 ms, as a pod that reads it anew would, and counts refusals."""

    def __init__(self, runtime: Runtime, credential: Callable[[], StoredKey | None]) -> None:
        super().__init__(daemon=True)
        self._runtime, self._credential = runtime, credential
        self.uses, self.refusals = 0, 0
        self._stop_it = threading.Event()

    def run(self) -> None:
        while not self._stop_it.wait(0.1):
            self.refusals += not self._runtime.accepts(self._credential())
            self.uses += 1

    def __enter__(self) -> "Client":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_it.set()
        self.join()
