"""Numbers at the edges, compiled: NaN, infinities, the ends of integers, ties; indices out of range."""

import numpy as np
import pytest

import tapegrad as tg
from tests.numba_cpu.compared import assert_same

H = 19  # whole vectors and a part, in either precision
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, -3e38, 7.0, 88.0, 1e-8, -3.0]


def floats(a, b):
    """What can be asked of two float arrays, functions with series apart (those have their own tests)."""
    m = a > b
    return {
        "extrema": (np.maximum(a, b), np.minimum(a, b), np.max(a, axis=1), np.min(a, axis=1), np.clip(a, -1.0, 1.0)),
        "positions": (np.argmax(a, axis=1), np.argmin(a, axis=1), np.argmax(m, axis=1)),
        "choices": (np.where(m, a, b), np.where(a, b, 0.0), np.where(m, a > 1, b < 1), np.where(m, 1.0, a)),
        "comparisons": (a < b, a <= b, a == b, a != b, a >= 0.5, np.isfinite(a), np.isnan(a), np.isinf(b)),
        "logic": (np.logical_and(a, b), np.logical_or(m, a), np.logical_not(a), np.any(m, axis=1), np.all(m, axis=1)),
        "arithmetic": (a + b, a - b, a * b, a / b, -a, np.abs(a), np.sign(a), a // b, a % b, a**2, a * m, m + 0.5),
        "rounding": (np.floor(a), np.rint(a), np.ceil(a), np.trunc(a)),
        "sums": (np.sum(a, axis=1), np.cumsum(a, axis=1), np.sum(m, axis=1), np.mean(b, axis=1)),
        "softmax": (tg.softmax(a, axis=1), tg.log_softmax(b, axis=1), tg.relu(a)),
    }


def integers(i, j, m):
    """What can be asked of two integer arrays."""
    return {
        "arithmetic": (i + j, i - j, i * j, -i, np.abs(i), np.sign(i), i**2, i**3, i + 1, i * 3),
        "division": (i // j, i % j, i // 3, i % 3),
        "comparisons": (i < j, i <= j, i == j, i != j, i > 2, np.logical_and(i, j), np.logical_not(i)),
        "reductions": (np.max(i, axis=1), np.min(j, axis=1), np.sum(i, axis=1), np.cumsum(i, axis=1)),
        "positions": (np.argmax(i, axis=1), np.argmin(j, axis=1)),
        "choices": (np.where(m, i, j), np.maximum(i, j), np.minimum(i, 5), np.where(m, i, 1)),
        "promotions": (i + m, i * 0.5, (i > 2) * (j > 2), (i > 2) + (j > 2), i.astype(np.float64), i.astype(bool)),
    }


def both(function, xs):
    step = lambda w, s, x: (s * w, function(*x))  # noqa: E731
    state = np.ones(tg.tree_leaves(xs)[0].shape[1])
    with np.errstate(all="ignore"):
        return [tg.scan(step, 0.5, state, xs, backend=name)[1] for name in ("numba", "reference")]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_edges_of_floats(dtype):
    rng = np.random.default_rng(0)
    xs = tuple([rng.choice(np.array(EDGES, dtype), size=(3, 4, H)) for _ in range(2)])
    found, expected = both(floats, xs)
    for name, value in expected.items():
        for a, b in zip(found[name], value, strict=True):
            assert a.dtype == b.dtype
            if b.dtype.kind == "f":
                tiny = np.finfo(dtype).tiny  # below it numbers are flushed to zero
                np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == "float32" else 1e-12, atol=tiny, err_msg=name)
            else:
                np.testing.assert_array_equal(a, b, err_msg=name)
    for a, b in zip(found["arithmetic"], expected["arithmetic"], strict=True):
        np.testing.assert_array_equal(np.signbit(a[b == 0]), np.signbit(b[b == 0]), err_msg="signs of zeros")


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "uint64"])
def test_edges_of_integers(dtype):
    """They wrap around, and a division by 0, or of the smallest by -1, does not end the process."""
    rng = np.random.default_rng(1)
    ends = np.iinfo(dtype)
    edges = [ends.max, ends.max - 1, ends.min, ends.min + 1, 0, 1, 2, 3, 7, *([-1, -2, -7] if ends.min else [])]
    if ends.max > 2**53:
        edges += [2**53, 2**53 + 1]
    i, j = (rng.choice(np.array(edges, dtype), size=(3, 4, H)) for _ in range(2))
    i[0, 0, :2], j[0, 0, :2] = ends.min, [0, -1 if ends.min else 0]
    assert_same(*both(integers, (i, j, rng.random((3, 4, H)) < 0.5)), 1e-12)


def test_integers_and_floats_beyond_what_a_float_holds():
    """Comparisons of integers are exact; against a float NumPy compares floats."""
    i = np.array([[[2**53 + 1, 2**53, -(2**53) - 1, 2**62]]])
    j = np.array([[[2**53, 2**53 + 1, -(2**53), 2**62 + 1]]])
    function = lambda i, j: (i < j, i == j, i == j.astype(float), np.maximum(i, j), i - j, np.where(i < j, i, j))  # noqa: E731
    assert_same(*both(function, (i, j)), 0)


def test_unsigned_integers_that_no_signed_one_holds():
    """Among signed ones, in comparisons and products, and against numbers that neither holds."""
    rng = np.random.default_rng(3)
    u = rng.choice(np.array([0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64), size=(3, 4, H))
    i = rng.choice(np.array([0, 1, -1, 2**53, 2**63 - 1, -(2**63)], np.int64), size=(3, 4, H))

    def function(u, i):
        small = i.astype(np.int8)
        return (
            u < i, u <= i, u == i, u != i, i < u, i <= u, u > small, np.einsum("bi,bi->b", u, i), np.sum(u * u, axis=1),
            np.einsum("bi,bi->b", u, u), np.einsum("bi,bj->bij", u, small), u < -1, u == -1, i < 2**63, i < 2**70,
            i >= -(2**70), u == 2**70, small < 300, small == 256, np.max(u, axis=1), np.argmin(u, axis=1), u + 0.5,
        )  # fmt: skip

    assert_same(*both(function, (u, i)), 1e-12)


@pytest.mark.parametrize("dtypes", [("int8", "float32"), ("float32", "int64"), ("float32", "float64")])
def test_division_of_single_numbers_rounds_down(dtypes):
    """Where operands are of several dtypes, numbers are taken one by one."""
    rng = np.random.default_rng(4)
    values = np.array([0.0, 1.0, -1.0, 0.5, -2.5, 7.25, -128.0, 1e30, -1e30, np.inf, -np.inf, np.nan])
    x, y = (rng.choice(values[: 3 if "int" in d else None], size=(3, 4, H)).astype(d) for d in dtypes)
    found, expected = both(lambda x, y: (x // y, x % y, np.sign(x + 0.5 * y)), (x, y))
    assert_same(found, expected, 1e-6)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.signbit(a[b == 0]), np.signbit(b[b == 0]))


def test_literals_of_every_kind():
    x = np.linspace(-2, 2, 2 * 3 * 5).reshape(2, 3, 5).astype(np.float32)
    x[0, 0, 0] = 0.1
    i = np.arange(-15, 15, dtype=np.int32).reshape(2, 3, 5)

    def function(x, i):
        return (
            x + 1, x * 2.5, x + True, x * np.float32(0.3), x + np.float64(0.3), x + np.int64(2), x == 0.1, x < 0.1,
            i + 1, i * 2.5, i + np.int8(3), i * np.float32(0.3), i + np.uint8(3), i == 2.0, i > 10**12, i * np.True_,
            np.where(i > 0, 1, 2), np.where(i > 0, 1.5, x), np.where(i > 0, i, 7), np.maximum(i, -3), x**2, x**-1, 2**x,
        )  # fmt: skip

    assert_same(*both(function, (x, i)), 1e-6)


# ---- indices ----
@pytest.mark.parametrize("token", [9, -10, 2**40, -(2**63)])
def test_an_index_out_of_range_is_refused_wherever_it_comes_from(token):
    """In the inputs or computed in the loop; in values, gradients and tangents. Memory beside the table is not read."""
    E = np.arange(36.0).reshape(9, 4)
    tokens = np.zeros((5, 3), np.int64)
    tokens[3, 1] = token
    read = lambda w, s, x: (s * 0.5 + w[x], None)  # noqa: E731

    def computed(w, s, x):
        h, at = s
        return (h + w[at], x), None

    zeros = np.zeros((3, 4))
    runs = [
        lambda w: tg.scan(read, w, zeros, tokens, backend="numba")[0],
        lambda w: tg.scan(computed, w, (zeros, tokens[0]), tokens, backend="numba")[0][0],
    ]
    for run in runs:
        for ask in (run, tg.grad(lambda w, run=run: np.sum(run(w))), lambda w, run=run: tg.jvp(run, (w,), (w,))):
            with pytest.raises(IndexError, match=f"index {token} is out of range for an axis of length 9"):
                ask(E)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_indices_count_from_the_end_and_may_be_of_any_dtype(dtype):
    E, tokens = np.arange(36.0).reshape(9, 4), np.array([[0, 8, 4], [3, 3, 7]])
    tokens = (tokens if dtype == np.uint8 else np.concatenate([tokens, tokens - 9])).astype(dtype)

    def loss(w, name):
        return np.sum(
            np.sin(tg.scan(lambda w, s, x: (s * 0.5 + w[x], None), w, np.zeros((3, 4)), tokens, backend=name)[0])
        )

    assert_same(*[tg.value_and_grad(loss)(E, name) for name in ("numba", "reference")], 1e-13)


def test_a_batch_does_not_change_its_rows():
    """The same bits alone, and among others."""
    rng = np.random.default_rng(3)
    step = lambda w, s, x: (np.tanh(s @ w + x), (tg.softmax(s), np.max(x, axis=1)))  # noqa: E731
    w, s, xs = rng.normal(size=(H, H)), rng.normal(size=(13, H)), rng.normal(size=(4, 13, H))
    final, ys = tg.scan(step, w, s, xs, backend="numba")
    for row in (0, 7, 12):
        alone = tg.scan(step, w, s[row : row + 1], xs[:, row : row + 1], backend="numba")
        assert_same(alone, (final[row : row + 1], tg.tree_map(lambda y, r=row: y[:, r : r + 1], ys)), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sign_of_what_is_flushed_is_zero(dtype):
    tiny = np.full((1, H), np.finfo(dtype).smallest_subnormal)
    _, signs = tg.scan(lambda w, s, x: (s, np.sign(x)), 1.0, np.zeros(H, dtype), tiny, backend="numba")
    np.testing.assert_array_equal(signs, np.zeros((1, H), dtype))
