"""Parts of one piece of work on several threads at once.

Plain Python threads are enough: compiled loops do not hold the interpreter's lock. Workers wait for jobs in one queue.
Whoever hands out a job works on its parts as well, so that it ends even when all the workers are busy elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tapegrad.errors import OptionError

_here = threading.local()  # ``worker`` is true on the threads of this module


def thread_count() -> int:
    """How many threads a loop may use: ``TAPEGRAD_NUM_THREADS``, else the processors of this process.

    Raises
    ------
    OptionError
        If the variable is not a whole number of at least 1.
    """
    given = os.environ.get("TAPEGRAD_NUM_THREADS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (given.isascii() and given.isdigit()) or int(given) < 1:
        raise OptionError(f"TAPEGRAD_NUM_THREADS={given!r}; give a whole number of at least 1")
    return int(given)


class Job:
    """Parts that are waiting, and how many workers are at them."""

    def __init__(self, work: Callable[..., Any], parts: Sequence[tuple]):
        self.work: Callable[..., Any] | None = work
        self.waiting = deque(enumerate(parts))
        self.errors: list[tuple[int, BaseException]] = []
        self.lock, self.ended = threading.Lock(), threading.Lock()
        self.ended.acquire()
        self.running, self.closed = 0, False

    def do_parts(self) -> None:
        """Do parts until none is waiting. A part that fails does not keep others from being done; an interrupt does."""
        work = self.work
        assert work is not None
        while True:
            try:
                index, part = self.waiting.popleft()
            except IndexError:
                return
            try:
                work(*part)
            except BaseException as error:
                self.errors.append((index, error))
                if not isinstance(error, Exception):
                    self.waiting.clear()

    def help(self) -> None:
        """What a worker does with a job; nothing if it comes too late."""
        with self.lock:
            if self.closed:
                return
            self.running += 1
        try:
            self.do_parts()
        finally:
            with self.lock:
                self.running -= 1
                if self.closed and not self.running:
                    self.ended.release()

    def close(self) -> None:
        """Let no more workers begin, and wait for those that did; they may be writing to the caller's arrays."""
        interrupt = None
        while not self.closed or self.running:
            try:
                with self.lock:
                    self.closed = True
                self.waiting.clear()
                while self.running:
                    self.ended.acquire()
            except BaseException as error:
                interrupt = error
        self.work = None  # the job may lie in the queue while workers are busy, and the work refers to arrays
        if interrupt is not None:
            raise interrupt

    def outcome(self) -> None:
        """Raise an interrupt if there was one, else the error of the first part that failed."""
        if self.errors:
            first = min(self.errors, key=lambda error: (isinstance(error[1], Exception), error[0]))[1]
            self.errors.clear()  # their tracebacks hold this object
            try:
                raise first
            finally:
                del first


class Pool:
    """Worker threads; there are never more than were asked for at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.workers: list[threading.Thread] = []
        self.places: set[int] = set()  # the processors that the workers may run on

    def hand_out(self, job: Job, workers: int) -> None:
        if len(self.workers) < workers:
            with self.lock:
                while len(self.workers) < workers:
                    name = f"tapegrad-{len(self.workers)}"
                    self.workers.append(threading.Thread(target=self._serve, name=name, daemon=True))
                    self.workers[-1].start()
                self.places = set()
        self._keep_apart()
        for _ in range(workers):
            self.jobs.put(job)

    def _keep_apart(self) -> None:
        """Bar the workers from the processor that this thread is on.

        Some systems wake a worker on the processor of who called it, where it waits for milliseconds while another
        processor is idle: virtual machines whose processors seem to share no cache.
        """
        if _processor is None:
            return
        places = os.sched_getaffinity(0) - {_processor()}
        if places and places != self.places:
            for worker in list(self.workers):
                with suppress(OSError):  # not allowed: the system decides
                    os.sched_setaffinity(worker.native_id or 0, places)
            self.places = places

    def _serve(self) -> None:
        _here.worker = True
        while True:
            self.jobs.get().help()


def _processor_call() -> Callable[[], int] | None:
    """A function that tells on which processor a thread runs, where there is one and threads can be kept from it."""
    try:
        return ctypes.CDLL(None).sched_getcpu if hasattr(os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):
        return None


_processor = _processor_call()
_pool = Pool()


def _new_pool() -> None:
    """Threads do not survive a fork: the child makes its own."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_pool)


def in_parallel(work: Callable[..., Any], parts: Sequence[tuple]) -> None:
    """Call ``work(*part)`` for each part, at once on as many threads as :func:`thread_count` allows.

    The calling thread does its share. Several threads may call this at once. A call from within a part does all on the
    thread that it is on.

    Parameters
    ----------
    work : callable
        What it returns is dropped.
    parts : sequence of tuple

    Raises
    ------
    Exception
        What the first of the parts that failed raised, after all of them have ended.
    """
    if len(parts) == 1:
        work(*parts[0])
        return
    workers = 0 if getattr(_here, "worker", False) else min(len(parts), thread_count()) - 1
    job = Job(work, parts)
    try:
        if workers > 0:
            _pool.hand_out(job, workers)
        job.do_parts()
    finally:
        job.close()
    job.outcome()
