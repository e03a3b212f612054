"""One row for each primitive: where it is smooth, how to call it, what NumPy makes of the call, and its special points.

``tests/primitives`` holds every row to the same properties, ``tests/meta`` plants faults into every row's rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from hypothesis import strategies as st

import tapegrad as tg
from tests.spec_rows import PRIMITIVES, Point, Spec, apart, binary, far_from_wrapping, logical, unary
from tests.strategies import calls, linalg

INF = np.inf
ROOT_PI = np.sqrt(np.pi)


ARITHMETIC = [
    binary("add"),
    binary("subtract"),
    binary("multiply", points=(Point((0.0, 0.0), (0.0, 0.0)), Point((INF, 2.0), (2.0, INF)))),
    binary("divide", y=(-2.0, 2.0, (0.0,)), points=(Point((0.0, 2.0), (0.5, 0.0)),)),
    Spec(
        "power",
        calls.powers(),
        np.power,
        points=(
            Point((0.0, 2.0), (0.0, 0.0)),
            Point((0.0, 1.0), (1.0, 0.0)),
            Point((0.0, 0.0), (0.0, 0.0)),
            Point((3.0, 0.0), (0.0, np.log(3.0))),
            Point((-2.0, 3.0), (12.0, None)),
            Point((-2.0, 2), (-4.0,)),
            Point((0.0, 1), (1.0,)),
            Point((0.0, 0), (0.0,)),
            Point((0.0, 3), (0.0,)),
            Point((INF, 0), (0.0,)),
            Point((INF, 0.0), (0.0, None)),
            Point((0, 2.0), (0.0,)),
            Point((1, 2.0), (0.0,)),
            Point((-2, 2.0), (np.nan,)),
        ),
    ),
    binary("remainder", (-4.0, 4.0, ()), (0.5, 2.0, ()), far=far_from_wrapping, single=1e-3,
           points=(Point((-1.0, 3.0), (1.0, 1.0)), Point((7.0, -3.0), (1.0, 3.0)))),
    unary("negative"),
    unary("absolute", away_from=(0.0,),
          points=(Point((0.0,), (0.0,)), Point((-0.0,), (0.0,)), Point((-INF,), (-1.0,)))),
    binary("hypot", (-2.0, 2.0, (0.0,)), (-2.0, 2.0, (0.0,)), points=(
        Point((0.0, 0.0), (0.0, 0.0)), Point((1.0, 0.0), (1.0, 0.0)), Point((3.0, -4.0), (0.6, -0.8)))),
    binary("maximum", far=apart, points=(Point((1.0, 1.0), (0.5, 0.5)), Point((INF, 1.0), (1.0, 0.0)))),
    binary("minimum", far=apart, points=(Point((1.0, 1.0), (0.5, 0.5)), Point((INF, 1.0), (0.0, 1.0)))),
]  # fmt: skip

EXPONENTIAL = [
    unary("exp", points=(Point((-1000.0,), (0.0,)), Point((-INF,), (0.0,)))),
    unary("expm1", points=(Point((0.0,), (1.0,)), Point((-1000.0,), (0.0,)))),
    unary("log", 0.2, 3.0, points=(Point((INF,), (0.0,)),)),
    unary("log1p", -0.7, 3.0, points=(Point((0.0,), (1.0,)), Point((1e-20,), (1.0,)))),
    unary("sqrt", 0.2, 3.0, points=(Point((INF,), (0.0,)),)),
    unary("logistic", -4.0, 4.0, reference=lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),
          points=(Point((0.0,), (0.25,)), Point((1000.0,), (0.0,)), Point((-1000.0,), (0.0,)), Point((-INF,), (0.0,)))),
    binary("logaddexp", points=(
        Point((-INF, -INF), (0.5, 0.5)),
        Point((-INF, 1.0), (0.0, 1.0)),
        Point((1000.0, -1000.0), (1.0, 0.0)),
        Point((INF, INF), (0.5, 0.5)),
    )),
]  # fmt: skip

TRIGONOMETRIC = [
    unary("sin"),
    unary("cos"),
    unary("tan", -1.2, 1.2, single=1e-3),
    unary("arcsin", -0.8, 0.8),
    unary("arccos", -0.8, 0.8),
    unary("arctan", points=(Point((INF,), (0.0,)),)),
    binary("arctan2", (-2.0, 2.0, (0.0,)), (-2.0, 2.0, (0.0,)),
           points=(Point((0.0, 1.0), (1.0, 0.0)), Point((1.0, 0.0), (0.0, -1.0)))),
    unary("sinh"),
    unary("cosh", points=(Point((0.0,), (0.0,)),)),
    unary("arcsinh", points=(Point((0.0,), (1.0,)),)),
    unary("arccosh", 1.3, 4.0),
    unary("arctanh", -0.7, 0.7, points=(Point((0.0,), (1.0,)),)),
    unary("tanh", points=(Point((0.0,), (1.0,)), Point((50.0,), (0.0,)), Point((INF,), (0.0,)))),
]  # fmt: skip

CHOICE = [
    Spec("where", calls.elementwise(None, (-2.0, 2.0, ()), (-2.0, 2.0, ())), np.where,
         points=(Point((True, 1.0, INF), (1.0, 0.0)), Point((False, np.nan, 1.0), (0.0, 1.0)),
                 Point((0.5, 1.0, 2.0), (0.0, 1.0, 0.0)))),
    Spec("cast", calls.elementwise((-2.0, 2.0, ()), dtype=np.dtype(np.float64)), lambda x, dtype: np.asarray(x, dtype),
         points=(Point((1.5,), (1.0,), {"dtype": np.dtype(np.float32)}),
                 Point((1.5,), (0.0,), {"dtype": np.dtype(np.int64)}))),
    unary("stop_gradient", reference=np.positive, order=0, points=(Point((1.5,), (0.0,)),)),
    unary("sign", away_from=(0.0,), order=0, points=(Point((0.0,), (0.0,)),)),
    unary("floor", order=0, points=(Point((1.0,), (0.0,)),)),
    unary("rint", order=0, points=(Point((0.5,), (0.0,)),)),
    binary("floor_divide", y=(0.5, 2.0, ()), far=far_from_wrapping, order=0),
    *[Spec(name, calls.coarse(2), getattr(np, name), order=0, points=(Point((1.0, 1.0), (0.0, 0.0)),))
      for name in ("equal", "less", "less_equal")],
    Spec("isfinite", calls.coarse(1), np.isfinite, order=0, points=(Point((INF,), (0.0,)),)),
    logical("logical_and", 2),
    logical("logical_or", 2),
    logical("logical_not", 1),
]  # fmt: skip

PRODUCTS = [
    Spec("contract", calls.contractions(), lambda x, y, spec: np.einsum(spec.text, x, y), single=1e-3),
]

INDEXING = [
    Spec("getitem", calls.reads(), calls.read),
    Spec("scatter", calls.writes(), calls.written),
]



def scipy_row(name: str, low: float, high: float, away_from: tuple = (), where: str = "", **rest: Any) -> Spec:
    """A function of ``scipy.special`` with one argument."""
    reference = getattr(scipy.special, where or name)
    return Spec(name, calls.elementwise((low, high, away_from)), reference, **rest)


def scipy_pair(name: str, x: tuple, y: tuple, **rest: Any) -> Spec:
    return Spec(name, calls.elementwise(x, y), getattr(scipy.special, name), **rest)


def orders(name: str, low: float, high: float, away_from: tuple = (), points: tuple[Point, ...] = ()) -> Spec:
    """A function with orders in front, which are integers since it has no derivative by them."""
    drawn = calls.with_orders((1, 3), (low, high, away_from))
    return Spec(name, drawn, getattr(scipy.special, name), points=points, mixed=False)


SHARES = (0.1, 0.9, ())
SIZES = (0.4, 3.0, ())
SPECIAL = [
    scipy_row("erf", -2.0, 2.0, points=(Point((INF,), (0.0,)), Point((-INF,), (0.0,)), Point((0.0,), (2 / ROOT_PI,)))),
    scipy_row("erfc", -2.0, 2.0, points=(Point((INF,), (0.0,)), Point((0.0,), (-2 / ROOT_PI,)))),
    scipy_row("erfcx", -1.5, 3.0, points=(Point((0.0,), (-2 / ROOT_PI,)),)),
    scipy_row("erfinv", -0.8, 0.8, points=(Point((0.0,), (ROOT_PI / 2,)), Point((1.0,), (INF,)))),
    scipy_row("ndtri", 0.1, 0.9, points=(Point((0.5,), (np.sqrt(2.0) * ROOT_PI,)), Point((0.0,), (INF,)))),
    scipy_row("log_ndtr", -3.0, 2.0, points=(
        Point((-50.0,), (50.01998404787,)), Point((-1e4,), (1e4 + 1e-4,)), Point((50.0,), (0.0,)))),
    Spec("zeta", calls.with_orders((2, 4), SIZES), scipy.special.zeta, mixed=False),
    scipy_row("digamma", 0.4, 3.0, points=(Point((1.0,), (np.pi**2 / 6,)), Point((INF,), (0.0,)))),
    scipy_row("gammaln", 0.4, 3.0, points=(Point((1.0,), (-np.euler_gamma,)), Point((0.0,), (-INF,)))),
    scipy_row("gamma", 0.4, 3.0, points=(Point((1.0,), (-np.euler_gamma,)),)),
    scipy_pair("betaln", SIZES, SIZES, points=(Point((1.0, 1.0), (-1.0, -1.0)),)),
    scipy_pair("beta", SIZES, SIZES, points=(Point((1.0, 1.0), (-1.0, -1.0)),)),
    orders("gammainc", 0.4, 3.0),
    orders("gammaincc", 0.4, 3.0),
    Spec("betainc", calls.with_orders((1, 3), (1, 3), SHARES), scipy.special.betainc, mixed=False),
    scipy_pair("xlogy", (-2.0, 2.0, ()), (0.3, 3.0, ()), points=(
        Point((0.0, 2.0), (np.log(2.0), 0.0)), Point((0.0, 0.0), (None, 0.0)), Point((0.0, INF), (INF, 0.0)))),
    scipy_pair("xlog1py", (-2.0, 2.0, ()), (-0.7, 3.0, ()), points=(
        Point((0.0, 1.0), (np.log(2.0), 0.0)), Point((0.0, -1.0), (None, 0.0)))),
    orders("iv", 0.3, 3.0, points=(Point((0.5, 2.0), (None, scipy.special.ivp(0.5, 2.0))),)),
    orders("ive", -3.0, 3.0, (0.0,), (
        Point((0, 0.0), (0.0,)),
        Point((0.5, 2.0), (None, np.exp(-2.0) * scipy.special.ivp(0.5, 2.0) - scipy.special.ive(0.5, 2.0))))),
    orders("jv", 0.3, 3.0, points=(Point((0.5, 2.0), (None, scipy.special.jvp(0.5, 2.0))),)),
    orders("yv", 0.8, 3.0, points=(Point((0.5, 2.0), (None, scipy.special.yvp(0.5, 2.0))),)),
    scipy_row("expi", 0.3, 3.0),
]  # fmt: skip

THREE = np.array([1.0, 3.0, 3.0])
REDUCTIONS = [
    Spec("sum", calls.reductions(), np.sum, single=1e-3),
    Spec("max", calls.reductions(empty=False), np.max,
         points=(Point((THREE,), (np.array([0.0, 0.5, 0.5]),), {"axis": (0,), "keepdims": False}),)),
    Spec("min", calls.reductions(empty=False), np.min,
         points=(Point((-THREE,), (np.array([0.0, 0.5, 0.5]),), {"axis": (0,), "keepdims": False}),)),
    Spec("argmax", calls.reductions(empty=False, single=True), lambda x, axis, keepdims: np.argmax(
        x, axis[0], keepdims=keepdims), order=0),
    Spec("argmin", calls.reductions(empty=False, single=True), lambda x, axis, keepdims: np.argmin(
        x, axis[0], keepdims=keepdims), order=0),
    Spec("cumsum", calls.along_an_axis(), np.cumsum, single=1e-3),
    Spec("argsort", calls.sorts(), lambda x, axis, kind, kth: np.argsort(x, axis, kind) if kth is None else
         np.argpartition(x, kth, axis), order=0),
]  # fmt: skip

SHAPING = [
    Spec("reshape", calls.reshapes(), lambda x, shape: np.reshape(x, shape)),
    Spec("transpose", calls.transposes(), np.transpose),
    Spec("broadcast_to", calls.broadcasts(), np.broadcast_to, single=1e-3),
    Spec("flip", calls.flips(), lambda x, axes: np.flip(x, axes)),
    Spec("pad", calls.pads(), lambda x, widths: np.pad(x, widths) if x.ndim else x),
    Spec("concatenate", calls.joins(), lambda *arrays, axis: np.concatenate(arrays, axis)),
]


def matrices(
    name: str, drawn: Any, base: Callable, reference: Callable, fix: Callable | None = None, **rest: Any
) -> Spec:
    """A row about a fixed matrix with a drawn change; ``fix`` sets the signs that a decomposition leaves open.

    The option ``kept`` says which of several results are looked at: without a cotangent rules may be others.
    """

    def of(function: Callable) -> Callable:
        def changed(x: Any, *more: Any, kept: Any = None, **options: Any) -> Any:
            made = function(linalg.changed(base, x), *more, **options)
            made = made if fix is None else fix(made)
            return made if kept is None else [made[i] for i in kept]

        return changed

    def run(call: calls.Call) -> Callable:
        return lambda *args: of(PRIMITIVES[name])(*args, **call.options)

    return Spec(name, drawn, of(reference), single=1e-3, run=run, **rest)


def cofactors(a: np.ndarray) -> np.ndarray:
    """The cofactors of invertible matrices."""
    return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)


UPPER = st.booleans()
KEPT = st.sampled_from([(0, 1), (0,), (1,)])
LINALG = [
    matrices("solve", linalg.equations(), linalg.apart, np.linalg.solve),
    matrices("slogdet", linalg.stacks(kept=KEPT), linalg.apart, np.linalg.slogdet),
    matrices("det", linalg.stacks(), linalg.apart, np.linalg.det, points=(
        Point((np.array([[1.0, 2.0], [2.0, 4.0]]),), (np.array([[4.0, -2.0], [-2.0, 1.0]]),)),
        Point((np.diag([1.0, 2.0, 0.0]),), (np.diag([0.0, 0.0, 2.0]),)),
        Point((np.diag([3.0, 0.0, 0.0]),), (np.zeros((3, 3)),)),
    )),
    matrices("cofactors", linalg.stacks(), linalg.apart, cofactors),
    matrices("pinv", linalg.stacks(square=False, rcond=st.just(1e-5)), linalg.apart, np.linalg.pinv),
    matrices("cholesky", linalg.stacks(upper=UPPER), linalg.definite, lambda a, upper: np.linalg.cholesky(
        a, upper=upper)),
    matrices("eigh", linalg.stacks(upper=UPPER, kept=KEPT), linalg.definite, lambda a, upper: np.linalg.eigh(
        a, "U" if upper else "L"), fix=linalg.fixed_vectors),
    matrices("svd", linalg.stacks(square=False, kept=st.sampled_from([(0, 1, 2), (0,), (1,), (2,), (0, 2)])),
             linalg.apart, lambda a: np.linalg.svd(a, full_matrices=False), fix=linalg.fixed_factors),
    matrices("qr", linalg.stacks(square=False, kept=KEPT), linalg.apart, np.linalg.qr, fix=linalg.positive_diagonal),
]  # fmt: skip


def body(x: Any, y: Any) -> Any:
    """What the row of ``call`` carries out as one operation."""
    return {"product": np.tanh(x) * y, "sum": np.sum(x * x)}


def step(w: Any, state: Any, x: Any) -> tuple[Any, Any]:
    """What the row of ``scan`` repeats."""
    h, c = state
    gate = tg.sigmoid(x * w + h)
    c = gate * c + np.sin(h * w)
    return (np.tanh(c), c), gate * c


def loop(w: Any, state: Any, xs: Any, reverse: bool) -> tuple[Any, Any]:
    """The scan of ``step``, spelled out."""
    ys: list[Any] = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        state, ys[t] = step(w, state, xs[t])
    return state, np.stack(ys) if ys else np.zeros((0, *np.shape(state[0])), np.result_type(w, xs))


# These two hold a tape: what they repeat or postpone is a row's worth of options.
CONTROL = [
    Spec("call", calls.elementwise((-2.0, 2.0, ()), (-2.0, 2.0, ())), body, run=lambda call: tg.checkpoint(body)),
    Spec("scan", calls.loops(), loop, single=1e-3, mixed=False, run=lambda call: lambda w, state, xs: tg.scan(
        step, w, state, xs, **call.options)),
]  # fmt: skip

TABLES = (
    ARITHMETIC, EXPONENTIAL, TRIGONOMETRIC, CHOICE, PRODUCTS, INDEXING, REDUCTIONS, SHAPING, LINALG, SPECIAL, CONTROL
)  # fmt: skip
SPECS = {row.name: row for table in TABLES for row in table}
SMOOTH = [row for row in SPECS.values() if row.order]
__all__ = ["PRIMITIVES", "SMOOTH", "SPECS", "Point", "Spec"]
