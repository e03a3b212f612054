"""Compiled functions kept in memory and from process to process."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tapegrad.backends.numba_cpu import cache
from tapegrad.backends.numba_cpu.cache import compiled
from tests.numba_cpu.kept import CHILD, ENTRIES, call, check, expected, files, forget, in_child, loaded, source_of

pytestmark = pytest.mark.usefixtures("folder")


# ---- in memory ----
def test_equal_sources_give_the_same_functions_and_others_do_not():
    first = compiled(source_of(), ENTRIES)
    assert compiled("".join(list(source_of())), ENTRIES) is first
    assert compiled(source_of(), ENTRIES[:1])[0] is first[0]
    other = compiled(source_of(5.0), ENTRIES)
    assert other[0] is not first[0]
    check(first)
    check(other, 5.0)
    check(first)


def test_the_memory_is_bounded_and_functions_that_are_held_are_not_made_twice(monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    first = compiled(source_of(), ENTRIES)
    check(first)
    for k in range(3):
        compiled(source_of(k + 10.0), ENTRIES)
    assert len(cache._recent) == 2
    again = compiled(source_of(), ENTRIES)
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True]
    del first, again
    for k in range(3):
        compiled(source_of(k + 10.0), ENTRIES)
    gc.collect()
    assert len(cache._alive) == 4
    check(compiled(source_of(), ENTRIES))  # loaded from the disk, after the first were freed


def test_functions_are_loaded_freed_and_loaded_again(monkeypatch):
    check(compiled(source_of(), ENTRIES))
    for _ in range(5):
        forget(monkeypatch)
        gc.collect()
        functions = compiled(source_of(), ENTRIES)
        check(functions)
        assert loaded(functions) == 2
        second = call(functions)
        forget(monkeypatch)
        twice = compiled(source_of(), ENTRIES)  # the same code is in the process twice
        check(twice)
        del functions
        gc.collect()
        np.testing.assert_array_equal(call(twice), second)


def test_threads_that_ask_at_once_get_the_same_functions():
    found, errors = [], []
    start = threading.Barrier(6)

    def work():
        try:
            start.wait()
            functions = compiled(source_of(), ENTRIES)
            check(functions)
            found.append(functions)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert len({id(functions) for functions in found}) == 1


def test_a_function_that_the_source_does_not_define_is_named():
    with pytest.raises(ValueError, match="no function 'sideways'"):
        compiled(source_of(), ("forward", "sideways"))
    with pytest.raises(ValueError, match="no function 'BITS'"):
        compiled(source_of(), ("BITS",))


def test_a_traceback_shows_the_line_of_the_source():
    bad = source_of().replace("helper(x[i], 2.0)", "helper(x[i], 'two')")
    with pytest.raises(Exception, match=r"helper\(x\[i\], 'two'\)"):
        call(compiled(bad, ("forward",)))


# ---- from process to process ----
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_second_process_loads_what_the_first_compiled(folder, dtype):
    first, none = in_child(source_of(), dtype)
    second, both = in_child(source_of(), dtype)
    assert (none, both) == (0, 2)
    assert first == second
    np.testing.assert_allclose(second, expected(1.0, np.dtype(dtype).type), rtol=2e-6)
    assert len(files(folder, ".code")) == 2
    (text,) = files(folder, ".py")
    assert text.read_text() == source_of()


def test_two_processes_that_compile_at_once(folder):
    arguments = [sys.executable, "-W", "error", "-c", CHILD, json.dumps([source_of(), ENTRIES, "float64"])]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(child.communicate()[0])[0] for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert results[0] == results[1]
    assert not files(folder, ".tmp")
    assert in_child(source_of())[1] == 2


def test_other_types_other_constants_and_other_entries_do_not_share_code(folder):
    check(compiled(source_of(), ENTRIES))
    check(compiled(source_of(), ENTRIES), dtype=np.float32)
    check(compiled(source_of(3.0), ENTRIES), 3.0)
    strided = compiled(source_of(), ("forward",))[0]
    x, out = np.arange(10.0)[::2], np.zeros(5)
    strided(5, x, out)
    np.testing.assert_array_equal(out, 2 * x + 1)
    assert len(files(folder, ".code")) == 7


CHANGES = {
    "the width of vectors": lambda patch: patch.setattr(cache, "BITS", cache.BITS // 2),
    "a runtime module": lambda patch: patch.setattr(cache, "FINGERPRINT", "0" * 64),
    "flags": lambda patch: patch.setattr(cache, "FLAGS", {**cache.FLAGS, "boundscheck": True}),
    "numba": lambda patch: patch.setattr(cache.numba, "__version__", "0.0"),
    "llvmlite": lambda patch: patch.setattr(cache.llvmlite, "__version__", "0.0"),
    "numpy": lambda patch: patch.setattr(cache.np, "__version__", "0.0"),
    "tapegrad": lambda patch: patch.setattr(cache.tapegrad, "__version__", "0.0"),
    "python": lambda patch: patch.setattr(cache.sys, "version", "4.0"),
    "a setting of numba": lambda patch: patch.setattr(cache.numba.config, "OPT", 1),
    "the processor": lambda patch: patch.setattr(
        type(cache.cpu_target.target_context.codegen()), "magic_tuple", lambda self: ("x", "y", "z")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_name_changes_with_all_that_the_code_depends_on(monkeypatch, change):
    before = cache._identity(source_of())
    assert before == cache._identity(source_of())
    CHANGES[change](monkeypatch)
    assert cache._identity(source_of()) != before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_while_the_lock_is_held():
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with cache._lock:
            inside.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    child = os.fork()
    if not child:
        signal.alarm(30)
        check(compiled(source_of(), ENTRIES))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    holder.join()
