"""Where NumPy cannot dispatch, or a Tensor has no rule: the exact error, in words that name the remedy."""

import math
import operator

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, ShapeError, TracingError, UnsupportedPrimitive

X = np.array([0.5, 1.5, 2.5])


def inside(use, transform="grad"):
    """Run ``use`` on a Tensor of a transform."""
    transforms = {
        "grad": lambda: tg.grad(lambda x: (use(x), np.sum(x))[1])(X.copy()),
        "jvp": lambda: tg.jvp(use, (X,), (X,)),
        "vmap": lambda: tg.vmap(use)(np.stack([X, X])),
        "trace": lambda: tg.trace(use)(X),
    }
    return transforms[transform]()


def assign(x):
    x[0] = 1.0


def fill_buffer(x):
    buffer = np.zeros(3)
    buffer[:] = x


def in_place(symbol):
    def use(x):
        buffer = np.ones(3)
        return symbol(buffer, x)

    return use


def delete(x):
    del x[0]


def set_attribute(x):
    x.shape = (3, 1)


ARRAY = r"cannot become a plain array: that would cut it from its gradient"
WRITTEN = r"a traced value cannot be written into an array .*make a new array: x = x \+ t"
TRAPS = {
    "np.array of a Tensor": (lambda x: np.array(x), TracingError, ARRAY),
    "np.asarray": (lambda x: np.asarray(x), TracingError, ARRAY),
    "np.array([t])": (lambda x: np.array([x[0], x[1]]), TracingError, r"Use np\.stack for np\.array\(\[t\]\)"),
    "np.array nested": (lambda x: np.array([[x[0]], [1.0]]), TracingError, "tapegrad.array for nested lists"),
    "np.full": (lambda x: np.full(3, x[0]), TracingError, r"tapegrad\.full for np\.full\(shape, t\)"),
    "buf[:] = t": (fill_buffer, TracingError, r"tapegrad\.index_update for buf\[0\] = t"),
    "asfortranarray": (lambda x: np.asfortranarray(x), TracingError, ARRAY),
    "np.random": (lambda x: np.random.default_rng(0).normal(x), TracingError, ARRAY),
    "array.dot": (lambda x: np.ones((3, 3)).dot(x), TracingError, ARRAY),
    "float(t)": (lambda x: float(x[0]), TracingError, r"cannot become a Python number.*value_and_grad|read t\.value"),
    "int(t)": (lambda x: int(x[0]), TracingError, "cannot become a Python number"),
    "complex(t)": (lambda x: complex(x[0]), TracingError, "cannot become a Python number"),
    "math.sin": (lambda x: math.sin(x[0]), TracingError, "cannot become a Python number"),
    "item": (lambda x: x[0].item(), TracingError, r"read t\.value to look at it"),
    "tolist": (lambda x: x.tolist(), TracingError, r"read t\.value"),
    "t[0] = 1": (assign, TracingError, r"cannot be written to.*np\.where\(mask, value, x\).*index_update"),
    "out= a Tensor": (lambda x: np.add(np.ones(3), 1.0, out=x), UnsupportedPrimitive, WRITTEN),
    "out= an array": (lambda x: np.exp(x, out=np.ones(3)), UnsupportedPrimitive, WRITTEN),
    "buf += t": (in_place(operator.iadd), UnsupportedPrimitive, r"numpy\.add: " + WRITTEN),
    "buf -= t": (in_place(operator.isub), UnsupportedPrimitive, r"numpy\.subtract: " + WRITTEN),
    "buf *= t": (in_place(operator.imul), UnsupportedPrimitive, r"numpy\.multiply: " + WRITTEN),
    "buf /= t": (in_place(operator.itruediv), UnsupportedPrimitive, r"numpy\.divide: " + WRITTEN),
    "buf **= t": (in_place(operator.ipow), UnsupportedPrimitive, r"numpy\.power: " + WRITTEN),
    "sum out=": (lambda x: np.sum(x, out=np.ones(())), UnsupportedPrimitive,
                 r"numpy\.sum: the argument out=.*x = f\(x\)"),
    "copyto": (lambda x: np.copyto(np.ones(3), x), UnsupportedPrimitive, r"numpy\.copyto .*tapegrad\.full"),
    "put": (lambda x: np.put(np.ones(3), [0], x[0]), UnsupportedPrimitive, r"numpy\.put .*tapegrad\.index_update"),
    "place": (lambda x: np.place(np.ones(3), X > 1, x), UnsupportedPrimitive, r"use np\.where\(mask, values, x\)"),
    "putmask": (lambda x: np.putmask(np.ones(3), X > 1, x), UnsupportedPrimitive, r"use np\.where"),
    "fill_diagonal": (lambda x: np.fill_diagonal(np.outer(x, x), 0), UnsupportedPrimitive, "mask from np.eye"),
    "fill_diagonal with a Tensor": (lambda x: np.fill_diagonal(np.eye(3), x), TracingError, ARRAY),
    "put_along_axis": (lambda x: np.put_along_axis(np.ones(3), np.array([0]), x[:1], 0), UnsupportedPrimitive,
                       "index_update"),
    "add.at": (lambda x: np.add.at(np.ones(3), [0, 0], x[0]), UnsupportedPrimitive, r"add\.at .*tapegrad\.index_add"),
    "multiply.at": (lambda x: np.multiply.at(np.ones(3), [0], x[0]), UnsupportedPrimitive, r"multiply\.at has no rule"),
    "where= of a ufunc": (lambda x: np.exp(x, where=X > 1), UnsupportedPrimitive,
                          r"where= is not supported.*np\.where"),
    "dtype= of a ufunc": (lambda x: np.add(x, 1, dtype=np.float32), UnsupportedPrimitive, r"dtype= .*\.astype"),
    "a ufunc without a rule": (lambda x: np.spacing(x), UnsupportedPrimitive,
                               r"numpy\.spacing has no rule for Tensors; .*tapegrad\.primitive.*defvjp"),
    "a function without a rule": (lambda x: np.packbits(x), UnsupportedPrimitive,
                                  r"numpy\.packbits has no rule for Tensors; .*tapegrad\.primitive"),
    "a function with a remedy": (lambda x: np.histogram(x), UnsupportedPrimitive, "its counts have no derivative"),
    "linalg with complex results": (lambda x: np.linalg.eig(np.outer(x, x)), UnsupportedPrimitive,
                                    r"eigenvalues of a general matrix are complex .*np\.linalg\.eigh"),
    "fft without a rule": (lambda x: np.fft.fft(x), UnsupportedPrimitive, r"fft has no rule"),
    "an unknown keyword": (lambda x: np.concatenate([x, x], wrong=1), TypeError, "wrong"),
    "a keyword without support": (lambda x: np.cumsum(x, out=np.ones(3)), UnsupportedPrimitive,
                                  r"numpy\.cumsum: the argument out="),
    "reduceat": (lambda x: np.add.reduceat(x, [0, 1]), UnsupportedPrimitive, r"add\.reduceat has no rule"),
    "reduce of divide": (lambda x: np.divide.reduce(x), UnsupportedPrimitive, r"divide\.reduce has no rule"),
    "bits of floats": (lambda x: x & 1, UnsupportedPrimitive, r"combines booleans.*\(x > 0\) & \(y > 0\)"),
    "~ of floats": (lambda x: ~x, UnsupportedPrimitive, "combines booleans"),
    "where with two arguments": (lambda x: np.where(x > 1, x), UnsupportedPrimitive, "give all three of condition"),
    "an array indexed by a Tensor": (lambda x: X[x], TracingError, ARRAY),
    "indexed by floats": (lambda x: x[np.array([0.5])], DtypeError, r"an index of dtype float64.*\.astype\(int\)"),
    "too many indices": (lambda x: x[0, 0], ShapeError, r"2 indices for an array of shape \(3,\)"),
    "two ellipses": (lambda x: x[..., ...], ShapeError, "single ellipsis"),
    "out of range": (lambda x: x[np.array([0, 3])], IndexError, "index 3 is out of range for axis 0 of length 3"),
    "shapes that do not broadcast": (lambda x: x + np.ones(2), ShapeError,
                                     r"add: arguments of shapes \(3,\) and \(2,\) cannot be broadcast"),
    "matmul of wrong shapes": (lambda x: x @ np.ones((2, 2)), ShapeError,
                               r"operands of shapes \(3,\) and \(2, 2\) do not fit"),
    "matmul with a scalar": (lambda x: x @ 2.0, (ShapeError, UnsupportedPrimitive), r"use \* for scalars"),
    "reshape": (lambda x: x.reshape(2, 2), ShapeError, r"3 elements of shape \(3,\) do not fill the shape \(2, 2\)"),
    "stack": (lambda x: np.stack([x, x[:2]]), ShapeError, "all must have one shape"),
    "concatenate": (lambda x: np.concatenate([x, x[None]]), ShapeError, "same number of axes"),
    "squeeze": (lambda x: np.squeeze(x, 0), ShapeError, "not of length 1"),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2,)), ShapeError, r"shape \(3,\) cannot be broadcast to the shape"),
    "split": (lambda x: np.split(x, 2), ShapeError, "np.array_split for parts of unequal length"),
    "empty maximum": (lambda x: np.max(x[:0]), ShapeError, "has no elements"),
    "axis": (lambda x: np.sum(x, axis=1), np.exceptions.AxisError, "out of bounds"),
    "einsum": (lambda x: np.einsum("ij->i", x), ShapeError, "does not fit an operand with 1 axes"),
    "len of a scalar": (lambda x: len(x[0]), TypeError, "len"),
    "iteration over a scalar": (lambda x: list(x[0]), TypeError, "without axes"),
    "del": (delete, (TypeError, AttributeError), None),
    "x.shape =": (set_attribute, AttributeError, None),
    "range": (lambda x: range(x[0]), TypeError, "only integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_trap(name):
    use, error, words = TRAPS[name]
    with pytest.raises(error, match=words) as caught:
        inside(use)
    if isinstance(error, type) and issubclass(error, tg.errors.TapegradError):
        assert type(caught.value) is error


@pytest.mark.parametrize("transform", ["jvp", "vmap", "trace"])
@pytest.mark.parametrize(
    "name",
    ["np.array([t])", "np.full", "buf[:] = t", "float(t)", "t[0] = 1", "buf += t", "copyto", "add.at", "sum out=",
     "a ufunc without a rule", "a function without a rule"],
)
def test_traps_are_closed_in_every_transform(name, transform):
    use, error, words = TRAPS[name]
    with pytest.raises(error, match=words):
        inside(use, transform)


def test_one_element_of_an_array_assigned():
    """NumPy puts an error of its own before ours, which it names as the cause."""

    def use(x):
        buffer = np.zeros(3)
        buffer[0] = x[0]

    for transform in ("grad", "jvp", "vmap", "trace"):
        with pytest.raises(ValueError, match="setting an array element") as caught:
            inside(use, transform)
        assert isinstance(caught.value.__cause__, TracingError)
        assert "tapegrad.index_update(buf, i, t)" in str(caught.value.__cause__)


def test_scipy_cannot_detach_a_tensor():
    special = pytest.importorskip("scipy.special")
    for f in (special.logsumexp, special.softmax, special.log_softmax, special.dawsn):
        with pytest.raises((TracingError, UnsupportedPrimitive), match=r"tapegrad\.logsumexp|has no rule for Tensors"):
            inside(f)


def test_the_remedies_work():
    """What the messages recommend gives the value and the gradient that was meant."""
    for trap, remedy in (
        (lambda x: np.array([x[0], x[1]]), lambda x: np.stack([x[0], x[1]])),
        (lambda x: np.array([[x[0], 1.0], [x[1], x[2]]]), lambda x: tg.array([[x[0], 1.0], [x[1], x[2]]])),
        (lambda x: np.full((2, 2), x[0]), lambda x: tg.full((2, 2), x[0])),
        (lambda x: np.full(2, x[0], np.float32), lambda x: tg.full(2, x[0], np.float32)),
    ):
        value, pullback = tg.vjp(remedy, X)
        np.testing.assert_array_equal(value, trap(X))
        assert value.dtype == trap(X).dtype
        tg.testing.check_grads(lambda x, f=remedy: f(x).astype(float), (X,)) if value.dtype == float else None

    def written(x):
        buffer = np.ones(4)
        buffer[1:] = x * 2
        return buffer

    update = lambda x: tg.index_update(np.ones(4), slice(1, None), x * 2)  # noqa: E731
    np.testing.assert_array_equal(tg.vjp(update, X)[0], written(X))
    tg.testing.check_grads(update, (X,))
    added = lambda x: tg.index_add(np.ones(4), np.array([0, 0, 3]), x * 2)  # noqa: E731
    expected = np.ones(4)
    np.add.at(expected, [0, 0, 3], X * 2)
    np.testing.assert_array_equal(tg.vjp(added, X)[0], expected)
    tg.testing.check_grads(added, (X,))
    cube_root = tg.primitive(np.cbrt).defvjp(lambda g, ans, x: g / (3 * ans * ans))
    tg.testing.check_grads(cube_root, (X,))
    tg.testing.check_grads(tg.logsumexp, (X,))


def test_augmented_assignment_of_a_name_makes_a_new_tensor():
    def f(x):
        y = x
        y += 1.0
        y *= x
        return np.sum(y)

    np.testing.assert_allclose(tg.grad(f)(X), 2 * X + 1)


# ---- values that Python asks for ----
def test_comparisons_give_boolean_tensors():
    def f(x):
        for symbol in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
            for other in (1.5, np.array([0.5, 2.0, 2.5]), x[::-1]):
                found = symbol(x, other)
                assert isinstance(found, tg.Tensor)
                assert found.dtype == bool
                plain = other.value if isinstance(other, tg.Tensor) else other
                np.testing.assert_array_equal(found.value, symbol(x.value, plain))
                np.testing.assert_array_equal(symbol(other, x).value, symbol(plain, x.value))
        mask = (x > 1) & ~(x > 2) | (x == 0.5)
        np.testing.assert_array_equal(mask.value, [True, True, False])
        return np.sum(np.where(mask, x, 0.0)) + np.sum(x[x > 1])

    np.testing.assert_array_equal(tg.grad(f)(X), [1.0, 2.0, 1.0])


def test_hash_is_identity():
    def f(x):
        y = x * 1.0
        assert hash(x) == hash(x)
        assert len({x, y, x}) == 2
        assert {x: 1}[x] == 1
        return np.sum(y)

    tg.grad(f)(X)


def test_bool_is_the_value_where_there_is_one():
    def f(x):
        assert x[0] < 1
        assert not x[0] > 1
        assert bool(np.any(x > 2))
        with pytest.raises(ValueError, match="ambiguous"):
            bool(x > 1)
        return np.sum(x) if x[0] < 1 else -np.sum(x)

    np.testing.assert_array_equal(tg.grad(f)(X), np.ones(3))
    assert tg.jvp(f, (X,), (X,))[1] == X.sum()


@pytest.mark.parametrize("run", [
    lambda f: tg.trace(f)(X),
    lambda f: tg.checkpoint(f)(X),
    lambda f: tg.scan(lambda p, s, x: (s, f(x)), None, 0.0, X[None]),
    lambda f: tg.grad(lambda x: np.sum(tg.checkpoint(f)(x)))(X),
])  # fmt: skip
@pytest.mark.parametrize("use", [
    lambda x: x if x[0] > 1 else -x,
    lambda x: x if np.all(x > 0) and x[0] else -x,
    lambda x: x[x > 1],
    lambda x: x * max(x[0], x[1]),
])  # fmt: skip
def test_python_control_flow_while_tracing(run, use):
    with pytest.raises(TracingError, match=r"not known while a function is traced.*np\.where"):
        run(use)


def test_iteration_len_and_unpacking():
    def f(x):
        assert len(x) == 3
        a, b, c = x
        assert all(isinstance(row, tg.Tensor) for row in x)
        assert [row.shape for row in np.outer(x, x)] == [(3,)] * 3
        assert sum(1 for _ in reversed(x)) == 3
        return a * b + c + sum(v * v for v in x)

    np.testing.assert_allclose(tg.grad(f)(X), [X[1], X[0], 1.0] + 2 * X)


def test_attributes_are_those_of_the_array():
    def f(x):
        y = np.outer(x, x[:2])
        assert (y.shape, y.ndim, y.size, y.dtype, y.T.shape) == ((3, 2), 2, 6, np.dtype(float), (2, 3))
        assert (np.shape(y), np.ndim(y), np.size(y)) == ((3, 2), 2, 6)
        assert np.size(y, 1) == 2
        np.testing.assert_array_equal(y.value, np.outer(X, X[:2]))
        assert f"{x[0]:.1f}" == "0.5"
        assert str(x).startswith("Tensor(")
        return np.sum(y)

    tg.grad(f)(X)


def test_a_number_type_that_is_not_known():
    from decimal import Decimal

    for other in ("text", None, Decimal(1), object()):
        with pytest.raises(TypeError):
            tg.grad(lambda x, other=other: np.sum(x + other))(X)


def test_an_operand_with_its_own_reflected_operator():
    class Unit:
        def __rmul__(self, other):
            return other + 1.0

    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(x * Unit()))(X), np.ones(3))
