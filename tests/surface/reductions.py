"""Sums, products, extrema and statistics along axes."""

import numpy as np

from tests.strategies import calls
from tests.surface.drawing import (
    GENERATORS,
    Call,
    any_axis,
    axes,
    choosing,
    fixed,
    masked,
    reduced,
    shapes,
    st,
    with_options,
)
from tests.surface.rows import Row

NO_MASK = {"autograd": "has no rule for where="}
NO_RULE = {"autograd": "has no rule for it"}


@st.composite
def with_nan(draw, several=True, keepdims=True, low=-2.0, high=2.0, least=1):
    """A reduction, and where :func:`spoiled` puts NaN: along no axis everywhere."""
    shape, rng = draw(shapes(min_dims=1)), draw(GENERATORS)
    count = int(np.prod(shape))
    x = (rng.permutation(np.linspace(low, high, count + 2)[1:-1]) + rng.uniform(0, 0.2 / count, count)).reshape(shape)
    axis = draw(any_axis(shape, several))
    mask = rng.random(shape) < 0.3
    first = tuple([slice(least) if axis is None or i in np.ravel(axis) % len(shape) else slice(None)
                   for i in range(len(shape))])  # fmt: skip
    mask[first] = False
    options = {"axis": axis} | ({"keepdims": True} if keepdims and draw(st.booleans()) else {})
    return Call((x,), options | {"mask": mask})


def spoiled(f, x, *args, mask, **options):
    return f(x + np.where(mask, np.nan, 0).astype(x.dtype), *args, **options)


@st.composite
def zeros_among(draw, **rest):
    """A reduction of an array some of whose elements are exactly zero."""
    call = draw(reduced(away_from=(0.0,), dims=1, **rest))
    x = call.args[0]
    return Call((np.where(draw(GENERATORS).random(x.shape) < 0.4, 0.0, x),), call.options)


ALONG = with_options(choosing(axis=lambda shape: [None, *axes(shape)]))
SUMS = [
    Row("sum", reduced(least=0), single=1e-2),
    Row("sum", masked(), "where", unlike=NO_MASK, single=1e-2),
    Row("sum", masked(2.5), "where and initial", unlike=NO_MASK, single=1e-2),
    Row("sum", fixed((2, 3)), "in another dtype", use=lambda f, x: f(x, 0, np.float64), unlike=NO_RULE),
    Row("mean", reduced(), single=1e-2),
    Row("mean", masked(), "where", unlike=NO_MASK, single=1e-2),
    Row("average", reduced(), unlike=NO_RULE, single=1e-2),
    Row("average", fixed((2, 3), (2, 3), low=0.2), "with weights", use=lambda f, x, w: f(x, 1, w), unlike=NO_RULE),
    Row("average", fixed((2, 3), (3,), low=0.2), "with weights of an axis", unlike=NO_RULE,
        use=lambda f, x, w: f(x, -1, w, returned=True)),
    Row("cumsum", ALONG, single=1e-2),
    Row("cumulative_sum", with_options(choosing(axis=axes, include_initial=[False, True]), least=1), unlike=NO_RULE,
        single=1e-2),
    Row("count_nonzero", with_options(choosing(axis=axes, keepdims=[False, True])), order=0),
    Row("trace", fixed((3, 4))),
    Row("trace", with_options(choosing(offset=[0, 1, -1], axis1=[0, -1], axis2=[1]), dims=3), "of planes",
        unlike={"autograd": "has no rule for the axes"}),
]  # fmt: skip

PRODUCTS = [
    Row("prod", reduced(away_from=(0.0,), low=0.4), single=1e-2),
    Row("prod", zeros_among(), "at zeros", unlike={"autograd": "divides the product by each factor"}, single=1e-2),
    Row("prod", masked(1.5, low=0.4), "where and initial", unlike=NO_MASK, single=1e-2),
    Row("cumprod", with_options(choosing(axis=lambda shape: [None, *axes(shape)]), low=0.4), unlike=NO_RULE,
        single=1e-2),
    Row("cumprod", zeros_among(several=False, keepdims=False), "at zeros", single=1e-2,
        unlike={"autograd": "has no rule for it", "jax": "divides by zero"}),
    Row("cumulative_prod", with_options(choosing(axis=axes, include_initial=[False, True]), least=1, low=0.4),
        unlike=NO_RULE, single=1e-2),
]  # fmt: skip

SPREAD = [
    Row("var", reduced(away_from=None), single=1e-2),
    Row("var", with_options(choosing(axis=axes, ddof=[0, 1], keepdims=[False, True]), least=2, apart_=True), "ddof",
        single=1e-2),
    Row("var", masked(apart_=True), "where", unlike=NO_MASK, single=1e-2),
    Row("std", with_options(choosing(axis=axes, ddof=[0, 1, 0.5], keepdims=[False, True]), least=2, apart_=True),
        single=1e-2),
    Row("std", fixed((3, 4)), "of all", single=1e-2),
    Row("std", fixed((3, 4)), "where", use=lambda f, x: f(x, 1, where=np.tri(3, 4, 1) > 0), unlike=NO_MASK,
        single=1e-2),
    Row("ptp", reduced(away_from=None), unlike=NO_RULE),
    Row("cov", fixed((3, 4)), unlike=NO_RULE, single=1e-2),
    Row("cov", fixed((4, 2), (4, 2)), "of columns", use=lambda f, x, y: f(x, y, rowvar=False, bias=True),
        unlike=NO_RULE, single=1e-2),
    Row("cov", fixed((5,)), "of one variable", unlike=NO_RULE, single=1e-2),
    # The diagonal is 1 and clipped there, on one side by rounding.
    Row("corrcoef", fixed((3, 5)), use=lambda f, x: f(x)[np.triu_indices(3, 1)], unlike=NO_RULE, single=1e-2),
]  # fmt: skip

EXTREMA = [
    *[Row(name, reduced(away_from=None)) for name in ("max", "min", "amax", "amin")],
    *[Row(name, masked(0.3, apart_=True), "where and initial", unlike=NO_MASK) for name in ("max", "min")],
    Row("max", fixed((2, 0)), "of nothing and a number", use=lambda f, x: f(x, 1, initial=1.5), unlike=NO_RULE),
    *[Row(name, calls.reductions(empty=False, single=True).map(
        lambda c: Call(c.args, {"axis": c.options["axis"][0], "keepdims": c.options["keepdims"]})), order=0)
        for name in ("argmax", "argmin")],
    *[Row(name, fixed((2, 3)), "of all", use=lambda f, x: (f(x), f(x, keepdims=True)), order=0)
      for name in ("argmax", "argmin")],
    *[Row(name, fixed((2, 3)), order=0, use=lambda f, x: (
        f(x > 0), f(x > 0, axis=1, keepdims=True), f(x[:0], 0), f(x, (0, -1)), f(x > 0, where=np.eye(2, 3) > 0)))
      for name in ("any", "all")],
]  # fmt: skip

NAN = [
    Row("nansum", with_nan(), use=spoiled, unlike=NO_RULE, single=1e-2),
    Row("nanprod", with_nan(low=0.4), use=spoiled, unlike=NO_RULE, single=1e-2),
    Row("nanmax", with_nan(), use=spoiled, unlike=NO_RULE),
    Row("nanmin", with_nan(), use=spoiled, unlike=NO_RULE),
    Row("nanmean", with_nan(), use=spoiled, unlike=NO_RULE, single=1e-2),
    Row("nanvar", with_nan(), use=spoiled, unlike=NO_RULE, single=1e-2),
    Row("nanstd", fixed((3, 4)), use=lambda f, x: spoiled(f, x, 1, ddof=1, mask=np.eye(3, 4) > 0), unlike=NO_RULE,
        single=1e-2),
    Row("nancumsum", with_nan(several=False, keepdims=False), use=spoiled, unlike=NO_RULE, single=1e-2),
    Row("nancumprod", with_nan(several=False, keepdims=False, low=0.4), use=spoiled, unlike=NO_RULE, single=1e-2),
    *[Row(name, with_nan(several=False), use=spoiled, order=0) for name in ("nanargmax", "nanargmin")],
]  # fmt: skip


NO_METHODS = {"autograd": "has no methods of ufuncs", "jax": "its methods of ufuncs take other arguments"}
METHODS = [
    *[Row(f"{name}.reduce", reduced(away_from=None, low=0.3, dims=1, several=name != "logaddexp"),
                unlike=NO_METHODS, single=1e-2)
      for name in ("add", "multiply", "maximum", "minimum", "fmax", "fmin", "logaddexp")],
    *[Row(f"{name}.reduce", reduced(dims=1), unlike=NO_METHODS, order=0)
      for name in ("logical_and", "logical_or")],
    *[Row(f"{name}.accumulate", with_options(choosing(axis=axes), apart_=True, low=0.3), unlike=NO_METHODS,
                single=1e-2)
      for name in ("add", "multiply", "maximum", "minimum", "fmax", "fmin", "logaddexp")],
    *[Row(f"{name}.outer", fixed((2, 3), (4,), low=0.3), unlike=NO_METHODS)
      for name in ("multiply", "subtract", "hypot", "power")],
]  # fmt: skip

ROWS = [*SUMS, *PRODUCTS, *SPREAD, *EXTREMA, *NAN, *METHODS]
