"""NumPy's promotion rules (NEP 50), held against NumPy itself, in every kind of trace."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tests.specs import PRIMITIVES

FLOATS = [np.float16, np.float32, np.float64]
DTYPES = [*FLOATS, np.int8, np.int32, np.int64, np.uint8, np.bool_]
BINARY = "add subtract multiply divide power maximum minimum arctan2 logaddexp remainder floor_divide".split()
UNARY = "exp log sqrt tanh sin negative absolute sign floor log1p".split()
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod,
             operator.floordiv, operator.lt, operator.ge, operator.eq, operator.ne]  # fmt: skip


@st.composite
def operands(draw):
    """An array or scalar of any dtype, or a Python scalar."""
    kind = draw(st.sampled_from(["array", "scalar", "python"]))
    if kind == "python":
        return draw(st.sampled_from([2, 1.5, True, 3.0]))
    dtype = draw(st.sampled_from(DTYPES))
    value = draw(st.sampled_from([1, 2, 3])) if dtype != np.bool_ else True
    return np.full((2,), value, dtype) if kind == "array" else dtype(value)


def seen_by(transform):
    """The shape and dtype that a function has inside a transform, as (function of operands) -> dtype."""

    def run(f, args):
        moving = [i for i, a in enumerate(args) if isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f"]
        found = []

        def inside(*given):
            filled = list(args)
            for i, value in zip(moving, given, strict=True):
                filled[i] = value
            result = f(*filled)
            found.append((np.shape(result), getattr(result, "dtype", type(result))))
            return result

        transform(inside, [args[i] for i in moving])
        return found[0]

    return run


KINDS = {
    "reverse": seen_by(lambda f, args: tg.vjp(f, *args)),
    "forward": seen_by(lambda f, args: tg.jvp(f, args, args)),
    "vmap": seen_by(lambda f, args: tg.vmap(f)(*[np.stack([a, a]) for a in args])),
    "trace": seen_by(lambda f, args: tg.trace(f)(*args)),
    "reverse of forward": seen_by(lambda f, args: tg.vjp(lambda *a: tg.jvp(f, a, a)[1], *args)),
}


def check(f, args, kind):
    if not any(isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f" for a in args):
        return
    with np.errstate(all="ignore"):
        expected = f(*args)
        shape, dtype = KINDS[kind](f, args)
    assert dtype == np.asarray(expected).dtype
    assert shape == np.shape(expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@given(st.sampled_from(BINARY), operands(), operands())
def test_binary_functions(kind, name, x, y):
    check(getattr(np, name), (x, y), kind)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@given(st.sampled_from(OPERATORS), operands(), operands())
def test_operators(kind, symbol, x, y):
    check(symbol, (x, y), kind)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@given(st.sampled_from(UNARY), operands())
def test_unary_functions(kind, name, x):
    check(getattr(np, name), (x,), kind)


FUNCTIONS = [
    lambda x, y: np.where(True, x, y),
    lambda x, y: np.where(x > 0, x, y),
    lambda x, y: np.concatenate([np.ravel(x), np.ravel(y)]),
    lambda x, y: np.stack([np.ravel(x)[0], np.ravel(y)[0]]),
    lambda x, y: np.outer(x, y),
    lambda x, y: np.dot(x, y),
    lambda x, y: np.clip(x, 0, y),
    lambda x, y: np.mean(x * y),
    lambda x, y: np.sum(x) + np.var(np.ravel(y)),
    lambda x, y: np.cumsum(x) * y,
    lambda x, y: np.prod(x) - y,
    lambda x, y: np.linalg.norm(np.ravel(x)) * y,
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@given(st.sampled_from(range(len(FUNCTIONS))), st.sampled_from(FLOATS), st.sampled_from(FLOATS), st.booleans())
def test_functions(kind, number, one, other, scalar):
    x, y = np.full((2,), 1.5, one), other(2.5) if scalar else np.full((2,), 2.5, other)
    check(FUNCTIONS[number], (x, y), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_in_words(kind):
    single = np.ones(2, np.float32)
    for f, dtype in (
        (lambda x: x * 2.0, np.float32),
        (lambda x: 2 * x + 1, np.float32),
        (lambda x: x**2, np.float32),
        (lambda x: x * np.float64(2.0), np.float64),
        (lambda x: x * np.ones(2), np.float64),
        (lambda x: x * np.arange(2), np.float64),
        (lambda x: x * np.arange(2, dtype=np.int8), np.float32),
        (lambda x: x * np.True_, np.float32),
        (lambda x: np.mean(x) / 3, np.float32),
        (lambda x: tg.sigmoid(x), np.float32),
        (lambda x: x.astype(np.float64) * 2, np.float64),
        (lambda x: np.where(x > 0, x, 0.0), np.float32),
    ):
        check(f, (single,), kind)
        assert np.asarray(f(single)).dtype == dtype


@given(st.sampled_from(BINARY[:9]), st.sampled_from(FLOATS[1:]), operands())
def test_a_gradient_has_the_dtype_of_its_primal(name, dtype, other):
    x = np.full((2,), 1.5, dtype)
    for f in (lambda x: getattr(np, name)(x, other), lambda x: getattr(np, name)(other, x)):
        with np.errstate(all="ignore"):
            value, pullback = tg.vjp(f, x)
            if value.dtype.kind != "f":
                continue
            assert pullback(np.ones_like(value))[0].dtype == dtype
            tangent = tg.jvp(f, (x,), (x,))[1]
            assert (tangent.dtype, tangent.shape) == (value.dtype, value.shape)
            again = tg.jvp(lambda x, f=f: tg.jvp(f, (x,), (x,))[1], (x,), (x,))[1]
            assert (again.dtype, again.shape) == (value.dtype, value.shape)


def test_a_whole_float32_program_never_leaves_float32():
    """Every operation on the tape of a derivative of a derivative is in float32."""
    x = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(2, 3)
    f = lambda x: np.mean(tg.softmax(np.tanh(x @ x.T) / 2 + tg.logsumexp(x, axis=1) ** 2) * tg.sigmoid(x[:, :2] - 1))  # noqa: E731
    tape = tg.trace(tg.grad(lambda x: np.sum(tg.grad(f)(x) ** 2)))(x)
    dtypes = {tape.aval(slot).dtype for slot, node in enumerate(tape.nodes) if node}
    assert dtypes <= {np.dtype(np.float32), np.dtype(bool)}


def test_the_primitives_named_here_exist():
    assert set(BINARY) | set(UNARY) <= set(PRIMITIVES)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BINARY)
def test_derivatives_of_float32_hold_nothing_wider(name):
    """A choice between two Python numbers would be float64, and with it all that is computed from it."""
    f, x = getattr(np, name), np.float32([0.5, 2.0])
    for g in (lambda x: f(x, 2.0), lambda x: f(2.0, x), lambda x: f(x, x), lambda x: f(x, 0)):
        tape = tg.trace(lambda x, u, g=g: (tg.vjp(g, x)[1](u), tg.jvp(g, (x,), (u,))))(x, x)
        slots = [slot for slot, node in enumerate(tape.nodes) if node is not None]
        assert "float64" not in {str(tape.aval(slot).dtype) for slot in slots}
