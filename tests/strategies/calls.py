"""Strategies for calls of primitives: arguments that fit each other, with options that fit the arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tapegrad.primitives.contract import make_spec
from tapegrad.primitives.indexing import ARRAY, FULL
from tapegrad.testing import arrays, shapes
from tapegrad.testing.strategies import random_array


@dataclass(frozen=True)
class Call:
    """Positional arguments, which may be pytrees, and keyword options."""

    args: tuple
    options: dict = field(default_factory=dict)


# One generator serves all arrays of a call, so that no two of them are alike; and what has few possibilities is chosen
# from a list of them: drawn in parts, most calls would be degenerate.
GENERATORS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def subsets(items: Any, least: int = 0) -> st.SearchStrategy[tuple]:
    items = list(items)
    return st.sampled_from([s for n in range(least, len(items) + 1) for s in combinations(items, n)])


def orders(items: Any) -> st.SearchStrategy[tuple]:
    return st.sampled_from(list(permutations(items)))


def thinner(shape: tuple) -> st.SearchStrategy[tuple]:
    """A shape that broadcasts to ``shape``: it itself, or with axes left out or of length 1."""
    some = [
        tuple([1 if i in thin else n for i, n in enumerate(shape)][lead:])
        for lead in range(len(shape) + 1)
        for count in range(len(shape) - lead + 1)
        for thin in combinations(range(lead, len(shape)), count)
    ]
    return st.sampled_from([shape] * (len(some) // 2) + some)


@st.composite
def broadcastable(draw: Any, count: int, shape: Any = None) -> list[tuple]:
    """Shapes that broadcast to one."""
    whole = draw(shapes(min_side=0, max_side=3)) if shape is None else shape
    return [draw(thinner(whole)) for _ in range(count)] if count > 1 else [whole]


@st.composite
def elementwise(draw: Any, *domains: Any, **options: Any) -> Call:
    """An array for each domain ``(low, high, poles)``; for the domain None an array of booleans."""
    rng, given = draw(GENERATORS), []
    for shape, domain in zip(draw(broadcastable(len(domains))), domains, strict=True):
        if domain is None:
            given.append(random_array(rng, shape, dtype=bool))
        else:
            given.append(random_array(rng, shape, low=domain[0], high=domain[1], away_from=domain[2]))
    return Call(tuple(given), options)


@st.composite
def with_orders(draw: Any, *domains: Any) -> Call:
    """As :func:`elementwise`; domains ``(low, high)`` give whole numbers of int32."""
    call = draw(elementwise(*[(*d, ()) if len(d) == 2 else d for d in domains]))
    return Call(tuple([
        np.rint(x).astype(np.int32) if len(domain) == 2 else x
        for x, domain in zip(call.args, domains, strict=True)
    ]))  # fmt: skip


def coarse(count: int) -> st.SearchStrategy[Call]:
    """Arguments of few values, many of them alike, infinite or NaN."""
    values = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    drawn = elementwise(*[(0.0, 6.0, ())] * count)
    return drawn.map(lambda call: Call(tuple([np.asarray(values[np.asarray(x, int)]) for x in call.args])))


@st.composite
def powers(draw: Any) -> Call:
    """Positive bases with real exponents, and any bases with Python's whole exponents."""
    exponent = draw(st.sampled_from([None, None, None, 2, 3, 1, 0, -1, -2]))
    if exponent is None:
        return draw(elementwise((0.2, 2.0, ()), (-2.0, 2.0, ())))
    return Call((draw(arrays(away_from=(0.0,), margin=0.3)), exponent))


ROLES = [roles for n in range(5) for roles in product(["sum", "row", "column", "batch"], repeat=n)]


@st.composite
def contractions(draw: Any) -> Call:
    """Labels with random roles in random orders: rows, columns, summed and batch axes."""
    held = dict(zip("abcd", draw(st.sampled_from(ROLES)), strict=False))
    rng = draw(GENERATORS)
    sizes = {label: int(rng.choice([1, 2, 2, 3, 3, 4])) for label in held}
    if held and draw(st.integers(0, 9)) == 9:
        sizes["a"] = 0
    left, right, out = (
        "".join(rng.permutation([c for c, role in held.items() if role in present]))
        for present in (("sum", "row", "batch"), ("sum", "column", "batch"), ("row", "column", "batch"))
    )
    x, y = (random_array(rng, tuple([sizes[c] for c in labels])) for labels in (left, right))
    return Call((x, y), {"spec": make_spec(left, right, out)})


# ---- indexing ----
@st.composite
def reads(draw: Any) -> Call:
    """``x[index]``: basic with new axes, or index arrays among full slices."""
    if draw(st.booleans()):
        x = draw(arrays(shapes(min_side=0)))
        return Call((x,), {"template": draw(_basic(x.shape))})
    rng = draw(GENERATORS)
    x = random_array(rng, draw(shapes(min_dims=1)))
    marked = draw(subsets(range(x.ndim), 1))
    pointed = draw(broadcastable(len(marked), draw(shapes(max_dims=2, max_side=3, min_side=0))))
    indices = [
        random_array(rng, shape, dtype=np.int64, low=-x.shape[axis], high=x.shape[axis])
        for axis, shape in zip(marked, pointed, strict=True)
    ]
    return Call((x, *indices), {"template": tuple([ARRAY if i in marked else FULL for i in range(x.ndim)])})


@st.composite
def _basic(draw: Any, shape: tuple) -> tuple:
    entries: list[Any] = []
    for n in shape:
        entry = st.slices(n)
        entries.append(draw(entry | st.integers(-n, n - 1) if n else entry))
        if draw(st.integers(0, 3)) == 3:
            entries.append(None)
    return tuple(entries)


def _index(arrays_: tuple, template: tuple) -> tuple:
    given = iter(arrays_)
    return tuple([next(given) if entry is ARRAY else entry for entry in template])


def read(x: np.ndarray, *indices: np.ndarray, template: tuple) -> Any:
    """What ``getitem`` means."""
    return x[_index(indices, template)]


@st.composite
def writes(draw: Any) -> Call:
    """The transpose of a read: a cotangent of its result, with the shape of what was read."""
    whole = draw(reads())
    (x, *indices), template = whole.args, whole.options["template"]
    g = draw(arrays(np.shape(read(x, *indices, template=template))))
    return Call((g, *indices), {"template": template, "shape": x.shape})


def written(g: np.ndarray, *indices: np.ndarray, template: tuple, shape: tuple) -> np.ndarray:
    """What ``scatter`` means."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out, _index(indices, template), g)
    return out


# ---- reductions and shapes ----
@st.composite
def reductions(draw: Any, empty: bool = True, single: bool = False) -> Call:
    """Axes to reduce; with ``single`` exactly one, without ``empty`` none of length 0."""
    x = draw(arrays(shapes(min_dims=int(single), min_side=0 if empty else 1)))
    axis = (draw(st.sampled_from(range(x.ndim))),) if single else draw(subsets(range(x.ndim)))
    return Call((x,), {"axis": axis, "keepdims": draw(st.booleans())})


@st.composite
def along_an_axis(draw: Any) -> Call:
    x = draw(arrays(shapes(min_dims=1, min_side=0)))
    return Call((x,), {"axis": draw(st.sampled_from(range(x.ndim)))})


@st.composite
def sorts(draw: Any) -> Call:
    """An axis to sort along, wholly or at some places only."""
    x = draw(arrays(shapes(min_dims=1)))
    axis = draw(st.sampled_from(range(x.ndim)))
    places = draw(st.none() | subsets(range(x.shape[axis]), 1))
    return Call((x,), {"axis": axis, "kind": draw(st.sampled_from([None, "stable"])), "kth": places})


@st.composite
def reshapes(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    shape = list(draw(orders(x.shape)))
    while len(shape) > 1 and draw(st.booleans()):
        shape[:2] = [shape[0] * shape[1]]
    if draw(st.booleans()):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return Call((x,), {"shape": tuple(shape)})


@st.composite
def transposes(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    return Call((x,), {"axes": draw(orders(range(x.ndim)))})


@st.composite
def broadcasts(draw: Any) -> Call:
    whole = draw(shapes(min_side=0))
    return Call((draw(arrays(thinner(whole))),), {"shape": whole})


@st.composite
def flips(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    return Call((x,), {"axes": draw(subsets(range(x.ndim)))})


@st.composite
def pads(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0, max_side=3)))
    width = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return Call((x,), {"widths": tuple([draw(width) for _ in range(x.ndim)])})


@st.composite
def joins(draw: Any) -> Call:
    shape = draw(shapes(min_dims=1, min_side=0, max_side=3))
    axis, rng = draw(st.sampled_from(range(len(shape)))), draw(GENERATORS)
    lengths = draw(st.lists(st.sampled_from([1, 2, 3, 0]), min_size=1, max_size=3))
    return Call(tuple([random_array(rng, (*shape[:axis], n, *shape[axis + 1 :])) for n in lengths]), {"axis": axis})


@st.composite
def loops(draw: Any) -> Call:
    """A parameter, two states and inputs over zero to three steps."""
    shape, rng = draw(shapes(max_dims=2, max_side=2)), draw(GENERATORS)
    w, h, c = (random_array(rng, shape, low=-1.0, high=1.0) for _ in range(3))
    xs = random_array(rng, (draw(st.sampled_from([2, 1, 3, 0])), *shape))
    return Call((w, (h, c), xs), {"reverse": draw(st.booleans())})
