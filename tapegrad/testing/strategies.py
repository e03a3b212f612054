"""Hypothesis strategies for shapes and arrays."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .traps import chosen_kinds, trapped

LAYOUTS = ("C", "F", "reversed", "strided")
MOST_SHAPES = 2000


def shapes(*, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> st.SearchStrategy[tuple]:
    """Small shapes, which shrink to few and short axes.

    Parameters
    ----------
    min_dims, max_dims : int
    min_side, max_side : int
        Bounds of the length of an axis; with ``min_side=0`` axes of length 0 are drawn, but not often.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(shapes(min_dims=1), lambda shape: len(shape) == 2)
    (1, 1)
    """
    sides = range(max(min_side, 1), max_side + 1)
    ranks = range(min_dims, max_dims + 1)
    if len(sides) ** max_dims > MOST_SHAPES:
        return st.one_of([st.tuples(*[st.integers(min_side, max_side)] * rank) for rank in ranks])
    # One choice from a list: drawn axis by axis, most shapes would have all axes alike or of length 1.
    listed = [shape for rank in ranks for shape in product(sides, repeat=rank) for _ in range(2 ** (max_dims - rank))]
    if min_side == 0:
        listed += [shape for rank in ranks for shape in product((0, 1, max_side), repeat=rank) if 0 in shape]
    return st.sampled_from(listed)


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """An equal array that lies in memory as ``layout`` (one of LAYOUTS) says."""
    if not array.ndim:
        return array
    if layout == "F":
        return np.array(array, order="F")
    if layout == "reversed":
        return np.flip(np.flip(array).copy())
    if layout == "strided":
        wide = np.full((*array.shape, 2), np.nan if array.dtype.kind == "f" else 0, array.dtype)
        wide[..., 0] = array
        return wide[..., 0]
    return array


def random_array(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    *,
    dtype: Any = np.float64,
    low: float = -2.0,
    high: float = 2.0,
    away_from: tuple[float, ...] = (),
    margin: float = 0.1,
) -> np.ndarray:
    """What :func:`arrays` draws, from a generator."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        return np.asarray(rng.integers(int(low), int(high), shape), dtype)
    made = np.asarray(rng.uniform(low, high, shape))
    for centre in away_from:
        gap = np.abs(made - centre)
        made = np.where(gap < margin, centre + np.where(made < centre, -1.0, 1.0) * (margin + gap), made)
    return np.asarray(made, dtype)


@st.composite
def arrays(
    draw: Any,
    shape: Any = None,
    *,
    dtype: Any = np.float64,
    low: float = -2.0,
    high: float = 2.0,
    away_from: tuple[float, ...] = (),
    margin: float = 0.1,
    layouts: tuple[str, ...] = ("C",),
    traps: bool | tuple[str, ...] = False,
) -> np.ndarray:
    """Arrays of random numbers in general position: no two alike, none special, unless ``traps`` asks for some.

    A seed is drawn, not the elements: what is found does not depend on single elements as a rule, and drawing
    is fast. What holds for special values is better written down than waited for.

    Parameters
    ----------
    shape : tuple of int or strategy
        ``shapes()`` by default.
    dtype : dtype or strategy
    low, high : float
        Bounds; integers are drawn from ``low`` up to and without ``high``.
    away_from, margin : tuple of float, float
        Poles and kinks, and how far each element stays from them.
    layouts : tuple of str
        Of "C", "F", "reversed" and "strided": how the array may lie in memory.
    traps : bool or tuple of str
        Put up to five numbers at which functions go wrong into the array: "ties" (an element is equal to the one
        before), "zeros" (0.0 and -0.0), "integers" (as floats), "tiny", "huge" (up to the ends of what is normal, and
        their roots), "denormals", "infinities" and "nan"; True for all. ``low``, ``high`` and ``away_from`` do not
        hold for them. What fails shrinks to an array with as few as it needs, of the simplest kind. Arrays of
        integers have ties, zeros and the ends of their range.

    Raises
    ------
    OptionError
        When a kind of trap is unknown.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(arrays((1,), traps=True), lambda x: np.isinf(x).any())
    array([inf])

    >>> from hypothesis import given
    >>> @given(arrays((2, 3), low=0.0))
    ... def test_square_roots(x):
    ...     np.testing.assert_allclose(np.sqrt(x) ** 2, x)
    >>> test_square_roots()
    """
    shape = draw(shapes() if shape is None else shape if isinstance(shape, st.SearchStrategy) else st.just(shape))
    dtype = np.dtype(draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = random_array(rng, shape, dtype=dtype, low=low, high=high, away_from=away_from, margin=margin)
    if traps:
        made = trapped(draw, made, chosen_kinds(traps))
    return laid_out(made, draw(st.sampled_from(layouts)) if len(layouts) > 1 else layouts[0])
