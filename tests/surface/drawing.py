"""Strategies for the rows of the surface: arrays, axes, and options that fit them."""

import numpy as np
from hypothesis import strategies as st

from tapegrad.testing import arrays, shapes
from tapegrad.testing.strategies import random_array
from tests.strategies.calls import GENERATORS, Call, subsets


def apart(rng, shape, low=-2.0, high=2.0):
    """Random numbers of which no two are close, for functions with kinks where elements tie."""
    n = int(np.prod(shape))
    return rng.permutation(np.linspace(low, high, n + 2)[1:-1] + rng.uniform(-0.2, 0.2, n) * (high - low) / (n + 1)
                           ).reshape(shape)  # fmt: skip


def any_axis(shape, several=True, none=True):
    """An axis as NumPy takes it: None, from either end, and tuples."""
    rank = len(shape)
    found = [*range(rank), *range(-rank, 0)] + [None] * none
    pairs = [(i, j - rank) for i in range(rank) for j in range(rank) if i != j]
    return st.sampled_from(found + [None] * (not found) + (pairs + [()] if several else []))


@st.composite
def reduced(draw, low=-2.0, high=2.0, away_from=(), several=True, keepdims=True, least=1, none=True, dims=0, **options):
    """One array and ``axis``; ``least`` is the shortest axis."""
    shape, rng = draw(shapes(min_dims=dims, min_side=least)), draw(GENERATORS)
    if away_from is None:
        x = apart(rng, shape, low, high)
    else:
        x = random_array(rng, shape, low=low, high=high, away_from=away_from)
    options = dict(options) | {"axis": draw(any_axis(shape, several, none))}
    if keepdims and draw(st.booleans()):
        options["keepdims"] = draw(st.booleans())
    return Call((x,), options)


@st.composite
def masked(draw, fill=None, low=-2.0, high=2.0, several=True, apart_=False):
    """A reduction under ``where=``, of which every result has at least one element."""
    shape, rng = draw(shapes(min_dims=1, min_side=1)), draw(GENERATORS)
    x = apart(rng, shape, low, high) if apart_ else random_array(rng, shape, low=low, high=high)
    axis = draw(any_axis(shape, several))
    mask = rng.random(shape) < 0.6
    first = tuple([0 if axis is None or i in np.ravel(axis) % len(shape) else slice(None) for i in range(len(shape))])
    mask[first] = True
    return Call((x,), {"axis": axis, "where": mask} | ({} if fill is None else {"initial": fill}))


@st.composite
def with_options(draw, options, dims=1, most=3, least=0, apart_=False, low=-2.0, high=2.0):
    """One array, and options that a function draws for its shape: ``options(draw, shape)``."""
    shape, rng = draw(shapes(min_dims=dims, max_dims=most, min_side=least)), draw(GENERATORS)
    x = apart(rng, shape, low, high) if apart_ else random_array(rng, shape, low=low, high=high)
    return Call((x,), options(draw, shape))


def choosing(**choices):
    """Options drawn independently; a choice may be a function of the shape."""

    def options(draw, shape):
        drawn = {k: draw(st.sampled_from(c(shape) if callable(c) else c)) for k, c in choices.items()}
        return {k: v for k, v in drawn.items() if v is not ...}

    return options


def axes(shape):
    return [*range(len(shape)), *range(-len(shape), 0)]


@st.composite
def several(draw, shapes_of, count=None, as_list=True):
    """Arrays of the shapes ``shapes_of(draw)`` gives, as one list argument or as arguments."""
    rng = draw(GENERATORS)
    made = [random_array(rng, shape) for shape in shapes_of(draw)]
    return Call((made,) if as_list else tuple(made))


@st.composite
def fixed(draw, *shapes_, low=-2.0, high=2.0, away_from=(), **options):
    """Arguments of fixed shapes."""
    rng = draw(GENERATORS)
    return Call(tuple([random_array(rng, s, low=low, high=high, away_from=away_from) for s in shapes_]), options)


def chosen(*calls):
    """One of several strategies of calls, the first ones more simple."""
    return st.one_of(*calls)


__all__ = [
    "GENERATORS", "Call", "any_axis", "apart", "arrays", "axes", "choosing", "chosen", "fixed", "masked",
    "random_array", "reduced", "several", "shapes", "st", "subsets", "with_options",
]  # fmt: skip
