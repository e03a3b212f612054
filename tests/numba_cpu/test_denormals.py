"""Denormal numbers are zero inside a compiled loop, and what they were everywhere else."""

import platform
import re
import threading

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir

from tapegrad.backends.numba_cpu import denormals
from tapegrad.backends.numba_cpu.denormals import flush_denormals, restore_denormals
from tapegrad.backends.numba_cpu.vectors import fma, lanes_of, load, spread, store

DTYPES = [np.float32, np.float64]
HAS_FLUSH = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "aarch64", "arm64")
needs_flush = pytest.mark.skipif(not HAS_FLUSH, reason="denormals are not flushed on this processor")


def arithmetic_is_normal():
    for dtype in DTYPES:
        tiny = np.finfo(dtype).tiny
        array = np.full(67, tiny, dtype)
        assert (array * dtype(0.5) > 0).all()
        assert (np.finfo(dtype).smallest_subnormal * np.ones(67, dtype) > 0).all()
        assert np.count_nonzero((array * dtype(0.25)) @ np.ones((67, 3), dtype)) == 3
    assert 5e-324 * 1.0 > 0
    assert 2.2250738585072014e-308 / 2 > 0


@numba.njit(nogil=True, error_model="numpy")
def vectors(x, y):
    """The same sum of products of the same memory, three times: LLVM would like to compute it once."""
    before, inside, after = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for j in range(0, x.shape[0], lanes_of(x)):
        store(before, j, load(x, j) * load(y, j))
    held = flush_denormals()
    for j in range(0, x.shape[0], lanes_of(x)):
        store(inside, j, load(x, j) * load(y, j))
    restore_denormals(held)
    for j in range(0, x.shape[0], lanes_of(x)):
        store(after, j, load(x, j) * load(y, j))
    return before, inside, after


@numba.njit(nogil=True, error_model="numpy")
def registers(x, y):
    """Nothing is stored, so that loads of the same place could be shared."""
    before = x[3] * y[3]
    held = flush_denormals()
    inside = x[3] * y[3]
    restore_denormals(held)
    after = x[3] * y[3]
    return before, inside, after


@numba.njit(nogil=True, error_model="numpy")
def sums(x, y):
    """Sums of a whole array, which could be computed where they are used."""
    held = flush_denormals()
    inside = x.dtype.type(0)
    for i in range(x.shape[0]):
        inside += x[i] * y[i]
    restore_denormals(held)
    after = x.dtype.type(0)
    for i in range(x.shape[0]):
        after += x[i] * y[i]
    return after, inside, after


@needs_flush
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [vectors, registers, sums], ids=lambda f: f.py_func.__name__)
def test_nothing_moves_across_the_calls(function, dtype):
    x, y = np.full(64, np.finfo(dtype).tiny, dtype), np.full(64, 0.25 / 64, dtype)
    before, inside, after = function(x, y)
    assert np.all(np.asarray(inside) == 0)
    assert np.all(np.asarray(before) > 0)
    np.testing.assert_array_equal(before, after)
    arithmetic_is_normal()


@needs_flush
def test_operands_are_taken_for_zero_and_zero_keeps_its_sign():
    @numba.njit(error_model="numpy")
    def scaled(x, factor, out):
        held = flush_denormals()
        for i in range(x.shape[0]):
            out[i] = x[i] * factor
        restore_denormals(held)

    x = np.array([5e-324, -1e-310, 1e-307, -1e-307])
    out = np.ones(4)
    scaled(x, 1e100, out)
    np.testing.assert_array_equal(out, [0, -0.0, 1e-207, -1e-207])
    np.testing.assert_array_equal(np.signbit(out), [False, True, False, True])


@needs_flush
def test_what_was_set_before_is_set_again():
    @numba.njit
    def nested():
        first = flush_denormals()
        second = flush_denormals()
        restore_denormals(second)
        third = flush_denormals()
        restore_denormals(first)
        fourth = flush_denormals()
        restore_denormals(fourth)
        return first, second, third, fourth

    flags = 0x3F if platform.machine().lower() not in ("aarch64", "arm64") else 0  # what x86 has seen happen
    first, second, third, fourth = (value & ~flags for value in nested())
    assert first == fourth
    assert second == third != first
    arithmetic_is_normal()


@needs_flush
def test_each_thread_has_its_own():
    @numba.njit
    def leave_it_on():
        return flush_denormals()

    found = []

    def work():
        restore = leave_it_on()
        found.append(np.float64(1e-310) * np.float64(1.0))
        assert restore is not None

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [0.0], "on the thread that asked"
    arithmetic_is_normal()


@numba.njit(nogil=True, error_model="numpy", fastmath=False)
def backwards(T, n, flush, delta, W, gates, kept):
    """A product and a pass over a row at each step, as in a compiled loop."""
    held = flush_denormals() if flush else 0
    for t in range(T):
        for j in range(0, n, lanes_of(delta)):
            total = load(W, j) * 0.0
            for k in range(n):
                total = fma(spread(delta, k), load(W, k * n + j), total)
            store(kept, t * n + j, total)
        for j in range(0, n, lanes_of(delta)):
            store(delta, j, load(kept, t * n + j) * load(gates, j))
    if flush:
        restore_denormals(held)


@needs_flush
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_that_vanishes_gets_to_zero_directly(dtype):
    rng = np.random.default_rng(4)
    n, T = 64, 400 if dtype == np.float32 else 2500
    W = (rng.normal(size=n * n) / 16).astype(dtype)
    gates = rng.uniform(0.5, 1, n).astype(dtype)
    tiny = np.finfo(dtype).tiny
    results = {}
    for flush in (True, False):
        delta, kept = np.ones(n, dtype), np.empty((T, n), dtype)
        backwards(T, n, flush, delta, W, gates, kept.reshape(-1))
        results[flush] = kept
    denormal = {flush: (found != 0) & (np.abs(found) < tiny) for flush, found in results.items()}
    assert denormal[False].any(), "the gradient did not get small enough for this test"
    assert not denormal[True].any()
    large = np.abs(results[False]).max(axis=1) > 1e6 * tiny
    eps = np.finfo(dtype).eps
    for found, exact in zip(results[True][large], results[False][large], strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e3 * eps * np.abs(exact).max())
    arithmetic_is_normal()


def test_floating_point_errors_of_the_loop_are_not_seen_outside():
    vectors(np.full(64, 1e-308), np.full(64, 0.1))
    with np.errstate(all="raise"):
        assert np.float64(3.0) / np.float64(2.0) == 1.5


def assembly(triple):
    """What the same product before, between and behind the two calls becomes on a machine of this kind."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = triple
    double, number = ir.DoubleType().as_pointer(), ir.IntType(32)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [double, double]), "loop")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x, out = function.args

    def product():
        return builder.fmul(builder.load(x), builder.load(x))

    first = product()
    held = denormals.begin_flush(builder)
    second = product()
    denormals.write_control(builder, held)
    for k, value in enumerate((first, second, product())):
        builder.store(value, builder.gep(out, [ir.Constant(number, k)]))
    builder.ret_void()
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=3)
    parsed = llvm.parse_assembly(str(module))
    if hasattr(llvm, "create_pass_builder"):
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
        passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(parsed).lower()


X86 = ["mulsd", "ldmxcsr", "mulsd", "ldmxcsr", "mulsd"]
ARM = ["fmul", r"msr\s+fpcr", "fmul", r"msr\s+fpcr", "fmul"]
OF_PROCESSORS = {
    "x86_64-unknown-linux-gnu": X86,
    "x86_64-pc-windows-msvc": X86,
    "aarch64-unknown-linux-gnu": ARM,
    "arm64-apple-darwin": ARM,
}


def in_order(text, steps):
    """The places of the steps in a text, which has no others of their kinds."""
    places = list(re.finditer("|".join(sorted(set(steps))), text))
    return len(places) == len(steps) and all(
        re.fullmatch(step, place.group()) for step, place in zip(steps, places, strict=True)
    )


@pytest.mark.parametrize("triple", OF_PROCESSORS)
def test_the_instructions_of_each_processor(triple):
    try:
        text = assembly(triple)
    except RuntimeError as error:
        pytest.skip(f"this LLVM does not know it: {error}")
    assert in_order(text, OF_PROCESSORS[triple]), text
    assert re.search(r"stmxcsr|mrs\s+\w+, fpcr", text)
    bit = r"#0x1000000\b|#16777216\b" if OF_PROCESSORS[triple] is ARM else r"\$32832\b"
    assert re.search(rf"or\w*\s.*({bit})", text), "the bits that flush are set, and no others"


def test_other_processors_do_nothing():
    text = assembly("riscv64-unknown-linux-gnu")
    assert "fcsr" not in text
    assert "fsflags" not in text
