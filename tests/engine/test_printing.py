"""Printed tapes are readable: every line is an operation with shapes, dtypes, names and settings."""

import numpy as np
from hypothesis import given

import tapegrad as tg
from tapegrad.cells import LSTM, Elman
from tapegrad.tape import run
from tapegrad.testing import programs

X, W = np.ones((2, 3)), np.ones((3, 4), np.float32)


def test_a_tape():
    def f(x, params):
        z = x @ params["W"] + 1.0
        h = np.tanh(z)
        return np.sum(h, axis=0)

    assert str(tg.trace(f)(X, {"W": W})) == (
        "tape(x: float64[2,3], params.W: float32[3,4]):\n"
        '    a: float64[2,4] = contract(x, params.W) spec="ab,bc->ac"\n'
        "    z: float64[2,4] = add(a, 1.0)\n"
        "    h: float64[2,4] = tanh(z)\n"
        "    b: float64[4] = sum(h) axis=(0,) keepdims=False\n"
        "    return b"
    )


def test_captured_arrays_constants_and_several_results():
    text = str(tg.trace(lambda x: (x * W[0, :3], 2.0, x))(X))
    assert text.startswith("tape(x: float64[2,3]; captured ")
    assert "float32[3]" in text.splitlines()[0]
    assert text.splitlines()[-1].endswith(", 2.0, x")


def test_nested_tapes_are_indented():
    text = str(tg.trace(tg.checkpoint(lambda x: np.sin(x) * 2))(X))
    lines = text.splitlines()
    assert any(" = call(" in line for line in lines)
    inner = next(line for line in lines if "= sin(" in line)
    assert inner.startswith("            "), "two levels deep"


def test_a_scan_shows_its_step_with_the_letters_of_the_cell():
    cell = LSTM(2, 3)
    params = cell.init(np.random.default_rng(0))
    text = str(tg.trace(lambda p, xs: cell(p, xs))(params, np.ones((5, 4, 2), np.float32)))
    assert "scan(" in text
    for letter in ("i", "f", "g", "o", "c", "h"):
        assert f"    {letter}: float32[4,3] = " in text, f"the gate {letter} keeps its letter"
    assert "params.W_xi: float32[2,3]" in text or "W_xi: float32[2,3]" in text


def test_the_tape_of_a_gradient_can_be_read():
    text = str(tg.trace(tg.grad(lambda x: np.sum(np.sin(x))))(X))
    assert "cos(" in text
    assert len(text.splitlines()) < 12


def test_the_tape_of_a_pullback():
    _, pullback = tg.vjp(lambda x: np.sin(x) @ W, X)
    text = str(pullback.tape)
    assert "sin(" in text
    assert "contract(" in text


def test_python_scalars_show_that_they_are_weak():
    assert "y: float[]" in str(tg.trace(lambda x, y: x * y)(X, 2.0))
    assert "y: float64[]" in str(tg.trace(lambda x, y: x * y)(X, np.float64(2.0)))


def test_many_names_stay_different():
    def f(x):
        for _ in range(60):
            x = np.sin(x)
        return x

    names = [line.split(":")[0].strip() for line in str(tg.trace(f)(X)).splitlines()[1:-1]]
    assert len(set(names)) == 60


def test_an_empty_function():
    assert str(tg.trace(lambda x: x)(X)) == "tape(x: float64[2,3]):\n    return x"
    assert str(tg.trace(lambda: 3.0)()) == "tape():\n    return 3.0"


@given(programs())
def test_a_tape_does_what_the_program_does(program):
    tape = tg.trace(program)(*program.args)
    (found,) = run(tape, program.args)
    expected = program(*program.args)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    slot, aval = tape.outputs[0]
    assert (aval.shape, aval.dtype) == (np.shape(expected), np.asarray(expected).dtype)
    lines = str(tape).splitlines()
    assert len(lines) >= 2
    assert lines[-1].startswith("    return ")


@given(programs())
def test_a_traced_gradient_is_the_gradient(program):
    f = lambda *args: tg.vjp(program, *args)[1](np.ones(np.shape(program(*program.args))))  # noqa: E731
    tape = tg.trace(f)(*program.args)
    for found, expected in zip(run(tape, program.args), f(*program.args), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_the_arguments_of_a_method_have_their_own_names():
    cell = Elman(2, 3)
    params = cell.init(np.random.default_rng(0), dtype=np.float64)
    text = str(tg.trace(cell.step)(params, np.zeros((1, 3)), np.zeros((1, 2))))
    assert "params.W_hh: float64[3,3]" in text.splitlines()[0]
    assert "self" not in text.splitlines()[0]
