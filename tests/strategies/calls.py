"""Strategies for calls of primitives: arguments that fit each other, with options that fit the arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tapegrad.primitives.contract import make_spec
from tapegrad.primitives.indexing import ARRAY, FULL
from tapegrad.testing import arrays, shapes


@dataclass(frozen=True)
class Call:
    """Positional arguments, which may be pytrees, and keyword options."""

    args: tuple
    options: dict = field(default_factory=dict)


@st.composite
def broadcastable(draw: Any, count: int, shape: Any = None) -> list[tuple]:
    """Shapes that broadcast to one: some axes of length 1, some leading ones left out."""
    whole = draw(shapes(min_side=0, max_side=3)) if shape is None else shape
    made = []
    for _ in range(count):
        kept = whole[draw(st.integers(0, len(whole))) :] if draw(st.booleans()) else whole
        thin = draw(st.sets(st.integers(0, len(kept) - 1))) if kept and draw(st.booleans()) else set()
        made.append(tuple([1 if i in thin else n for i, n in enumerate(kept)]))
    return made


@st.composite
def elementwise(draw: Any, *domains: Any, **options: Any) -> Call:
    """An array for each domain ``(low, high, poles)``; for the domain None an array of booleans."""
    given = [
        draw(arrays(shape, dtype=bool) if domain is None else arrays(
            shape, low=domain[0], high=domain[1], away_from=domain[2]))
        for shape, domain in zip(draw(broadcastable(len(domains))), domains, strict=True)
    ]  # fmt: skip
    return Call(tuple(given), options)


@st.composite
def powers(draw: Any) -> Call:
    """Positive bases with real exponents, and any bases with Python's whole exponents."""
    if draw(st.booleans()):
        return draw(elementwise((0.2, 2.0, ()), (-2.0, 2.0, ())))
    exponent = draw(st.sampled_from([2, 3, 1, 0, -1, -2]))
    return Call((draw(arrays(away_from=(0.0,), margin=0.3)), exponent))


@st.composite
def contractions(draw: Any) -> Call:
    """Labels with random roles in random orders: rows, columns, summed and batch axes."""
    roles = draw(st.lists(st.sampled_from(["sum", "row", "column", "batch"]), max_size=4))
    sizes = {label: draw(st.sampled_from([2, 1, 3, 2, 3, 0])) for label in "abcd"[: len(roles)]}
    held = dict(zip("abcd", roles, strict=False))
    left, right, out = (
        "".join(draw(st.permutations([c for c, role in held.items() if role in present])))
        for present in (("sum", "row", "batch"), ("sum", "column", "batch"), ("row", "column", "batch"))
    )
    x, y = (draw(arrays(tuple([sizes[c] for c in labels]))) for labels in (left, right))
    return Call((x, y), {"spec": make_spec(left, right, out)})


# ---- indexing ----
@st.composite
def reads(draw: Any) -> Call:
    """``x[index]``: basic with new axes, or index arrays among full slices."""
    if draw(st.booleans()):
        x = draw(arrays(shapes(min_side=0)))
        return Call((x,), {"template": draw(_basic(x.shape))})
    x = draw(arrays(shapes(min_dims=1)))
    marked = draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))
    pointed = draw(broadcastable(len(marked), draw(shapes(max_dims=2, max_side=3, min_side=0))))
    indices = [
        draw(arrays(shape, dtype=np.int64, low=-x.shape[axis], high=x.shape[axis]))
        for axis, shape in zip(sorted(marked), pointed, strict=True)
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
    axes = st.sets(st.integers(0, x.ndim - 1), min_size=int(single), max_size=1 if single else x.ndim)
    axis = tuple(sorted(draw(axes))) if x.ndim else ()
    return Call((x,), {"axis": axis, "keepdims": draw(st.booleans())})


@st.composite
def along_an_axis(draw: Any) -> Call:
    x = draw(arrays(shapes(min_dims=1, min_side=0)))
    return Call((x,), {"axis": draw(st.integers(0, x.ndim - 1))})


@st.composite
def reshapes(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    shape = list(draw(st.permutations(x.shape)))
    while len(shape) > 1 and draw(st.booleans()):
        shape[:2] = [shape[0] * shape[1]]
    if draw(st.booleans()):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return Call((x,), {"shape": tuple(shape)})


@st.composite
def transposes(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    return Call((x,), {"axes": tuple(draw(st.permutations(range(x.ndim))))})


@st.composite
def broadcasts(draw: Any) -> Call:
    whole = draw(shapes(min_side=0))
    (shape,) = draw(broadcastable(1, whole))
    return Call((draw(arrays(shape)),), {"shape": whole})


@st.composite
def flips(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0)))
    axes = draw(st.sets(st.integers(0, x.ndim - 1))) if x.ndim else set()
    return Call((x,), {"axes": tuple(sorted(axes))})


@st.composite
def pads(draw: Any) -> Call:
    x = draw(arrays(shapes(min_side=0, max_side=3)))
    width = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return Call((x,), {"widths": tuple([draw(width) for _ in range(x.ndim)])})


@st.composite
def joins(draw: Any) -> Call:
    shape = list(draw(shapes(min_dims=1, min_side=0, max_side=3)))
    axis = draw(st.integers(0, len(shape) - 1))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    parts = [draw(arrays((*shape[:axis], n, *shape[axis + 1 :]))) for n in lengths]
    return Call(tuple(parts), {"axis": axis})


@st.composite
def loops(draw: Any) -> Call:
    """A parameter, two states and inputs over zero to three steps."""
    shape = draw(shapes(max_dims=2, max_side=2))
    w, h, c = (draw(arrays(shape, low=-1.0, high=1.0)) for _ in range(3))
    xs = draw(arrays((draw(st.sampled_from([2, 1, 3, 0])), *shape)))
    return Call((w, (h, c), xs), {"reverse": draw(st.booleans())})
