"""What holds for every function of the surface, on arguments drawn from its row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing import check_grads
from tests.primitives.flat import FlatCall, assert_same, check_vmap, pulled, weights
from tests.primitives.properties import flag_choices
from tests.strategies.effort import few
from tests.surface.tables import ROWS

EVERY = pytest.mark.parametrize("row", ROWS, ids=str)
SMOOTH = pytest.mark.parametrize("row", [row for row in ROWS if row.order], ids=str)
CONSTANT = pytest.mark.parametrize("row", [row for row in ROWS if not row.order], ids=str)
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@SMOOTH
@few()
@given(st.data())
def test_derivatives_of_both_orders_in_both_modes(row, data):
    flat = FlatCall(row, data.draw(row.calls))
    check_grads(flat, flat.leaves, order=row.order, seed=data.draw(st.integers(0, 99)))


@CONSTANT
@few()
@given(st.data())
def test_without_a_derivative_the_gradient_is_zero(row, data):
    flat = FlatCall(row, data.draw(row.calls))
    for g in pulled(flat, flat.leaves, [np.ones(np.shape(y)) for y in flat(*flat.leaves)]):
        assert not g.any()


@EVERY
@few()
@given(st.data())
def test_values_and_dtypes_are_those_of_numpy(row, data):
    """While differentiated; float32, float64 and a mix of them. A gradient has the dtype of its primal."""
    flat = FlatCall(row, data.draw(row.calls))
    one = data.draw(st.sampled_from([SINGLE, DOUBLE]))
    dtypes = [data.draw(st.sampled_from([SINGLE, DOUBLE])) if row.mixed else one for _ in flat.leaves]
    leaves = [x.astype(dtypes[i]) if i in flat.moving else x for i, x in enumerate(flat.leaves)]
    single = SINGLE in [dtypes[i] for i in flat.moving]
    expected = [np.asarray(y) for y in flat.reference(*leaves)]
    if not flat.moving:
        return
    function, moving = flat.among(leaves)
    value, pullback = tg.vjp(function, *moving)
    assert_same(value, expected, 1e-5 if single else 1e-12, 1e-6 if single else 1e-13)
    grads = pullback(weights(value))
    assert [(g.shape, g.dtype) for g in grads] == [(x.shape, x.dtype) for x in moving]
    if single and row.order:
        wide = pulled(flat, flat.leaves, weights(flat(*flat.leaves)))
        assert_same([g.astype(float) for g in grads], wide, row.single, row.single)


@EVERY
@few()
@given(st.data())
def test_traced_on_shapes_alone_it_is_the_same(row, data):
    """What ``scan``, ``checkpoint`` and ``trace`` see; and the tape, run."""
    flat = FlatCall(row, data.draw(row.calls))
    if not flat.moving:
        return
    function, moving = flat.among(flat.leaves)
    tape = tg.trace(function)(*moving)
    expected = [np.asarray(y) for y in flat.reference(*flat.leaves)]
    found = [value if hasattr(value, "dtype") else np.asarray(value) for _, value in tape.outputs]
    assert [(value.shape, value.dtype) for value in found] == [(y.shape, y.dtype) for y in expected]
    assert_same(tape(*moving), expected)


@EVERY
@few()
@given(st.data())
def test_vmap_is_a_loop(row, data):
    """The function and its gradient, over any choice of the floating arguments."""
    flat = FlatCall(row, data.draw(row.calls))
    if not flat.moving:
        return
    choices = [flags for flags in flag_choices(flat, data) if {i for i, f in enumerate(flags) if f} <= set(flat.moving)]
    if not choices:
        return
    flags = data.draw(st.sampled_from(choices))
    size = data.draw(st.sampled_from([2, 1, 3]))
    check_vmap(flat, flat, flags, size, 0, 1e-11)
    if row.order:
        cotangents = weights(flat(*flat.leaves))
        check_vmap(lambda *leaves: pulled(flat, leaves, cotangents), flat, flags, size, 0, 1e-10)
