"""SIGTERM, sent to real processes: what ends when, with which exit code."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gitops_runtime_auth import termination
from tests.fakes import LONG, SOON, signal_asleep, wait_until

NEVER = 2 * LONG
"""Seconds after which what is still going on has kept a process from ending."""
PRELUDE = f"""
import contextlib, signal, sys, threading, time
from gitops_runtime_auth import termination

@contextlib.contextmanager
def session(seconds=0.0):
    try:
        yield
    finally:
        print("ending", flush=True)
        time.sleep(seconds)
        print("ended", flush=True)

def process(work, bound={NEVER}):
    termination.raise_at_sigterm(bound)
    try:
        work()
    except termination.Terminated:
        sys.exit(termination.EXIT_CODE)

def started():
    print("started", flush=True)
"""


class Process:
    """A Python process that has printed "started"."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", PRELUDE + script], stdout=subprocess.PIPE, text=True)
        self._began = time.monotonic()
        self.says("started")

    def says(self, word: str) -> None:
        assert self._process.stdout
        assert self._process.stdout.readline() == f"{word}\n"

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._began = time.monotonic()
        signal_asleep(self._process, number)

    def ends_at_a_signal(self) -> bool:
        """Not every one: Python may have looked for signals just before it went back to sleep."""
        self.signal()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
        return self._process.returncode is not None

    def ended(self) -> tuple[int, str, float]:
        """Return exit code, output and the seconds since the last signal."""
        out, _ = self._process.communicate(timeout=LONG)
        return self._process.returncode, out, time.monotonic() - self._began


@pytest.mark.parametrize("waits", [f"time.sleep({NEVER})", "threading.Lock().acquire() and threading.Event().wait()"])
def test_sigterm_ends_a_waiting_job_at_once_and_what_it_opened(waits: str) -> None:
    process = Process(f"""
def work():
    with session():
        started()
        {waits}
process(work)
""")
    process.signal()
    assert process.ended()[:2] == (143, "ending\nended\n")


def test_a_block_that_takes_too_long_to_end_is_not_waited_for() -> None:
    process = Process(f"""
def work():
    with session({NEVER}):
        started()
        time.sleep({NEVER})
process(work, bound=0.3)
""")
    process.signal()
    code, out, seconds = process.ended()
    assert (code, out) == (143, "ending\n")
    assert seconds >= 0.3


def test_a_second_sigterm_does_not_break_the_ending() -> None:
    process = Process(f"""
def work():
    with session(0.1):
        started()
        time.sleep({NEVER})
process(work)
""")
    process.signal()
    process.says("ending")
    process.signal()
    assert process.ended()[:2] == (143, "ended\n")


def test_without_a_signal_a_job_has_all_its_time() -> None:
    process = Process("""
def work():
    started()
    time.sleep(0.2)
process(work, bound=0.1)
print("done")
""")
    assert process.ended()[:2] == (0, "done\n")


def test_no_except_exception_stops_it() -> None:
    assert not issubclass(termination.Terminated, Exception)


LOOP = """
stopped = threading.Event()
def stop():
    print("stopping", flush=True)
    stopped.set()
def work():
    with termination.after_present_check(stop, {bound}):
        started()
        while not stopped.is_set():
            with session():
                {check}
process(work)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_ends_after_its_present_check_with_0(number: signal.Signals) -> None:
    process = Process(LOOP.format(check="stopped.wait(); time.sleep(0.1)", bound=NEVER))
    process.signal(number)
    assert process.ended()[:2] == (0, "stopping\nending\nended\n")


def test_a_check_that_outlasts_the_bound_is_ended() -> None:
    process = Process(LOOP.format(check=f"time.sleep({NEVER})", bound=0.2))
    process.signal()
    code, out, seconds = process.ended()
    assert (code, out) == (143, "stopping\nending\nended\n")
    assert seconds >= 0.2


def test_a_second_signal_ends_the_check_at_once() -> None:
    process = Process(LOOP.format(check=f"time.sleep({NEVER})", bound=NEVER))
    process.signal()
    process.says("stopping")
    wait_until(process.ends_at_a_signal)
    assert process.ended()[0] == 143


def test_the_handlers_of_before_are_back_after_the_block() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    stopped, threads = threading.Event(), threading.active_count()
    with termination.after_present_check(stopped.set, 5):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(SOON)
    with termination.after_present_check(stopped.set, 5):
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    wait_until(lambda: threading.active_count() == threads)


def test_without_a_signal_nothing_is_stopped() -> None:
    stopped = threading.Event()
    with termination.after_present_check(stopped.set, 0.0):
        pass
    assert not stopped.wait(0.05)
