"""Sorting, quantiles, and places."""

import numpy as np

from tests.surface.drawing import Call, axes, choosing, fixed, reduced, st, with_options
from tests.surface.reductions import spoiled, with_nan
from tests.surface.rows import Row

ONE_AXIS = {"autograd": "has rules for one axis only"}
NO_RULE = {"autograd": "has no rule for it"}


def in_parts(f, x, kth, axis=-1):
    """What a partition fixes: the places asked for, and the sum of what lies before them."""
    made = f(x, kth, axis)
    made = made.swapaxes(0 if axis is None else axis, -1)
    places = [int(k) % made.shape[-1] for k in np.ravel(kth)]
    return [*[made[..., k] for k in places], made[..., : places[0]].sum(-1)]


@st.composite
def quantiles(draw, percent=1.0, methods=("linear",), **rest):
    """q is no simple fraction: where it meets an element there is a kink."""
    call = draw(reduced(away_from=None, **rest))
    q = draw(st.sampled_from([0.37, [0.11, 0.83]]))
    method = draw(st.sampled_from(methods))
    return Call(call.args, call.options | {"q": np.multiply(q, percent) if np.ndim(q) else q * percent} | (
        {} if method == "linear" else {"method": method}))  # fmt: skip


def with_q(f, x, q, **options):
    return f(x, q, **options)


SORTS = [
    Row("sort", with_options(choosing(axis=lambda shape: [None, ..., *axes(shape)]), apart_=True), unlike=ONE_AXIS),
    Row("sort", fixed((5,)), "of one axis"),
    Row("sort", with_options(choosing(kind=[None, "stable", "heapsort"]), apart_=True), "of a kind",
        unlike={"autograd": "has rules for one axis only", "jax": "has one kind of sorting"}),
    Row("argsort", with_options(choosing(axis=lambda shape: [None, ..., *axes(shape)], kind=[None, "stable"])),
        order=0),
    Row("partition", fixed((4, 5)), use=lambda f, x: in_parts(f, x, 2), unlike=ONE_AXIS),
    Row("partition", fixed((4, 5)), "along other axes", use=lambda f, x: (in_parts(f, x, -1, 0), in_parts(
        f, x, 7, None)), unlike=ONE_AXIS | {"jax": "does not flatten"}),
    Row("partition", fixed((6,)), "of one axis", use=lambda f, x: in_parts(f, x, 2)),
    Row("partition", fixed((6,)), "at several places", use=lambda f, x: in_parts(f, x, (1, 4)),
        unlike={"jax": "takes one place"}),
    Row("argpartition", fixed((4, 5)), order=0, use=lambda f, x: in_parts(f, x, 2, 1)[0]),
]  # fmt: skip

QUANTILES = [
    Row("median", reduced(away_from=None), unlike=NO_RULE),
    Row("quantile", quantiles(), use=with_q, unlike=NO_RULE),
    Row("quantile", quantiles(methods=("lower", "higher", "midpoint", "nearest")), "methods", use=with_q,
        unlike=NO_RULE),
    Row("quantile", fixed((3, 4)), "of a grid of parts", use=lambda f, x: f(x, np.array([[0.23], [0.61]]), 1),
        unlike={"autograd": "has no rule for it", "jax": "takes one axis of parts"}),
    Row("percentile", quantiles(100.0), use=with_q, unlike=NO_RULE),
    Row("nanmedian", with_nan(), use=spoiled, unlike=NO_RULE),
    Row("nanquantile", with_nan(), use=lambda f, x, **rest: spoiled(
        f, x, np.array([0.37, 0.81]), **rest), unlike=NO_RULE),
    Row("nanpercentile", with_nan(), use=lambda f, x, **rest: spoiled(f, x, 37.0, **rest), unlike=NO_RULE),
]  # fmt: skip

GRID = np.array([-1.5, -0.4, 0.3, 1.2])
PLACES = [
    *[Row("searchsorted", fixed((2, 3)), side, use=lambda f, x, side=side: f(GRID, x, side), order=0)
      for side in ("left", "right")],
    Row("searchsorted", fixed((5,)), "in an order", use=lambda f, x: f(x, GRID, sorter=np.argsort(x)), order=0),
    Row("digitize", fixed((2, 3)), use=lambda f, x: (f(x, GRID), f(x, GRID[::-1]), f(x, GRID, right=True)), order=0),
    Row("unravel_index", fixed((2, 3)), use=lambda f, x: f(np.argmax(x), (2, 3)), order=0),
]  # fmt: skip

ROWS = [*SORTS, *QUANTILES, *PLACES]
