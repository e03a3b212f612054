"""Parts of a piece of work on several threads: each is done once, errors arrive, nothing waits for ever."""

import gc
import os
import signal
import threading
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.backends.numba_cpu import threads
from tapegrad.backends.numba_cpu.threads import in_parallel, thread_count
from tapegrad.errors import OptionError

PATIENCE = 30  # seconds before a test that waits for another thread gives up


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")


def test_the_count_is_what_the_environment_says_or_what_the_process_may_use(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "7")
    assert thread_count() == 7
    monkeypatch.delenv("TAPEGRAD_NUM_THREADS")
    if hasattr(os, "sched_getaffinity"):
        assert thread_count() == len(os.sched_getaffinity(0))
    else:
        assert thread_count() == os.cpu_count()


@pytest.mark.parametrize("given", ["", "0", "-1", "two", "1.5", "²", "٣"])
def test_a_count_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", given)
    with pytest.raises(OptionError, match=r"TAPEGRAD_NUM_THREADS=.*at least 1"):
        thread_count()


@given(calls=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20)), min_size=1, max_size=8))
def test_each_part_is_done_once_while_the_number_of_threads_changes(calls):
    with pytest.MonkeyPatch.context() as patch:
        for count, parts in calls:
            patch.setenv("TAPEGRAD_NUM_THREADS", str(count))
            done, idents = [], set()
            in_parallel(lambda i, square, done=done, idents=idents: _note(done, idents, i, square), _squares(parts))
            assert sorted(done) == _squares(parts)
            assert len(idents) <= count


def _squares(parts):
    return [(i, i * i) for i in range(parts)]


def _note(done, idents, i, square):
    done.append((i, square))
    idents.add(threading.get_ident())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_run_at_the_same_time(monkeypatch, count):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", str(count))
    meeting = threading.Barrier(count)  # nobody passes before all are there
    in_parallel(lambda i: meeting.wait(PATIENCE), [(i,) for i in range(count)])


def test_one_thread_does_all_itself(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "1")
    idents = []
    in_parallel(lambda i: idents.append((i, threading.get_ident())), [(i,) for i in range(5)])
    assert idents == [(i, threading.get_ident()) for i in range(5)]


@pytest.mark.parametrize("failing", [{0}, {3}, {1, 2}, {0, 1, 2, 3}])
def test_the_first_part_that_fails_is_heard_when_all_have_ended(two_threads, failing):
    ended = []

    def work(i):
        if i in failing:
            raise ValueError(f"part {i}")
        time.sleep(0.01)
        ended.append(i)

    with pytest.raises(ValueError, match=f"part {min(failing)}"):
        in_parallel(work, [(i,) for i in range(4)])
    assert sorted(ended) == sorted({0, 1, 2, 3} - failing)


def test_the_error_of_a_worker_keeps_its_place(two_threads):
    meeting = threading.Barrier(2)
    here = threading.get_ident()

    def work(i):
        meeting.wait(PATIENCE)
        if threading.get_ident() != here:
            raise SystemExit("in a worker")  # which is no Exception, and must not end the worker in silence

    with pytest.raises(SystemExit, match="in a worker") as caught:
        in_parallel(work, [(0,), (1,)])
    assert any(entry.name == "work" for entry in caught.traceback)
    in_parallel(lambda i: meeting.wait(PATIENCE), [(0,), (1,)])


def test_a_call_from_a_part_stays_on_its_thread(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "4")
    in_parallel(lambda i: time.sleep(0.01), [(i,) for i in range(8)])  # three workers, most of them idle below
    meeting = threading.Barrier(2)
    inner = {}

    def work(i):
        meeting.wait(PATIENCE)  # both threads are inside
        found = inner[i] = [threading.get_ident()]
        if found[0] != here:
            in_parallel(lambda j: (time.sleep(0.01), found.append(threading.get_ident())), [(j,) for j in range(6)])

    here = threading.get_ident()
    in_parallel(work, [(0,), (1,)])
    worker = next(idents for idents in inner.values() if idents[0] != here)
    assert len(worker) == 7
    assert len(set(worker)) == 1


def test_calls_from_several_threads_at_once(monkeypatch):
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "3")
    threads._new_pool()
    results = []

    def call(seed):
        for k in range(60):
            done = []
            in_parallel(lambda i, done=done, k=k: done.append(seed * i + k), [(i,) for i in range(5)])
            results.append(sorted(done) == sorted(seed * i + k for i in range(5)))

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(1, 7)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
    assert results == [True] * 360
    assert len(threads._pool.workers) <= 2, "callers share the workers"


def test_a_busy_pool_keeps_nobody_waiting(two_threads):
    inside, leave = threading.Event(), threading.Event()
    here = threading.get_ident()

    def occupy(i):
        if threading.get_ident() != caller.ident:
            inside.set()
        else:
            inside.wait(PATIENCE)
        leave.wait(PATIENCE)

    caller = threading.Thread(target=in_parallel, args=(occupy, [(0,), (1,)]))
    caller.start()
    assert inside.wait(PATIENCE)
    idents = []
    held = {0}
    gone = weakref.ref(held)
    in_parallel(lambda i, held=held: idents.append(threading.get_ident()), [(0,), (1,), (2,)])
    del held
    assert idents == [here] * 3
    assert gone() is None, "the worker has not come round to the job, which holds nothing"
    leave.set()
    caller.join(PATIENCE)
    assert not caller.is_alive()


def test_what_the_work_refers_to_is_let_go(two_threads):
    held = {0}
    gone = weakref.ref(held)
    gc.disable()
    try:
        in_parallel(lambda i, held=held: None, [(0,), (1,)])
        with pytest.raises(ValueError, match="fails"):
            in_parallel(lambda i, held=held: _raise(), [(0,), (1,)])
        del held
        deadline = time.monotonic() + PATIENCE
        while gone() is not None and time.monotonic() < deadline:  # a worker may still be on its way back
            time.sleep(0.01)
        assert gone() is None
    finally:
        gc.enable()


def _raise():
    raise ValueError("fails")


@pytest.mark.parametrize("at", ["its own part", "the wait for the worker"])
def test_an_interrupt_waits_for_the_workers(two_threads, at):
    meeting = threading.Barrier(2)
    ended = []

    def work(i):
        meeting.wait(PATIENCE)
        if threading.current_thread() is threading.main_thread():
            if at == "its own part":
                signal.raise_signal(signal.SIGINT)
            return
        if at != "its own part":
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        ended.append(i)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, [(0,), (1,)])
    assert len(ended) == 1, "the worker would have written to memory that was given back"
    in_parallel(lambda i: ended.append(i), [(0,), (1,)])
    assert len(ended) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("busy", [False, True])
def test_a_child_makes_its_own_threads(two_threads, busy):
    meeting = threading.Barrier(2)
    in_parallel(lambda i: meeting.wait(PATIENCE), [(0,), (1,)])
    leave = threading.Event()
    caller = threading.Thread(target=in_parallel, args=(lambda i: leave.wait(PATIENCE), [(0,), (1,)]))
    if busy:
        caller.start()
    child = os.fork()
    if not child:
        signal.alarm(PATIENCE)  # a child that waits for threads that are not there is killed
        mine = threading.Barrier(2)
        done = []
        in_parallel(lambda i: (mine.wait(PATIENCE), done.append(i)), [(0,), (1,)])
        os._exit(0 if sorted(done) == [0, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    if busy:
        caller.join(PATIENCE)


# ---- processors ----
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not place threads on request")
def test_workers_are_kept_off_the_processor_of_their_caller(monkeypatch):
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("one processor")
    monkeypatch.setenv("TAPEGRAD_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_pool", threads.Pool())
    for caller in (min(allowed), max(allowed), min(allowed)):
        monkeypatch.setattr(threads, "_processor", lambda caller=caller: caller)
        in_parallel(lambda part: None, [(0,), (1,)])
        (worker,) = threads._pool.workers
        assert os.sched_getaffinity(worker.native_id) == allowed - {caller}
    assert os.sched_getaffinity(0) == allowed

    def refused(thread, places):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refused)
    monkeypatch.setattr(threads, "_processor", lambda: max(allowed))
    done = []
    in_parallel(done.append, [(0,), (1,)])
    assert sorted(done) == [0, 1]
