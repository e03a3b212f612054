"""Functions that move elements: reshaping, joining, splitting, padding, choosing."""

import numpy as np

from tests.strategies import calls
from tests.surface.drawing import Call, axes, choosing, fixed, several, shapes, st, with_options
from tests.surface.rows import Row

NO_RULE = {"autograd": "has no rule for it"}


def orders(shape):
    rank = len(shape)
    return [None, tuple(range(rank))[::-1], tuple([i - rank for i in range(rank)][::-1])]


def same_shapes(draw):
    return [draw(shapes(min_dims=1, min_side=0, max_side=3))] * draw(st.sampled_from([2, 1, 3]))


@st.composite
def joined(draw, none=False):
    call = draw(calls.joins())
    rank, axis = call.args[0].ndim, call.options["axis"]
    return Call((list(call.args),), {"axis": draw(st.sampled_from([axis, axis - rank] + [None] * none))})


RESHAPING = [
    Row("reshape", calls.reshapes(), use=lambda f, x, shape: f(x, shape)),
    Row("reshape", fixed((4, 6)), "with -1", use=lambda f, x: (f(x, (-1, 3)), f(x, -1), f(x, (2, -1, 4)))),
    Row("reshape", fixed((4, 6)), "in Fortran's order", use=lambda f, x: f(x, (3, 8), order="F")),
    Row("ravel", with_options(choosing(order=[..., "C", "F"]), dims=0)),
    Row("transpose", with_options(choosing(axes=orders))),
    Row("permute_dims", fixed((2, 3, 4)), use=lambda f, x: f(x, (2, 0, 1))),
    Row("swapaxes", with_options(choosing(axis1=axes, axis2=axes)), use=lambda f, x, axis1, axis2: f(x, axis1, axis2)),
    Row("moveaxis", with_options(choosing(source=axes, destination=axes)),
        use=lambda f, x, source, destination: f(x, source, destination)),
    Row("moveaxis", fixed((2, 3, 4)), "of several", use=lambda f, x: f(x, (0, -1), (1, 0))),
    Row("rollaxis", with_options(choosing(axis=lambda s: range(len(s)), start=lambda s: range(len(s) + 1))),
        use=lambda f, x, axis, start: f(x, axis, start)),
    Row("rollaxis", fixed((2, 3, 4)), "from the end", use=lambda f, x: f(x, -1, -2),
        unlike={"autograd": "has no rule for negative axes"}),
    Row("expand_dims", fixed((2, 3)), use=lambda f, x: (f(x, 0), f(x, -1), f(x, (0, 2)))),
    Row("squeeze", with_options(lambda draw, shape: {}, most=3)),
    Row("squeeze", fixed((1, 3, 1)), "of an axis", use=lambda f, x: (f(x, 0), f(x, -1), f(x, (0, 2)))),
    Row("atleast_1d", with_options(choosing(), dims=0)),
    Row("atleast_2d", with_options(choosing(), dims=0)),
    Row("atleast_3d", with_options(choosing(), dims=0)),
    Row("atleast_2d", fixed((), (3,)), "of several", unlike={"autograd": "takes one array"}),
    Row("broadcast_to", calls.broadcasts(), single=1e-2, unlike={"autograd": "asks for as many axes"}),
    Row("broadcast_arrays", fixed((3,), (2, 1)), use=lambda f, *args: list(f(*args)), unlike=NO_RULE),
    Row("meshgrid", fixed((2,), (3,), (4,)), use=lambda f, *args: list(f(*args)), unlike=NO_RULE),
    Row("meshgrid", fixed((2,), (3,)), "by rows", use=lambda f, *args: [*f(*args, indexing="ij"), *f(
        *args, sparse=True)], unlike=NO_RULE),
    Row("resize", fixed((2, 3)), use=lambda f, x: f(x, (4, 2)), unlike=NO_RULE),
]  # fmt: skip

TURNING = [
    Row("flip", with_options(lambda draw, shape: {"axis": draw(st.sampled_from(
        [None, *axes(shape), (0, -1)] if len(shape) > 1 else [None, 0, -1]))}), unlike=NO_RULE),
    Row("fliplr", with_options(choosing(), dims=2)),
    Row("flipud", with_options(choosing())),
    Row("rot90", with_options(choosing(k=[1, 2, 3, 0, -1, 5]), dims=2)),
    Row("rot90", with_options(choosing(k=[1, 2, 3, -1], axes=[(1, 2), (2, 0), (-1, 0)]), dims=3), "of planes",
        unlike={"autograd": "has no rule for the axes"}),
    Row("roll", with_options(choosing(shift=[1, -2, 5, 0], axis=lambda shape: [None, *axes(shape)])),
        use=lambda f, x, shift, axis: f(x, shift, axis)),
    Row("roll", fixed((3, 4)), "of several", use=lambda f, x: (f(x, (1, -2), (0, 1)), f(x, 1, (0, 1)), f(
        x, (1, 2), (0, 0))), unlike={"autograd": "rolls back by one shift only"}),
]  # fmt: skip

JOINING = [
    Row("concatenate", joined()),
    Row("concatenate", joined(none=True), "flattened", unlike={"autograd": "has no rule for axis=None"}),
    Row("stack", several(same_shapes)),
    Row("stack", fixed((2, 3), (2, 3)), "along others", use=lambda f, x, y: (f([x, y], -1), f((x, y), axis=1))),
    Row("vstack", several(same_shapes)),
    Row("hstack", several(same_shapes)),
    Row("hstack", fixed((3,), ()), "of numbers", use=lambda f, x, y: f([x, y])),
    Row("dstack", several(same_shapes), unlike=NO_RULE),
    Row("column_stack", fixed((3,), (3, 2)), use=lambda f, x, y: f([x, y])),
    Row("append", fixed((2, 3), (1, 3)), use=lambda f, x, y: (f(x, y, 0), f(x, y))),
    Row("block", fixed((2, 2), (2, 3), (1, 5)), use=lambda f, x, y, z: f([[x, y], [z]]), unlike=NO_RULE),
]  # fmt: skip

SPLITTING = [
    Row("array_split", with_options(choosing(axis=axes), least=1), use=lambda f, x, axis: [*f(x, 2, axis)]),
    Row("array_split", fixed((5, 3)), "at places", use=lambda f, x: [*f(x, [1, 3])]),
    Row("split", fixed((4, 6)), use=lambda f, x: (*f(x, 2), *f(x, [1, 4], 1), *f(x, 3, axis=-1))),
    Row("hsplit", fixed((4, 6)), use=lambda f, x: [*f(x, 3)]),
    Row("hsplit", fixed((6,)), "of one axis", use=lambda f, x: f(x, 3), unlike={"autograd": "joins along axis 1"}),
    Row("vsplit", fixed((4, 6)), use=lambda f, x: [*f(x, [1, 3])]),
    Row("dsplit", fixed((2, 3, 4)), use=lambda f, x: [*f(x, 2)]),
    Row("unstack", fixed((2, 3)), use=lambda f, x: f(x, axis=1), unlike=NO_RULE),
]  # fmt: skip

WIDTHS = [1, (1, 2), ((1, 0), (0, 2)), ((2, 2), (1, 1))]
CONSTANT_ONLY = {"autograd": "has a rule for zeros only"}


def padded(mode, *options, **rest):
    drawn = st.tuples(fixed((3, 4)), st.sampled_from(WIDTHS), st.sampled_from(options or [{}])).map(
        lambda made: Call(made[0].args, {"pad_width": made[1], "mode": mode} | made[2])
    )
    unlike = CONSTANT_ONLY if mode != "constant" or options else {}
    return Row("pad", drawn, mode, use=lambda f, x, pad_width, **o: f(x, pad_width, **o), unlike=unlike, **rest)


PADDING = [
    padded("constant"),
    Row("pad", fixed((3, 4)), "constants", use=lambda f, x: (f(x, 1, constant_values=1.5), f(
        x, ((1, 2), (0, 1)), constant_values=((1.0, 2.0), (3.0, 4.0)))), unlike=CONSTANT_ONLY),
    padded("edge"),
    padded("reflect", {}, {"reflect_type": "even"}),
    padded("symmetric"),
    padded("wrap"),
    padded("linear_ramp", {}, {"end_values": 1.5}, {"end_values": ((1.0, 2.0), (3.0, 4.0))}),
    padded("mean", {}, {"stat_length": 2}),
    padded("maximum", {}, {"stat_length": ((2, 3), (1, 2))}),
    padded("minimum"),
    padded("median"),
    Row("pad", fixed((5,)), "farther than it is long", use=lambda f, x: (f(x[:2], 5, mode="reflect"), f(
        x[:2], 5, mode="wrap"), f(x[:3], (7, 4), mode="symmetric")), unlike=CONSTANT_ONLY),
]  # fmt: skip

REPEATING = [
    Row("tile", fixed((2, 3)), use=lambda f, x: (f(x, 2), f(x, (2, 1)), f(x, (2, 1, 3))),
        unlike={"autograd": "takes as many repetitions as axes"}),
    Row("tile", fixed((2, 3)), "each axis", use=lambda f, x: f(x, (2, 3))),
    Row("repeat", with_options(choosing(repeats=[2, 0, 1], axis=lambda shape: [None, *axes(shape)]), least=1),
        use=lambda f, x, repeats, axis: f(x, repeats, axis), single=1e-2,
        unlike={"autograd": "counts the axes of the result from the front"}),
    Row("repeat", fixed((2, 3)), "counted", use=lambda f, x: f(x, np.array([1, 0, 3]), 1),
        unlike={"autograd": "takes one number of repetitions"}),
]  # fmt: skip


CHOOSING = [
    Row("take", with_options(choosing(axis=lambda shape: [None, *axes(shape)]), least=2),
        use=lambda f, x, axis: f(x, np.array([[0, 1, 0], [-1, 1, -2]]), axis),
        unlike=NO_RULE),
    Row("take", fixed((3, 4)), "wrap", use=lambda f, x: (f(x, np.array([5, -7]), 1, mode="wrap"), f(
        x, 13, mode="wrap")), unlike=NO_RULE),
    Row("take", fixed((3, 4)), "clip", use=lambda f, x: f(x, np.array([5, -7, 1]), 1, mode="clip"), unlike=NO_RULE),
    Row("take_along_axis", fixed((3, 4)), use=lambda f, x: f(x, np.array([[0, -1], [1, 1], [2, 3]]), 1),
        unlike=NO_RULE),
    Row("take_along_axis", fixed((3, 4)), "of the flattened", use=lambda f, x: f(x, np.array([11, 0, 0]), None),
        unlike=NO_RULE),
    Row("compress", fixed((3, 4)), use=lambda f, x: f(np.array([True, False, True]), x, 0), unlike=NO_RULE),
    Row("extract", fixed((3, 4)), use=lambda f, x: f(np.eye(3, 4) > 0, x), unlike=NO_RULE),
    Row("delete", fixed((3, 4)), use=lambda f, x: (f(x, 1, 0), f(x, np.array([0, 2]), -1), f(x, 5)), unlike=NO_RULE),
    Row("diag", fixed((4,)), use=lambda f, x: (f(x), f(x, 1), f(x, -2))),
    Row("diag", fixed((3, 3)), "of a matrix", use=lambda f, x: f(x)),
    Row("diag", fixed((3, 4)), "of a wide matrix", use=lambda f, x: (f(x, 1), f(x, -1)),
        unlike={"autograd": "makes a square matrix of it"}),
    Row("diagflat", fixed((2, 2)), use=lambda f, x: f(x, 1), unlike=NO_RULE),
    Row("diagonal", fixed((3, 3)), use=lambda f, x: f(x, 0, -1, -2)),
    Row("diagonal", with_options(choosing(offset=[0, 1, -1, 7], axis1=[0, -1], axis2=[1]), dims=3), "of planes",
        unlike={"autograd": "has no rule for the axes"}),
    Row("tril", with_options(choosing(k=[0, 1, -1]), dims=2)),
    Row("triu", with_options(choosing(k=[0, 1, -1]), dims=2)),
    Row("tril", fixed((3,)), "of a row", unlike={"autograd": "has no rule for it", "jax": "takes matrices"}),
    Row("triu", fixed((3,)), "of a row", use=lambda f, x: f(x, 1),
        unlike={"autograd": "has no rule for it", "jax": "takes matrices"}),
]  # fmt: skip

ROWS = [*RESHAPING, *TURNING, *JOINING, *SPLITTING, *PADDING, *REPEATING, *CHOOSING]
