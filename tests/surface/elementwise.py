"""Functions of elements."""

import numpy as np

from tapegrad.testing import arrays
from tests.specs import apart as far_apart
from tests.specs import far_from_wrapping
from tests.strategies import calls
from tests.surface.drawing import Call, fixed, st
from tests.surface.rows import Row

ANY = (-2.0, 2.0, ())
NO_RULE = {"autograd": "has no rule for it"}


def unary(name, low=-2.0, high=2.0, away_from=(), **rest):
    return Row(name, calls.elementwise((low, high, away_from)), **rest)


def binary(name, x=ANY, y=ANY, far=None, **rest):
    drawn = calls.elementwise(x, y)
    return Row(name, drawn if far is None else drawn.filter(lambda c: far(*c.args)), **rest)


def constant(name, count=1, **rest):
    return Row(name, calls.coarse(count), order=0, **rest)


@st.composite
def with_specials(draw, specials, count=1, margin=0.2):
    """Numbers, some of them replaced: where a derivative is a choice or zero."""
    made = []
    for x in draw(calls.elementwise(*[(-2.0, 2.0, (0.0,))] * count)).args:
        x, flat = np.array(x), np.random.default_rng(draw(st.integers(0, 99)))
        made.append(np.where(flat.random(x.shape) < 0.3, flat.choice(specials, x.shape), x))
    return Call(tuple(made))


ARITHMETIC = [
    binary("add"),
    binary("subtract"),
    binary("multiply"),
    binary("divide", y=(-2.0, 2.0, (0.0,))),
    Row("power", calls.powers(), unlike={"jax": "the exponent 0 as a Python number is a case of its own"}),
    binary("power", (0.2, 2.0, ()), variant="of two arrays"),
    Row("power", st.sampled_from([2.0, 3.0, -1.0, -2.0, 1.0]).flatmap(
        lambda p: arrays(away_from=(0.0,), margin=0.3).map(lambda x: Call((x,), {"p": p}))),
        "of negative numbers by whole floats", use=lambda f, x, p: f(x, p)),
    binary("float_power", (0.2, 2.0, ()), unlike=NO_RULE, mixed=False),
    binary("remainder", (-4.0, 4.0, ()), (0.5, 2.0, ()), far_from_wrapping, single=1e-2),
    binary("mod", (-4.0, 4.0, ()), (-2.0, -0.5, ()), far_from_wrapping, single=1e-2),
    binary("fmod", (-4.0, 4.0, (0.0,)), (0.5, 2.0, ()), far_from_wrapping, unlike=NO_RULE, single=1e-2),
    binary("divmod", (-4.0, 4.0, ()), (0.5, 2.0, ()), far_from_wrapping, unlike=NO_RULE, single=1e-2),
    unary("modf", away_from=(-1.0, 0.0, 1.0), unlike=NO_RULE),
    unary("negative"),
    unary("positive", unlike=NO_RULE),
    unary("absolute", away_from=(0.0,)),
    unary("fabs", away_from=(0.0,)),
    unary("square"),
    unary("reciprocal", away_from=(0.0,)),
    unary("sqrt", 0.2, 3.0),
    unary("cbrt", away_from=(0.0,), unlike=NO_RULE),
    binary("hypot", (-2.0, 2.0, (0.0,)), (-2.0, 2.0, (0.0,))),
    binary("maximum", far=far_apart),
    binary("minimum", far=far_apart),
    binary("fmax", far=far_apart),
    binary("fmin", far=far_apart),
    binary("copysign", (-2.0, 2.0, (0.0,)), (-2.0, 2.0, (0.0,)), unlike=NO_RULE),
    binary("heaviside", (-2.0, 2.0, (0.0,)), unlike={"autograd": "has no rule for it"}, order=0),
    Row("ldexp", arrays().map(lambda x: Call((x,))), use=lambda f, x: f(x, np.array(3)), unlike=NO_RULE),
]  # fmt: skip

EXPONENTIAL = [
    unary("exp"),
    unary("exp2"),
    unary("expm1"),
    unary("log", 0.2, 3.0),
    unary("log2", 0.2, 3.0),
    unary("log10", 0.2, 3.0),
    unary("log1p", -0.7, 3.0),
    binary("logaddexp"),
    binary("logaddexp2"),
]

TRIGONOMETRIC = [
    unary("sin"),
    unary("cos"),
    unary("tan", -1.2, 1.2, single=1e-2),
    unary("arcsin", -0.8, 0.8),
    unary("arccos", -0.8, 0.8),
    unary("arctan"),
    binary("arctan2", (-2.0, 2.0, (0.0,)), (-2.0, 2.0, (0.0,))),
    unary("sinh"),
    unary("cosh"),
    unary("tanh"),
    unary("arcsinh"),
    unary("arccosh", 1.3, 4.0),
    unary("arctanh", -0.7, 0.7),
    unary("deg2rad"),
    unary("rad2deg"),
    unary("radians"),
    unary("degrees"),
    unary("sinc", away_from=(0.0,), single=1e-2),
    unary("sinc", -1e-3, 1e-3, variant="near 0", single=1e-2,
          unlike={"autograd": "divides small differences by x * x", "jax": "uses a series at 0 only"}),
]  # fmt: skip

CHOICE = [
    Row("where", calls.elementwise(None, ANY, ANY), unlike={"autograd": "does not broadcast choices"}),
    Row("where", fixed((2, 3), (2, 3)), "of one shape", use=lambda f, x, y: f(np.eye(2, 3) > 0, x, y)),
    Row("clip", calls.elementwise((-2.0, 2.0, (-0.7, 0.9))), use=lambda f, x: f(x, -0.7, 0.9)),
    Row("clip", calls.elementwise(ANY, (-2.0, -0.5, ()), (0.5, 2.0, ())).filter(
        lambda c: far_apart(*c.args[:2]) and far_apart(c.args[0], c.args[2])), "by arrays",
        unlike={"autograd": "has no rule for the bounds"}),
    Row("clip", calls.elementwise((-2.0, 2.0, (0.9,))), "from above", use=lambda f, x: f(x, None, 0.9)),
    Row("clip", calls.elementwise((-2.0, 2.0, (-0.7,))), "by keywords", use=lambda f, x: f(x, min=-0.7), since="2.1",
        unlike={"autograd": "has no rule for the keywords"}),
    Row("nan_to_num", with_specials([np.nan])),
    Row("nan_to_num", with_specials([np.nan, np.inf, -np.inf]), "of infinities",
        unlike={"autograd": "overflows in what it is compared by"}),
    Row("nan_to_num", with_specials([np.nan, np.inf, -np.inf]), "with values",
        use=lambda f, x: f(x, nan=1.5, posinf=2.0, neginf=-3.0), unlike={"autograd": "has no rule for the keywords"}),
    Row("astype", calls.elementwise(ANY), use=lambda f, x: f(x, np.float64) * 2, since="2.1"),
    Row("astype", calls.elementwise(ANY), "to whole numbers", use=lambda f, x: f(x, np.int64), order=0, since="2.1"),
    Row("copy", calls.elementwise(ANY), unlike=NO_RULE),
    Row("select", fixed((2, 3), (3,)), use=lambda f, x, y: f([np.eye(2, 3) > 0, np.tri(2, 3) > 0], [x * y, y], 0.5),
        unlike={"autograd": "has no rule for it", "jax": "asks for arrays of one shape"}),
    Row("choose", fixed((2, 3), (3,)), use=lambda f, x, y: f(np.array([[0, 1, 1], [1, 0, 1]]), [x, y]),
        unlike={"autograd": "has no rule for it"}),
]  # fmt: skip

CONSTANT = [
    *[constant(name) for name in (
        "sign", "floor", "ceil", "trunc", "rint", "fix", "isfinite", "isinf", "isnan", "isposinf", "isneginf",
        "signbit", "logical_not", "zeros_like", "ones_like")],
    *[constant(name, 2) for name in (
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and",
        "logical_or", "logical_xor", "isclose", "allclose", "array_equal", "array_equiv")],
    *[Row(name, calls.elementwise(ANY), use=lambda f, x: x * (0.5 + np.sum(f(x)))) for name in (
        "iscomplexobj", "ndim", "size", "shape")],
    Row("isrealobj", calls.elementwise(ANY), use=lambda f, x: x * (0.5 + f(x)), unlike=NO_RULE),
    binary("floor_divide", (-4.0, 4.0, ()), (0.5, 2.0, ()), far_from_wrapping, order=0),
    Row("isclose", with_specials([np.nan, 1.0, 1.0 + 1e-6], 2), "with NaN", order=0,
        use=lambda f, x, y: f(x, y, 1e-3, 1e-4, equal_nan=True)),
    Row("round", calls.elementwise(ANY), order=0, use=lambda f, x: (f(x), f(x * 100, -1), f(x, 2))),
    Row("around", calls.elementwise(ANY), order=0),
    Row("full_like", calls.elementwise(ANY), order=0, use=lambda f, x: f(x, 2.5)),
    Row("full_like", fixed((2, 3)), "of a traced value", use=lambda f, x: f(x, x[0, 1]) * x,
        unlike={"autograd": "takes the value for a constant"}),
    Row("empty_like", calls.elementwise(ANY), order=0, use=lambda f, x: f(x).shape[:0]),
    Row("result_type", calls.elementwise(ANY), use=lambda f, x: x.astype(f(x, np.float64)),
        unlike={"autograd": "gives a dtype that its astype does not take"}),
    *[Row(name, calls.elementwise(None, None), order=0) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")],
    Row("invert", calls.elementwise(None), order=0),
]  # fmt: skip

PARTS = [
    *[Row(name, calls.elementwise(ANY), use=lambda f, x: x + f(x)) for name in (
        "real", "imag", "conjugate")],
    Row("real_if_close", calls.elementwise(ANY), use=lambda f, x: x + f(x), unlike={"jax": "has no rule for it"}),
    Row("angle", calls.elementwise((-2.0, 2.0, (0.0,))), use=lambda f, x: x + f(x) + f(x, deg=True),
        unlike={"autograd": "has no rule for deg="}),
    *[constant(name) for name in ("isreal", "iscomplex")],
]  # fmt: skip

ROWS = [*PARTS, *ARITHMETIC, *EXPONENTIAL, *TRIGONOMETRIC, *CHOICE, *CONSTANT]
