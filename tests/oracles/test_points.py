"""Kinks, ties, zeros and infinities: what is chosen there, and that autograd or JAX chooses the same.

A choice that neither makes is listed with the reason; docs/numpy.md prints the same table.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg

INF, NAN = np.inf, np.nan
PAGE = Path(__file__).resolve().parents[2] / "docs" / "numpy.md"


def point(name, f, args, partials, same=("autograd", "jax"), reason=""):
    """Where ``same`` names libraries, they give these derivatives too; the others give something else, or nothing."""
    return pytest.param(f, args, partials, same, reason, id=name)


BOTH, FIRST, SECOND, NONE = ("autograd", "jax"), ("autograd",), ("jax",), ()
ONES = np.ones(3)
KINKS = [
    point("absolute at 0", lambda n, x: n.absolute(x), (0.0,), (0.0,), FIRST),
    point("fabs at 0", lambda n, x: n.fabs(x), (0.0,), (0.0,), FIRST),
    point("maximum of equals", lambda n, x, y: n.maximum(x, y), (1.0, 1.0), (0.5, 0.5)),
    point("minimum of equals", lambda n, x, y: n.minimum(x, y), (1.0, 1.0), (0.5, 0.5)),
    point("fmax of equals", lambda n, x, y: n.fmax(x, y), (1.0, 1.0), (0.5, 0.5), FIRST),
    point("fmin of equals", lambda n, x, y: n.fmin(x, y), (1.0, 1.0), (0.5, 0.5), FIRST),
    point("fmax beside NaN", lambda n, x, y: n.fmax(x, y), (NAN, 1.0), (0.0, 1.0)),
    point("fmin beside NaN", lambda n, x, y: n.fmin(x, y), (1.0, NAN), (1.0, 0.0)),
    point("clip at the lower bound", lambda n, x: n.clip(x, 0.0, 1.0), (0.0,), (0.5,), SECOND),
    point("clip at the upper bound", lambda n, x: n.clip(x, 0.0, 1.0), (1.0,), (0.5,), SECOND),
    point("copysign at 0", lambda n, x, y: n.copysign(x, y), (0.0, -1.0), (-1.0, 0.0), SECOND),
    point("remainder at a multiple", lambda n, x, y: n.remainder(x, y), (4.0, 2.0), (1.0, -2.0)),
    point("modf at a whole number", lambda n, x: n.modf(x)[0], (1.0,), (1.0,), SECOND),
    point("sign at 0", lambda n, x: n.sign(x), (0.0,), (0.0,)),
    point("floor at a whole number", lambda n, x: n.floor(x), (1.0,), (0.0,)),
    point("nan_to_num of NaN", lambda n, x: n.nan_to_num(x), (NAN,), (0.0,)),
    point("interp at a knot", lambda n, x: n.interp(x, np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 3.0])), (1.0,),
          (0.5,), SECOND),
]  # fmt: skip

TIES = [
    point("max of equals", lambda n, x: n.max(x), (np.array([1.0, 3.0, 3.0]),), (np.array([0.0, 0.5, 0.5]),)),
    point("min of equals", lambda n, x: n.min(x), (np.array([1.0, 1.0, 3.0]),), (np.array([0.5, 0.5, 0.0]),)),
    point("nanmax of equals", lambda n, x: n.nanmax(x), (np.array([2.0, NAN, 2.0]),), (np.array([0.5, 0.0, 0.5]),),
          SECOND),
    point("sort of equals", lambda n, x: n.dot(n.sort(x), np.array([1.0, 2.0, 4.0])), (np.array([2.0, 1.0, 1.0]),),
          (np.array([4.0, 1.0, 2.0]),)),
    point("median of equals", lambda n, x: n.median(x), (np.array([1.0, 3.0, 3.0, 3.0]),),
          (np.array([0.0, 0.5, 0.5, 0.0]),), SECOND),
    point("quantile at an element", lambda n, x: n.quantile(x, 0.5), (np.array([1.0, 2.0, 4.0]),),
          (np.array([0.0, 1.0, 0.0]),), SECOND),
    point("ptp of equals", lambda n, x: n.ptp(x), (np.ones(2),), (np.zeros(2),), SECOND),
    point("maximum.accumulate of equals", lambda n, x: n.sum(n.maximum.accumulate(x)), (np.ones(2),),
          (np.array([1.5, 0.5]),), SECOND),
    point("norm of order inf of equals", lambda n, x: n.linalg.norm(x, np.inf), (np.array([2.0, -2.0]),),
          (np.array([0.5, -0.5]),), SECOND),
]  # fmt: skip

ZEROS = [
    point("prod with one zero", lambda n, x: n.prod(x), (np.array([0.0, 2.0, 3.0]),), (np.array([6.0, 0.0, 0.0]),),
          SECOND),
    point("prod with two zeros", lambda n, x: n.prod(x), (np.array([0.0, 0.0, 3.0]),), (np.zeros(3),), SECOND),
    point("cumprod with a zero", lambda n, x: n.sum(n.cumprod(x)), (np.array([2.0, 0.0, 3.0]),),
          (np.array([1.0, 8.0, 0.0]),), SECOND),
    point("norm at 0", lambda n, x: n.linalg.norm(x), (np.zeros(3),), (np.zeros(3),), NONE,
          "both give NaN; 0 is the subgradient of least size"),
    point("norm of order 1 with a zero", lambda n, x: n.linalg.norm(x, 1), (np.array([0.0, 2.0]),),
          (np.array([0.0, 1.0]),), NONE, "JAX takes 1 for the derivative of abs at 0, autograd has no rule"),
    point("norm of order 3 at 0", lambda n, x: n.linalg.norm(x, 3), (np.zeros(2),), (np.zeros(2),), NONE,
          "both give NaN; 0 is the subgradient of least size"),
    point("norm of order 3 with a zero", lambda n, x: n.linalg.norm(x, 3), (np.array([0.0, 2.0]),),
          (np.array([0.0, 1.0]),)),
    point("std of equals", lambda n, x: n.std(x), (ONES,), (np.zeros(3),), NONE,
          "both give NaN; 0 is the subgradient of least size"),
    point("std of one number", lambda n, x: n.std(x), (np.ones(1),), (np.zeros(1),), FIRST),
    point("var of one number", lambda n, x: n.var(x), (np.ones(1),), (np.zeros(1),)),
    point("hypot at 0", lambda n, x, y: n.hypot(x, y), (0.0, 0.0), (0.0, 0.0), NONE,
          "autograd gives NaN, and JAX 1/2 each, from its formula; 0 is the choice made for norm and absolute"),
    point("hypot of a number and 0", lambda n, x, y: n.hypot(x, y), (3.0, 0.0), (1.0, 0.0)),
    point("sqrt at 0", lambda n, x: n.sqrt(x), (0.0,), (INF,), SECOND),
    point("cbrt at 0", lambda n, x: n.cbrt(x), (0.0,), (INF,), SECOND),
    point("sinc at 0", lambda n, x: n.sinc(x), (0.0,), (0.0,), SECOND),
    point("power 0 ** 0", lambda n, x, y: n.power(x, y), (0.0, 0.0), (0.0, 0.0), FIRST),
    point("power 0 ** 1", lambda n, x, y: n.power(x, y), (0.0, 1.0), (1.0, 0.0)),
    point("power 0 ** 2", lambda n, x, y: n.power(x, y), (0.0, 2.0), (0.0, 0.0)),
    point("power 0 ** 0.5", lambda n, x, y: n.power(x, y), (0.0, 0.5), (INF, 0.0), SECOND),
    point("power of a negative number", lambda n, x, y: n.power(x, y), (-2.0, 3.0), (12.0, NAN)),
    point("arctan2 at 0, 0", lambda n, x, y: n.arctan2(x, y), (0.0, 0.0), (NAN, NAN)),
]  # fmt: skip

INFINITIES = [
    point("logaddexp of -inf and -inf", lambda n, x, y: n.logaddexp(x, y), (-INF, -INF), (0.5, 0.5), NONE,
          "both give NaN; equal arguments share"),
    point("logaddexp of -inf and 1", lambda n, x, y: n.logaddexp(x, y), (-INF, 1.0), (0.0, 1.0)),
    point("logaddexp2 of -inf and -inf", lambda n, x, y: n.logaddexp2(x, y), (-INF, -INF), (0.5, 0.5), NONE,
          "both give NaN; equal arguments share"),
    point("logaddexp2 of -inf and 1", lambda n, x, y: n.logaddexp2(x, y), (-INF, 1.0), (0.0, 1.0)),
    point("nan_to_num of inf", lambda n, x: n.nan_to_num(x), (INF,), (0.0,)),
]  # fmt: skip

POINTS = [*KINKS, *TIES, *ZEROS, *INFINITIES]
EVERY = pytest.mark.parametrize(("f", "args", "partials", "same", "reason"), POINTS)
QUIET = pytest.mark.filterwarnings("ignore")


def gradients_of_autograd(f, args):
    autograd = pytest.importorskip("autograd")
    try:
        return [autograd.grad(lambda *given: f(autograd.numpy, *given), i)(*args) for i in range(len(args))]
    except (NotImplementedError, ZeroDivisionError, AttributeError):
        return None


def gradients_of_jax(f, args):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        given = [jax.numpy.asarray(x) for x in args]
        return jax.grad(lambda *given: f(jax.numpy, *given), tuple(range(len(args))))(*given)


LIBRARIES = {"autograd": gradients_of_autograd, "jax": gradients_of_jax}


def agree(found, partials):
    return found is not None and all(
        np.allclose(g, p, rtol=1e-12, atol=1e-15, equal_nan=True) for g, p in zip(found, partials, strict=True)
    )


@QUIET
@EVERY
def test_the_choice(f, args, partials, same, reason):
    """In reverse mode; and forward mode along each argument alone says the same."""
    given = [np.asarray(x) for x in args]
    assert agree(tg.grad(lambda *given: f(np, *given), tuple(range(len(args))))(*given), partials)
    for i, (x, partial) in enumerate(zip(given, partials, strict=True)):
        of_one = lambda x, i=i: f(np, *given[:i], x, *given[i + 1 :])  # noqa: E731
        slope = tg.jvp(of_one, [x], [np.ones_like(x)])[1]
        np.testing.assert_allclose(slope, np.sum(partial), rtol=1e-12, atol=1e-15)


@QUIET
@EVERY
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_makes_the_same_choice_or_is_listed(f, args, partials, same, reason, library):
    assert agree(LIBRARIES[library](f, args), partials) == (library in same)
    assert bool(reason) == (not same)


def test_the_page_prints_this_table():
    """docs/numpy.md has a row for each point: its name, and who chooses the same."""
    printed = dict(re.findall(r"^\| ([^|]+?) \|.*\| ([^|]+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    words = {BOTH: "autograd, JAX", FIRST: "autograd", SECOND: "JAX", NONE: "neither"}
    for row in POINTS:
        *_, same, reason = row.values
        assert printed[row.id].startswith(words[same])
        assert reason in printed[row.id]


@QUIET
def test_second_derivatives_at_smooth_points():
    """sinc at 0, products with zeros, squares and powers of 0."""
    np.testing.assert_allclose(tg.hessian(np.sinc)(np.array(0.0)), -np.pi**2 / 3, rtol=1e-14)
    np.testing.assert_array_equal(tg.hessian(np.prod)(np.array([0.0, 0.0, 3.0]))[0, 1], 3.0)
    last = tg.hessian(lambda x: np.cumprod(x)[-1])(np.array([2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(last, [[0.0, 3.0, 0.0], [3.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
    for power in (2, 2.0, np.array(2.0)):
        assert tg.hessian(lambda x, p=power: np.power(x, p))(np.array(0.0)) == 2.0
