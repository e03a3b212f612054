import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tapegrad import pytree
from tapegrad.errors import NonFiniteError, OptionError
from tapegrad.training import clip_by_global_norm, clip_by_value, global_norm, non_finite


@st.composite
def gradients(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    elements = st.floats(-1e3, 1e3, width=32)
    arrays = hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=elements)
    return {"a": draw(arrays), "b": [draw(arrays), draw(arrays)]}


def joined(tree):
    return np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in pytree.leaves(tree)])


@given(gradients(), st.floats(1e-3, 1e4))
def test_global_norm_clipping_keeps_the_direction_and_bounds_the_norm(grads, limit):
    clipped, norm = clip_by_global_norm(grads, limit)
    flat, after = joined(grads), joined(clipped)
    assert norm == pytest.approx(np.linalg.norm(flat))
    assert norm == pytest.approx(global_norm(grads))
    assert np.linalg.norm(after) <= limit * (1 + 1e-6)
    np.testing.assert_allclose(after, flat * min(1.0, limit / norm if norm else 1.0), rtol=1e-5, atol=1e-30)
    for old, new in zip(pytree.leaves(grads), pytree.leaves(clipped), strict=True):
        assert (old.shape, old.dtype) == (np.shape(new), np.asarray(new).dtype)


@given(gradients(), st.floats(1e-3, 1e4))
def test_value_clipping_is_elementwise(grads, limit):
    clipped = clip_by_value(grads, limit)
    for old, new in zip(pytree.leaves(grads), pytree.leaves(clipped), strict=True):
        assert np.asarray(new).dtype == old.dtype
        np.testing.assert_array_equal(new, np.minimum(np.maximum(old, -old.dtype.type(limit)), old.dtype.type(limit)))


def test_small_gradients_are_left_alone():
    grads = {"w": np.array([0.3, 0.4])}
    clipped, norm = clip_by_global_norm(grads, 1.0)
    assert clipped is grads
    assert norm == 0.5


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e30), (np.float32, 3e38), (np.float64, 1e200), (np.float64, 1e308)]
)
def test_squares_do_not_overflow(dtype, size):
    grads = {"w": np.full(4, size, dtype)}
    clipped, _ = clip_by_global_norm(grads, 1.0)
    np.testing.assert_allclose(clipped["w"], 0.5, rtol=1e-6)
    assert clipped["w"].dtype == dtype


def test_squares_do_not_underflow():
    clipped, norm = clip_by_global_norm({"w": np.full(4, 1e-200)}, 1e-200)
    np.testing.assert_allclose(clipped["w"], 0.5e-200)
    assert norm == pytest.approx(2e-200)


def test_many_small_float32_elements_do_not_vanish_beside_a_large_one():
    # Summed one by one in float32, ten million squares of 1e-4 beside 1 would be lost.
    grads = [np.ones(1, np.float32), np.full(10_000_000, 1e-4, np.float32)]
    assert global_norm(grads) == pytest.approx(np.sqrt(1.1), rel=1e-6)


def test_no_gradients_have_norm_zero():
    assert clip_by_global_norm({}, 1.0) == ({}, 0.0)
    assert global_norm([np.zeros((0, 3))]) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_global_norm_names_a_gradient_that_is_not_finite(bad):
    grads = {"cell": {"W": np.array([1.0, bad]), "b": np.zeros(2)}}
    with pytest.raises(NonFiniteError, match=r"clip_by_global_norm: .* gradient of cell.W \(1 of 2 elements\); lower"):
        clip_by_global_norm(grads, 1.0)
    assert not np.isfinite(global_norm(grads))


def test_value_clipping_bounds_infinities_and_names_nan():
    np.testing.assert_array_equal(clip_by_value(np.array([np.inf, -np.inf, 0.5]), 1.0), [1.0, -1.0, 0.5])
    with pytest.raises(NonFiniteError, match=r"clip_by_value: .* of b \(1 of 1"):
        clip_by_value({"a": np.zeros(1), "b": np.array([np.nan])}, 1.0)


def test_integer_leaves_are_finite():
    assert non_finite({"count": np.array(3), "x": np.array([np.inf, 1.0])}) == ["x (1 of 2 elements)"]


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm])
@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan])
def test_impossible_limits(clip, limit):
    with pytest.raises(OptionError, match=f"{clip.__name__}: limit={limit!r} must be positive"):
        clip({"w": np.ones(1)}, limit)
