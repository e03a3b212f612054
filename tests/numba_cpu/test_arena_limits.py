"""How much memory is kept, and what threads, forks and the garbage collector do to it."""

import gc
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tapegrad.backends.numba_cpu import arena
from tapegrad.backends.numba_cpu.arena import Block, take
from tapegrad.errors import OptionError
from tests.numba_cpu.kept import address

MIB = 1 << 20


# ---- how much is kept ----
def test_only_so_much_is_kept_and_the_oldest_goes_first(store, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_ARENA_MIB", "8")
    arrays = [take((2 + k, MIB), np.uint8) for k in range(4)]  # 2, 3, 4, 5 MiB
    places = [address(array) for array in arrays]
    while arrays:
        arrays.pop(0)
    assert store.kept == 5 * MIB
    assert address(take((5, MIB), np.uint8)) == places[3]
    monkeypatch.setenv("TAPEGRAD_ARENA_MIB", "0")
    array = take((7, MIB), np.uint8)
    del array
    assert store.kept == 0
    assert not store.free


def test_release_gives_all_back(store):
    take((4, MIB), np.uint8)
    assert store.kept == 4 * MIB
    arena.release()
    assert store.kept == 0
    assert not store.free
    assert not store.classes


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_the_system_has_it_back(store):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    take((200, MIB), np.uint8).fill(1)
    assert resident() > before + 150 * MIB
    arena.release()
    assert resident() < before + 50 * MIB


@pytest.mark.parametrize("given", ["", "-1", "all", "²"])
def test_a_limit_that_is_none_is_refused(store, monkeypatch, given):
    monkeypatch.setenv("TAPEGRAD_ARENA_MIB", given)
    with pytest.raises(OptionError, match="TAPEGRAD_ARENA_MIB=.*whole number of MiB"):
        take((MIB,), np.uint8)


def test_memory_that_is_kept_is_given_up_before_an_allocation_fails(store, monkeypatch):
    take((2, MIB), np.uint8)

    def scarce(size, shift):
        if store.kept:
            raise MemoryError
        return Block(size, shift)

    monkeypatch.setattr(arena, "Block", scarce)
    assert take((5, MIB), np.uint8).nbytes == 5 * MIB


# ---- at the same time ----
def _collected(name):
    def method(self, *args):
        gc.collect()
        return getattr(dict, name)(self, *args)

    return method


class Collecting(dict):
    """Runs the garbage collector wherever the arena looks something up while it has the lock."""

    get, setdefault, __getitem__ = _collected("get"), _collected("setdefault"), _collected("__getitem__")


def test_an_array_may_die_while_the_lock_is_held(store):
    """The collector can run anywhere, on the thread that has the lock too."""
    store.classes = Collecting()
    gc.disable()
    try:
        for _ in range(5):
            array = take((MIB,), np.uint8)
            ring = [array]
            ring.append(ring)
            del array, ring
    finally:
        gc.enable()
    done = threading.Event()

    def work():
        for _ in range(8):
            ring = [take((MIB,), np.uint8)]
            ring.append(ring)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(30), "a deadlock"
    store.classes = dict(store.classes)
    gc.collect()
    store._settle()
    assert not store.returned
    assert store.kept == store.made * MIB


def test_memory_that_came_back_while_the_lock_was_held_is_filed_by_the_next_one(store):
    first, second = take((MIB,), np.uint8), take((MIB,), np.uint8)
    place = address(first)
    del first
    with store.lock:
        del second
        assert store.kept == MIB
        assert len(store.returned) == 1
    third = take((MIB,), np.uint8)
    assert address(third) == place
    assert not store.returned
    assert store.kept == MIB


def test_many_threads(store):
    wrong = []

    def work(mark):
        rng = np.random.default_rng(mark)
        for _ in range(150):
            arrays = [take((int(rng.integers(70, 200)), 1024), np.uint8) for _ in range(3)]
            for array in arrays:
                array.fill(mark)
            views = [array[5:].reshape(-1) for array in arrays]
            del arrays, array
            wrong.extend(1 for view in views if not (view == mark).all())

    workers = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 7)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert not store.returned
    assert store.kept == sum(block.size for block in store.free.values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_while_the_lock_is_held():
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with arena._arena.lock:
            inside.set()
            leave.wait(30)

    array = take((MIB,), np.uint8)
    array.fill(5)
    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    child = os.fork()
    if not child:
        signal.alarm(30)
        other = take((MIB,), np.uint8)
        other.fill(6)
        right = (array == 5).all()
        array.fill(7)
        del array
        os._exit(0 if right and address(take((MIB,), np.uint8)) != address(other) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (array == 5).all()
    leave.set()
    holder.join()


def test_nothing_is_said_at_the_end_of_the_process():
    program = """
import builtins, sys
import numpy as np
from tapegrad.backends.numba_cpu.arena import take
builtins.held = take((1 << 20,), np.uint8)
sys.held = ring = [take((1 << 20,), np.uint8)]
ring.append(ring)
held = take((1 << 20,), np.uint8)[3:]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
