"""Handles SIGTERM: a Job's command ends at once, a long-running one after its present check, both within a limit.

Kubernetes sends SIGTERM when a Job or Pod is deleted, and SIGKILL after ``terminationGracePeriodSeconds``. The process
is PID 1 of its container, for which the kernel ignores every signal that has no handler. So without this module a
deleted Job would go on working beside its successor.

A handler runs between two instructions of the main thread, which may hold any lock. So the handlers here only raise an
exception or put something into a ``SimpleQueue``, which allows that; a waiting thread does everything else.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""143, what a shell reports for a process that SIGTERM ended."""


class Terminated(BaseException):
    """Raised at SIGTERM. It is not an Exception, so that only ``__main__`` catches it and every ``with`` block ends."""


def raise_at_sigterm(seconds: float) -> None:
    """From now on, raise Terminated in the main thread at SIGTERM.

    ``with`` blocks then end what they opened, such as a login session. After ``seconds`` the process ends with
    EXIT_CODE in any case.
    """
    come: SimpleQueue[int] = SimpleQueue()

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        come.put(number)
        raise Terminated

    def bound() -> None:
        come.get()
        time.sleep(seconds)
        os._exit(EXIT_CODE)

    threading.Thread(target=bound, daemon=True, name="termination").start()
    signal.signal(signal.SIGTERM, handle)


@contextmanager
def after_present_check(stop: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call ``stop`` from another thread at SIGTERM or SIGINT, so that the loop in this block ends by itself.

    If the loop still runs ``seconds`` later, or at another signal, the handler from before this block is called, which
    is that of ``raise_at_sigterm``. Only the main thread may enter the block.
    """
    come: SimpleQueue[int] = SimpleQueue()
    ended = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        restore()
        come.put(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end() -> None:
        if come.get():
            stop()
            if not ended.wait(seconds):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=end, daemon=True, name="termination").start()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
        ended.set()
        come.put(0)  # not a signal, so that the thread ends
