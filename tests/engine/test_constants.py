"""Constants that meet a Tensor: what cannot be differentiated is refused, never silently changed."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, OptionError, ShapeError, StructureError, TracingError, UnsupportedPrimitive


@pytest.mark.parametrize("value", [1 + 1j, np.complex64(1j), np.array([1j, 2.0])])
@pytest.mark.parametrize(
    "run",
    [
        lambda f: tg.grad(f)(np.ones(2)),
        lambda f: tg.jvp(f, (np.ones(2),), (np.ones(2),)),
        lambda f: tg.trace(f)(np.ones(2)),
    ],
)
def test_complex_constants_are_refused(run, value):
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        run(lambda x: np.sum(np.abs(x * value)))


def test_complex_conversions_and_cotangents_are_refused():
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        tg.grad(lambda x: np.sum(np.abs(x.astype(complex))))(np.ones(2))
    _, pullback = tg.vjp(lambda x: 2 * x, np.ones(2))
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        pullback(np.ones(2) * 1j)


def test_masked_arrays_and_matrices_are_refused():
    masked = np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])
    with pytest.raises(DtypeError, match="MaskedArray.*filled"):
        tg.grad(lambda x: np.sum(x * masked))(np.ones(3))
    with pytest.raises(DtypeError, match="grad: argument .* is a MaskedArray.*filled"):
        tg.grad(np.sum)(masked)
    with pytest.raises(DtypeError, match="scan: xs is a MaskedArray.*filled"):
        tg.scan(lambda p, s, x: (s + x, s), None, 0.0, masked)
    with pytest.raises(DtypeError, match="scan: params is a matrix.*asarray"):
        tg.scan(lambda p, s, x: (s * p, s), np.ones((1, 1)).view(np.matrix), np.ones((1, 1)), np.ones(3))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x[x > 0]),
        lambda x: x if np.sum(x) > 0 else -x,
        lambda x: tg.index_update(x, np.sum(x > 0), 1.0),
    ],
)
def test_what_differs_over_a_mapped_axis_steers_nothing(f):
    with pytest.raises(TracingError, match=r"inside vmap.*np\.where"):
        tg.vmap(f)(np.ones((2, 4)))


@pytest.mark.parametrize("argnums", [(0, 0), (1, -1)])
def test_an_argument_named_twice(argnums):
    with pytest.raises(OptionError, match="twice"):
        tg.grad(lambda x, y: x * y, argnums)(2.0, 3.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64])
def test_small_integers_index_large_tables(dtype):
    table = np.zeros((300, 2))
    tokens = np.array([3, 100, 3], dtype)
    g = tg.grad(lambda E: np.sum(E[tokens]))(table)
    assert g[3].tolist() == [2, 2]
    assert g.sum() == 6
    assert tg.grad(lambda E: np.sum(E[tokens]))(np.zeros((300, 0))).shape == (300, 0)


def test_index_add_to_integers():
    np.testing.assert_array_equal(tg.index_add(np.zeros(3, int), np.array([0, 0]), 2), [4, 0, 0])
    with pytest.raises(DtypeError, match="floating arrays only"):
        tg.grad(lambda x: np.sum(tg.index_add(np.zeros(3, int), 0, x)))(1.0)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: np.transpose(x, (0, 3)), ValueError),
        (lambda x: np.transpose(x, (0, 0)), ValueError),
        (lambda x: np.transpose(x, (0,)), ShapeError),
        (lambda x: np.sum(x, axis=0.7), TypeError),
        (lambda x: np.reshape(x, (2.9, 3)), TypeError),
        (lambda x: np.einsum("...i->i", x), StructureError),
    ],
)
def test_what_numpy_refuses_is_refused(f, error):
    with pytest.raises(error):
        tg.trace(f)(np.ones((2, 3)))


def test_the_mean_of_half_precision_does_not_overflow():
    assert tg.value_and_grad(np.mean)(np.full(2000, 1000, np.float16))[0] == 1000


@pytest.mark.parametrize("transform", [tg.value_and_grad, lambda f: lambda x: tg.vjp(f, x), tg.vmap])
def test_a_tensor_kept_from_another_trace_is_no_result(transform):
    kept = []
    tg.grad(lambda x: kept.append(x) or x)(1.0)
    with pytest.raises(TracingError, match="kept from a gradient that has ended"):
        transform(lambda y: kept[0])(np.array([2.0]))


def test_arrays_of_objects_and_texts_are_refused():
    for value in (np.array([object()]), np.array(["a"])):
        with pytest.raises(DtypeError, match="convert it to numbers"):
            tg.grad(lambda x: np.sum(x * value))(np.ones(1))  # noqa: B023


@pytest.mark.parametrize("rule", [lambda g, ans, x: np.ones(5), lambda g, ans, x: np.ones((2, 7))])
def test_a_rule_that_returns_a_wrong_shape_is_named(rule):
    for f in (tg.primitive(lambda x: 2 * x, name="twice").defvjp(rule), _custom(rule)):
        with pytest.raises(ShapeError, match="backward rule returned a cotangent of shape"):
            tg.grad(lambda x: np.sum(f(x)))(np.ones(2))  # noqa: B023


def _custom(rule):
    f = tg.custom_vjp(lambda x: 2 * x)
    f.defvjp(rule)
    return f


def test_a_rule_may_return_a_number_or_nothing():
    f = tg.primitive(lambda x: 2 * x, name="twice").defvjp(lambda g, ans, x: 3.0)
    assert tg.grad(f)(1.0) == 3.0
    f = tg.primitive(lambda x: 2 * x, name="twice").defvjp(lambda g, ans, x: None)
    assert tg.grad(f)(1.0) == 0.0


def test_a_shape_rule_that_lies_is_found_out():
    f = tg.primitive(lambda x: x[:1], shape=lambda x: x.shape, name="first")
    with pytest.raises(ShapeError, match=r"first: .*promised \(3,\)"):
        tg.scan(lambda p, s, x: (s, f(x)), None, 0.0, np.ones((2, 3)))


def test_results_are_not_the_arguments():
    x = np.ones(3)
    for made in (tg.vmap(lambda a: a)(x), *tg.jvp(lambda a: a, (x,), (x,)), tg.vmap(lambda a: 1.0)(x)):
        made[...] = 7
    assert (x == 1).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"record": 3}, OptionError, "names of local variables"),
        ({"record": False}, OptionError, "names of local variables"),
        ({"reverse": "no"}, OptionError, "True or False"),
        ({"length": 2.7}, OptionError, "whole number"),
        ({"length": -1}, OptionError, "whole number"),
    ],
)
def test_scan_options_of_the_wrong_kind(options, error, words):
    with pytest.raises(error, match=words):
        tg.scan(lambda p, s, x: (s + x, s), None, 0.0, np.ones(3), **options)


def test_a_float_for_an_integer_state_is_not_cut():
    with pytest.raises(DtypeError, match="came in as int64"):
        tg.scan(lambda p, s, x: (2.5, s), None, np.array(1), np.ones(3))


@pytest.mark.parametrize("axes", ["a", 1.5, (0, "b")])
def test_axes_of_vmap_of_the_wrong_kind(axes):
    with pytest.raises((OptionError, StructureError), match="vmap: in_axes"):
        tg.vmap(lambda x: x, in_axes=axes)(np.ones((2, 2)))


def test_what_a_step_looks_up_by_name_is_never_stale():
    for value in (1.0, 2.0):
        globals()["LOOKED_UP"] = value
        assert tg.scan(lambda p, s, x: (s + globals()["LOOKED_UP"], s), None, 0.0, np.ones(1))[0] == value


def test_any_and_all_of_nothing_keep_their_axes():
    for f in (np.any, np.all):
        found = tg.vmap(lambda x, f=f: f(x > 0, axis=0, keepdims=True))(np.ones((2, 0, 3)))
        np.testing.assert_array_equal(found, f(np.ones((2, 0, 3)) > 0, axis=1, keepdims=True))


def test_a_casting_rule_is_refused_not_ignored():
    for f in (np.concatenate, np.stack, np.hstack, np.vstack):
        with pytest.raises(UnsupportedPrimitive, match="casting="):
            tg.grad(lambda x: np.sum(f([x, x], dtype=np.float32, casting="no")))(np.ones(2))  # noqa: B023
