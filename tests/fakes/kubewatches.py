"""Lists and watches of a fake Kubernetes API: which objects a path and its query select, and what changes of them."""

import json
import threading
import time
from collections.abc import Iterator

from tests.fakes import kubestatus as status
from tests.fakes.kubeobjects import Change, Object, Store, Target, target


def listed(store: Store, at: Target, query: dict[str, str]) -> Object:
    """Return the collection ``at`` as far as the query selects it."""
    items = [found for path, found in sorted(store.objects.items()) if _selects(at, query, path, found)]
    version = {"resourceVersion": str(store.version)}
    return {"kind": f"{at.kind}List", "apiVersion": at.api_version, "metadata": version, "items": items}


class Watches:
    """Every watch of one API server."""

    def __init__(self, store: Store) -> None:
        self.open = 0
        """How many there are now."""
        self._store = store
        self._ended = 0

    def end(self, *, expired: bool = False) -> None:
        """End the watches that are open: with 410 Gone if ``expired``, else as after their time."""
        with self._store.changed:
            if expired:
                self._store.oldest = self._store.version + 1
            self._ended += 1
            self._store.changed.notify_all()

    def finish(self) -> None:
        """Wait for the threads that watch. They were told to end; in a test there is no end of a process to do it."""
        for thread in threading.enumerate():
            while thread.name == "watch" and thread.is_alive():
                self.end()
                thread.join(0.05)

    def stream(self, at: Target, query: dict[str, str]) -> Iterator[bytes]:
        """Begin a watch; return its events as lines: the present objects first, or what came after a resourceVersion.

        It begins before the first line is asked for, because a real server begins a watch before it sends the head of
        its answer (``handleWatch`` in apiserver's endpoints/handlers/get.go). So a client that has received the head
        is told of every later change.
        """
        until = time.monotonic() + float(query.get("timeoutSeconds", "1800"))
        asked = query.get("resourceVersion", "")
        with self._store.changed:
            from_now = asked in ("", "0")
            seen = self._store.version if from_now else int(asked)
            present = listed(self._store, at, query)["items"] if from_now else []
            if seen < self._store.oldest - 1:
                return iter([_event("ERROR", status.expired(asked, self._store.oldest))])
            changes = self._changes(at, query, seen, until, self._ended)
        return self._lines(present, changes)

    def _lines(self, present: list[Object], changes: Iterator[bytes]) -> Iterator[bytes]:
        with self._store.changed:
            self.open += 1
        try:
            yield from (_event("ADDED", found) for found in present)
            yield from changes
        finally:
            with self._store.changed:
                self.open -= 1

    def _changes(self, at: Target, query: dict[str, str], seen: int, until: float, generation: int) -> Iterator[bytes]:
        ended = False
        while not ended:
            with self._store.changed:
                while (
                    self._store.version == seen and self._ended == generation and (left := until - time.monotonic()) > 0
                ):
                    self._store.changed.wait(left)
                fresh = [change for change in self._store.history if change.version > seen]
                seen = self._store.version
                ended = self._ended != generation or time.monotonic() >= until
                expired = self._ended != generation and seen < self._store.oldest
            yield from (_event(change.type, change.object) for change in fresh if _of(change, at, query))
            if expired:
                yield _event("ERROR", status.expired(str(seen), self._store.oldest))


def _of(change: Change, at: Target, query: dict[str, str]) -> bool:
    return _selects(at, query, change.path, change.object)


def _selects(at: Target, query: dict[str, str], path: str, found: Object) -> bool:
    """Tell whether an object is in the collection ``at`` and fits the selectors of the query."""
    its = target(path)
    if (its.group, its.resource) != (at.group, at.resource) or at.namespace not in ("", its.namespace):
        return False
    if at.name not in ("", its.name):
        return False
    field, _, name = query.get("fieldSelector", "").partition("=")
    if field == "metadata.name" and name != its.name:
        return False
    labels = found["metadata"].get("labels") or {}
    wanted = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if "=" in pair)
    return all(labels.get(key) == value for key, value in wanted.items())


def _event(kind: str, found: Object) -> bytes:
    return json.dumps({"type": kind, "object": found}).encode() + b"\n"
