"""Complex values: refused wherever they come in or arise, or the real result that NumPy gives; never a cast."""

import warnings

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State
from tapegrad.errors import DtypeError, TracingError, UnsupportedPrimitive
from tapegrad.tensor import Aval
from tapegrad.testing import check_grads

X = np.array([0.5, 1.5, -0.7])
Z = np.array([1 + 2j, 3j, -1.0])
M = np.eye(3) * (1 + 1j)
TRACES = {
    "grad": lambda f: tg.vjp(f, X)[0],
    "jvp": lambda f: tg.jvp(f, (X,), (X,))[0],
    "vmap": lambda f: tg.vmap(f)(X[None])[0],
    "trace": lambda f: tg.trace(f)(X)(X),
}
IN_EVERY_TRACE = pytest.mark.parametrize("trace", TRACES)
REMEDY = (
    r"real and imaginary parts|register it|read as another dtype|tapegrad\.|supported on a Tensor|, expected |"
    r"use np.linalg.eigh"
)


@pytest.fixture(autouse=True)
def _casts_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ---- what meets a Tensor ----
OPERATORS = {
    "x + 1j": lambda x: x + 1j,
    "1j * x": lambda x: 1j * x,
    "1j - x": lambda x: 1j - x,
    "1j / x": lambda x: 1j / x,
    "x ** 1j": lambda x: x**1j,
    "1j ** x": lambda x: 1j**x,
    "x % 1j": lambda x: x % 1j,
    "x // 1j": lambda x: x // 1j,
    "x < 1j": lambda x: x < 1j,
    "x == 1j": lambda x: x == 1j,
    "x * z": lambda x: x * Z,
    "z - x": lambda x: Z - x,
    "x @ z": lambda x: x @ Z,
    "m @ x": lambda x: M @ x,
    "x != z": lambda x: x != Z,
    "x + [1j, 0, 1]": lambda x: x + [1j, 0, 1],
    "complex64 * x": lambda x: np.complex64(1j) * x,
    "x * complex128": lambda x: x * np.complex128(1j),
    "exp(1j * x)": lambda x: np.exp(1j * x),
    "sqrt(x + 0j)": lambda x: np.sqrt(x + 0j),
    "x += 1j": lambda x: x.__add__(1j),
}
FUNCTIONS = {
    "einsum": lambda x: np.einsum("ij,j->i", M, x),
    "dot": lambda x: np.dot(Z, x),
    "vdot": lambda x: np.vdot(x, Z),
    "outer": lambda x: np.outer(x, Z),
    "inner": lambda x: np.inner(x, Z),
    "tensordot": lambda x: np.tensordot(M, x, 1),
    "kron": lambda x: np.kron(x, Z),
    "convolve": lambda x: np.convolve(x, Z),
    "multiply": lambda x: np.multiply(x, Z),
    "add.outer": lambda x: np.add.outer(x, Z),
    "float_power": lambda x: np.float_power(x, 1j),
    "power": lambda x: np.power(x, 0.5 + 0j),
    "hypot": lambda x: np.hypot(x, 1j),
    "logaddexp": lambda x: np.logaddexp(x, 1j),
    "maximum": lambda x: np.maximum(x, 1j),
    "clip": lambda x: np.clip(x, 0, 1j),
    "where, a number": lambda x: np.where(x > 0, x, 1j),
    "where, an array": lambda x: np.where(x > 0, Z, x),
    "where, the condition": lambda x: np.where(Z, x, 0.0),
    "concatenate": lambda x: np.concatenate([x, Z]),
    "stack": lambda x: np.stack([x, Z]),
    "pad": lambda x: np.pad(x, 1, constant_values=1j),
    "nan_to_num": lambda x: np.nan_to_num(x, nan=1j),
    "interp": lambda x: np.interp(x, [0, 1], [1j, 2]),
    "full_like": lambda x: np.full_like(x, 1j),
    "full_like, dtype": lambda x: np.full_like(x, x[0], dtype=complex),
    "zeros_like, dtype": lambda x: x * np.zeros_like(x, dtype=complex),
    "linspace": lambda x: np.linspace(x[0], 1j, 3),
    "solve": lambda x: np.linalg.solve(M, x),
    "solve, the right side": lambda x: np.linalg.solve(np.outer(x, x), Z),
    **{
        f"linalg.{name}": lambda x, name=name: getattr(np.linalg, name)(np.outer(x, x) + M)
        for name in "inv det slogdet cholesky eigh eigvalsh svd qr pinv".split()
    },
    "linalg.norm": lambda x: np.linalg.norm(x * Z),
    "linalg.norm, ord": lambda x: np.linalg.norm(x, ord=2j),
    "linalg.cross": lambda x: np.linalg.cross(x, Z),
    "linalg.vecdot": lambda x: np.vecdot(x, Z),
    "linalg.multi_dot": lambda x: np.linalg.multi_dot([M, x]),
    "logical_and": lambda x: np.logical_and(x, Z),
    "tg.array": lambda x: tg.array([x[0], 1j]),
    "tg.full": lambda x: tg.full(3, x[0], complex),
    "tg.linspace": lambda x: tg.linspace(x[0], 1.0, 3, dtype=complex),
    "tg.index_add": lambda x: tg.index_add(x, 0, 1j),
    "tg.index_add into z": lambda x: tg.index_add(Z, 0, x[0]),
    "tg.index_update": lambda x: tg.index_update(x, 0, 1j),
    "tg.index_update into z": lambda x: tg.index_update(Z, 0, x[0]),
    "tg.take": lambda x: tg.take(Z, np.array([0, 1])) * x[:2],
    "tg.conv": lambda x: tg.conv(x[:, None], np.ones((1, 1, 1), complex)),
    "tg.sigmoid": lambda x: tg.sigmoid(1j * x),
    "tg.erf": lambda x: tg.erf(1j * x),
    "tg.mse": lambda x: tg.mse(x, Z),
    "tg.softmax_cross_entropy": lambda x: tg.softmax_cross_entropy(x, Z),
    "tg.checkpoint": lambda x: tg.checkpoint(lambda a, b: a * np.abs(b))(x, Z),
    "tg.scan": lambda x: tg.scan(lambda p, s, y: (s * p, y * Z), x[0], X, np.ones((2, 3)))[1],
    "tg.vmap": lambda x: tg.vmap(lambda a: a * 1j)(x),
    "tg.primitive": lambda x: tg.primitive(np.fft.fft, shape=lambda x: Aval(x.shape, complex))(x),
}
# ---- what NumPy makes complex ----
CONVERSIONS = {
    "astype(complex)": lambda x: x.astype(complex),
    "astype('F')": lambda x: x.astype("F"),
    "np.astype": lambda x: np.astype(x, complex),
    "view": lambda x: x.view(complex),
    "complex(x)": lambda x: complex(x[0]),
    "sum(dtype=)": lambda x: np.sum(x, dtype=complex),
    "x.sum(dtype=)": lambda x: x.sum(dtype=complex),
    "mean(dtype=)": lambda x: np.mean(x, dtype=complex),
    "var(dtype=)": lambda x: np.var(x, dtype=complex),
    "prod(dtype=)": lambda x: np.prod(x, dtype=complex),
    "cumsum(dtype=)": lambda x: np.cumsum(x, dtype=complex),
    "add.reduce(dtype=)": lambda x: np.add.reduce(x, dtype=complex),
    "add.accumulate(dtype=)": lambda x: np.add.accumulate(x, dtype=complex),
    "concatenate(dtype=)": lambda x: np.concatenate([x, x], dtype=complex),
    "exp(dtype=)": lambda x: np.exp(x, dtype=complex),
    "fft": np.fft.fft,
    "ifft": np.fft.ifft,
    "rfft": np.fft.rfft,
    "irfft": np.fft.irfft,
    "hfft": np.fft.hfft,
    "fft2": lambda x: np.fft.fft2(np.outer(x, x)),
    "eig": lambda x: np.linalg.eig(np.outer(x, x)),
    "eigvals": lambda x: np.linalg.eigvals(np.outer(x, x)),
    "roots": np.roots,
    "sort_complex": np.sort_complex,
    "emath.sqrt": np.emath.sqrt,
    "emath.log": np.emath.log,
    "emath.power": lambda x: np.emath.power(x, 0.5),
}
REFUSED = OPERATORS | FUNCTIONS | CONVERSIONS


@IN_EVERY_TRACE
@pytest.mark.parametrize("name", REFUSED)
def test_a_complex_value_is_refused(name, trace):
    with pytest.raises((DtypeError, UnsupportedPrimitive, TracingError), match=REMEDY):
        TRACES[trace](REFUSED[name])


def test_the_error_names_the_operation():
    for f, name in ((lambda x: x * 1j, "multiply"), (lambda x: Z + x, "add"), (lambda x: M @ x, "contract")):
        for trace in TRACES.values():
            with pytest.raises(DtypeError, match=f"{name}: a complex value meets a Tensor.*last axis of length 2"):
                trace(f)
    with pytest.raises(UnsupportedPrimitive, match=r"numpy\.fft\.rfft .* results are complex .* np\.cos"):
        tg.grad(lambda x: np.sum(np.abs(np.fft.rfft(x))))(X)


# ---- what is real ----
REAL = {
    "real": np.real,
    "imag": np.imag,
    "conj": np.conj,
    "conjugate": np.conjugate,
    "angle": np.angle,
    "angle, degrees": lambda x: np.angle(x, deg=True),
    "abs": np.abs,
    "real_if_close": np.real_if_close,
    "isreal": np.isreal,
    "iscomplex": np.iscomplex,
    "iscomplexobj": lambda x: x * np.iscomplexobj(x),
    "isrealobj": lambda x: x * np.isrealobj(x),
    "x.real": lambda x: x.real,
    "x.imag": lambda x: x.imag,
    "x.conj()": lambda x: x.conj(),
    "x.conjugate()": lambda x: x.conjugate(),
    "complex constants alone": lambda x: x * np.abs(np.fft.fft(X)) + np.sqrt(-1 + 0j).imag,
    "the norm of a complex constant": lambda x: x * np.linalg.norm(Z),
    "result_type": lambda x: x * (np.result_type(x, 1j).kind == "c"),
}


@IN_EVERY_TRACE
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_results_are_numpys(name, trace, dtype):
    f = REAL[name]
    expected = f(X.astype(dtype))
    found = TRACES[trace](lambda x: f(x.astype(dtype)))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_derivatives_of_parts():
    check_grads(lambda x: x.real * np.real(x) + np.conj(x) * x.conj() + np.imag(x) + np.angle(x), (X,))
    assert not tg.grad(lambda x: np.sum(np.angle(x)))(np.array([0.0, -0.0, 1.0])).any()


# ---- arguments of the transformations ----
def rule_of_complex(kind):
    """A function whose rule gives complex derivatives."""
    f = tg.primitive(np.sin, shape=lambda x: x.shape)
    return f.defvjp(lambda g, ans, x: g * 1j) if kind == "vjp" else f.defjvp(lambda g, ans, x: g * 1j)


def custom(kind):
    f = (tg.custom_vjp if kind == "vjp" else tg.custom_jvp)(lambda x: x * 2.0)
    f.defvjp(lambda g, ans, x: g * 1j) if kind == "vjp" else f.defjvp(lambda t, ans, x: t[0] * 1j)
    return f


def step(p, s, x):
    return s * p + x, s


def total(f):
    return lambda x: np.sum(f(x))


ARGUMENTS = {
    "grad": lambda: tg.grad(lambda x: np.sum(np.abs(x)))(Z),
    "grad of a number": lambda: tg.grad(np.sin)(1j),
    "grad of a tree": lambda: tg.grad(lambda d: np.sum(d["a"].real))({"a": Z}),
    "grad of a complex result": lambda: tg.grad(lambda x: np.sum(Z))(X),
    "vjp": lambda: tg.vjp(np.sin, Z),
    "a cotangent": lambda: tg.vjp(np.sin, X)[1](Z),
    "a cotangent that is a number": lambda: tg.vjp(np.sin, 1.0)[1](1j),
    "jvp": lambda: tg.jvp(np.sin, (Z,), (X,)),
    "a tangent": lambda: tg.jvp(np.sin, (X,), (Z,)),
    "a tangent that is a number": lambda: tg.jvp(np.sin, (1.0,), (1j,)),
    "jacobian": lambda: tg.jacobian(np.sin)(Z),
    "hessian": lambda: tg.hessian(lambda x: np.sum(np.abs(x)))(Z),
    "hvp": lambda: tg.hvp(lambda x: np.sum(x * x), X, Z),
    "elementwise_grad": lambda: tg.elementwise_grad(np.sin)(Z),
    "vmap": lambda: tg.vmap(np.sin)(Z),
    "vmap, not mapped": lambda: tg.vmap(lambda a, b: a * b, (0, None))(X, 1j),
    "trace": lambda: tg.trace(np.sin)(Z),
    "trace of a number": lambda: tg.trace(lambda x: x)(1j),
    "check_grads": lambda: check_grads(np.sin, (Z,)),
    "checkpoint": lambda: tg.checkpoint(np.sin)(Z),
    "scan, params": lambda: tg.scan(step, 1j, X, np.ones((2, 3))),
    "scan, state": lambda: tg.scan(step, 1.0, Z, np.ones((2, 3))),
    "scan, xs": lambda: tg.scan(step, 1.0, X, np.ones((2, 3)) * 1j),
    "scan, an output": lambda: tg.scan(lambda p, s, x: (s, Z), 1.0, X, np.ones((2, 3))),
    "a rule of a primitive, reverse": lambda: tg.grad(total(rule_of_complex("vjp")))(X),
    "a rule of a primitive, forward": lambda: tg.jvp(rule_of_complex("jvp"), (X,), (X,)),
    "a transposed rule": lambda: tg.grad(total(rule_of_complex("jvp")))(X),
    "a custom rule, reverse": lambda: tg.grad(total(custom("vjp")))(X),
    "a custom rule, forward": lambda: tg.jvp(custom("jvp"), (X,), (X,)),
    "a result of a primitive": lambda: tg.grad(lambda x: np.sum(np.abs(tg.primitive(np.fft.fft)(x))))(X),
    "full": lambda: tg.full(3, 1j, float),
    "index_add": lambda: tg.index_add(X, 0, 1j),
    "index_update": lambda: tg.index_update(X, 0, 1j),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_complex_arguments_are_refused(name):
    with pytest.raises(DtypeError, match="complex|no argument is floating"):
        ARGUMENTS[name]()


class Phase(Cell):
    """A cell that rotates its state by a complex number."""

    size: int

    def parameters(self):
        return {"w": Parameter((self.size,), init="zeros")}

    def state(self):
        return State((self.size,))

    def step(self, params, state, x):
        state = np.tanh(state * params["w"] * 1j + x)
        return state, state


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_cells(backend):
    cell, xs = Phase(2), np.ones((3, 1, 2), np.float32)
    params = cell.init(np.random.default_rng(0))
    with pytest.raises(DtypeError, match="multiply: a complex value meets a Tensor"):
        cell(params, xs, backend=backend)
    for refused in (
        lambda: cell({"w": params["w"] * 1j}, xs, backend=backend),
        lambda: cell(params, xs * 1j, backend=backend),
        lambda: cell(params, xs, np.ones((1, 2)) * 1j, backend=backend),
        lambda: cell.init(np.random.default_rng(0), dtype=complex),
    ):
        with pytest.raises(DtypeError, match="complex|floating"):
            refused()
