"""Special functions at the ends of their domains, without SciPy, and in single precision."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import special

import tapegrad as tg
from tapegrad.errors import DtypeError, UnsupportedPrimitive
from tapegrad.testing import check_grads

INF, NAN = np.inf, np.nan


def value_and_slope(f, x):
    x = np.asarray(x, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return tg.vjp(f, x)[0], tg.elementwise_grad(f)(x)


ENDS = [  # points, derivatives there
    (special.erf, [INF, -INF, 0.0, 40.0, NAN], [0, 0, 2 / np.sqrt(np.pi), 0, NAN]),
    (special.erfc, [INF, -INF, 0.0, 40.0], [0, 0, -2 / np.sqrt(np.pi), 0]),
    (special.ndtr, [INF, -INF, -37.0], [0, 0, np.exp(-(37.0**2) / 2) / np.sqrt(2 * np.pi)]),
    (special.log_ndtr, [-50.0, -1e6, 50.0], [50.0199840479, 1e6, 0]),
    (special.expit, [1000.0, -1000.0, INF, -INF], [0, 0, 0, 0]),
    (special.log_expit, [-1000.0, 1000.0], [1, 0]),
    (special.logit, [0.0, 1.0, 0.5], [INF, INF, 4]),
    (special.entr, [0.0, 1.0], [INF, -1]),
    (special.erfinv, [-1.0, 1.0, 0.0], [INF, INF, np.sqrt(np.pi) / 2]),
    (special.ndtri, [0.0, 1.0], [INF, INF]),
    (special.gammaln, [0.0, -0.5, 1.0, INF], [-INF, special.digamma(-0.5), -np.euler_gamma, INF]),
    (special.digamma, [-0.5, 1.0], [special.polygamma(1, -0.5), np.pi**2 / 6]),
    (special.loggamma, [0.0, 2.0], [-INF, 1 - np.euler_gamma]),
    (special.gamma, [-1.5, 171.0], [special.gamma(x) * special.digamma(x) for x in (-1.5, 171.0)]),
    (special.i0, [0.0], [0]),
    (special.i1, [0.0], [0.5]),
    (special.i0e, [0.0, 1e4], [0, special.i1e(1e4) - special.i0e(1e4)]),
    (special.exp1, [0.0, 50.0], [-INF, -np.exp(-50) / 50]),
    (tg.gelu, [-40.0, 40.0, 0.0], [0, 1, 0.5]),
]


@pytest.mark.parametrize(("f", "points", "slopes"), ENDS, ids=lambda f: getattr(f, "__name__", ""))
def test_at_the_ends_of_the_domain(f, points, slopes):
    value, slope = value_and_slope(f, points)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(value, f(np.asarray(points)), rtol=1e-12)
    np.testing.assert_allclose(slope, slopes, rtol=1e-7, atol=1e-200)


@pytest.mark.parametrize("f", [special.xlogy, special.xlog1py, special.rel_entr, special.kl_div])
def test_products_with_logarithms_at_every_kind_of_number(f):
    kinds = np.array([0.0, 1.0, -1.0, 0.5, INF, -INF, NAN, 2.0])
    x, y = (grid.ravel() for grid in np.meshgrid(kinds, kinds))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(tg.vjp(f, x, y)[0], f(x, y), rtol=1e-15)


def test_xlogy_has_its_limits_where_x_is_zero():
    x, y = np.zeros(3), np.array([2.0, INF, 0.5])
    dx, dy = tg.grad(lambda x, y: np.sum(special.xlogy(x, y)), (0, 1))(x, y)
    np.testing.assert_array_equal(dx, np.log(y))
    np.testing.assert_array_equal(dy, [0, 0, 0])


def test_third_derivatives_close():
    for f in (special.erf, special.gammaln, special.digamma, special.log_ndtr, special.i0, special.expit):
        check_grads(f, (np.array([0.4, 1.3]),), order=3)
    check_grads(special.betaln, (np.array([0.4, 1.3]), np.array([0.7, 2.0])), order=3)


PAIRS = (special.beta, special.betaln, special.xlogy, special.xlog1py, special.rel_entr, special.kl_div)


@pytest.mark.parametrize("f", PAIRS)
def test_numbers_of_python_are_weak(f):
    x = np.array([0.5, 1.5], np.float32)
    for g in (lambda x: f(x, 0.5), lambda x: f(0.5, x), lambda x: f(x, 2), lambda x: f(2, x)):
        value, pullback = tg.vjp(g, x)
        assert value.dtype == pullback(value)[0].dtype == tg.hvp(lambda x, g=g: np.sum(g(x)), x, x).dtype == np.float32
        np.testing.assert_allclose(value, g(x), rtol=1e-5)


# ---- erf without SciPy ----
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 6e-7), (np.float64, 1e-14)])
def test_erf_and_erfc_against_scipy(dtype, error):
    """Whose own error is most of it in float64; of what is compiled the bounds are tested against exact values."""
    from tapegrad.primitives.error_function import erf_function, erfc_function

    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-6, 6, 20_000), rng.normal(size=2000) / 100, rng.uniform(0, 9, 2000)]).astype(dtype)
    for own, scipys in ((erf_function, special.erf), (erfc_function, special.erfc)):
        expected = scipys(x.astype(np.float64))
        np.testing.assert_allclose(own(x), expected, rtol=error, atol=0)
        assert own(x).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.bool_])
def test_dtypes_of_erf(dtype):
    expected = dtype if np.dtype(dtype).kind == "f" else np.float64
    for shape in ((), (0,), (2, 3)):
        found = tg.erf(np.ones(shape, dtype))
        assert (found.dtype, found.shape) == (expected, shape)
    assert tg.erf(1).dtype == tg.erf(1.0).dtype == np.float64


def test_everything_in_gelu_is_as_accurate_as_its_definition():
    x = np.linspace(-12, 12, 2001)
    np.testing.assert_allclose(tg.gelu(x), x * special.ndtr(x), rtol=1e-13)
    assert np.max(np.abs(tg.gelu(x, approximate=True) - tg.gelu(x))) < 1e-3


def test_scipy_is_not_loaded_by_tapegrad():
    program = (
        "import sys, numpy as np, tapegrad as tg; tg.grad(lambda x: tg.gelu(x) + tg.erf(x))(1.0); "
        "assert not [m for m in sys.modules if m.startswith('scipy')]"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# ---- refusals ----
def test_a_derivative_that_is_not_known_is_refused():
    for f in (special.iv, special.jv, special.gammainc):
        with pytest.raises(UnsupportedPrimitive, match=rf"special\.{f.__name__}: the derivative by argument 0"):
            tg.grad(lambda n, f=f: f(n, 2.0))(1.5)
        with pytest.raises(UnsupportedPrimitive, match="stop_gradient"):
            tg.jvp(lambda n, f=f: f(n, 2.0), (1.5,), (1.0,))
        assert np.isfinite(tg.grad(lambda x, f=f: f(tg.stop_gradient(x), x))(1.5))


def test_orders_that_are_whole_numbers_may_be_traced():
    """Of a step's inputs too: they have no derivative, and none is asked for."""
    orders = np.array([[0], [2]], np.int32)

    def total(w, orders):
        return np.sum(tg.scan(lambda w, s, n: (s + special.iv(n, w), s), w, np.zeros(1), orders)[0])

    found = tg.grad(lambda w: total(w, orders))(0.7)
    np.testing.assert_allclose(found, special.ivp(0, 0.7) + special.ivp(2, 0.7))


def test_a_function_without_a_rule_is_named():
    with pytest.raises(UnsupportedPrimitive, match=r"scipy\.special\.struve has no rule .*tapegrad\.primitive"):
        tg.grad(lambda x: special.struve(1.0, x))(2.0)
    with pytest.raises(UnsupportedPrimitive, match=r"scipy\.special\.erf: .*out="):
        tg.grad(lambda x: special.erf(x, out=np.zeros(2))[0])(np.ones(2))
    with pytest.raises(DtypeError, match="complex"):
        tg.grad(lambda x: special.erf(x * 1j).real)(2.0)
