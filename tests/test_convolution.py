"""Convolution and pooling: layouts, refusals and identities. Values and derivatives are rows of ``tests/surface``."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import OptionError, ShapeError, UnsupportedPrimitive
from tapegrad.testing import check_grads

RNG = np.random.default_rng(0)
IMAGES, KERNEL = RNG.normal(size=(2, 7, 6, 4)), RNG.normal(size=(3, 2, 4, 5))


# ---- layouts ----
def test_any_number_of_axes_may_come_first():
    whole = tg.conv(IMAGES, KERNEL)
    np.testing.assert_allclose(tg.conv(IMAGES[0], KERNEL), whole[0])
    np.testing.assert_allclose(tg.conv(IMAGES.reshape(1, 2, 1, 7, 6, 4), KERNEL)[0, :, 0], whole)
    assert tg.conv(IMAGES[:0], KERNEL).shape == (0, *whole.shape[1:])
    np.testing.assert_array_equal(tg.max_pool(IMAGES[0], (2, 3)), tg.max_pool(IMAGES, (2, 3))[0])
    np.testing.assert_allclose(tg.avg_pool(IMAGES[0], (2, 3), padding="same"),
                               tg.avg_pool(IMAGES, (2, 3), padding="same")[0])  # fmt: skip


def test_three_axes():
    x, kernel = RNG.normal(size=(1, 3, 3, 4, 1)), RNG.normal(size=(2, 2, 2, 1, 2))
    found = tg.conv(x, kernel)
    assert found.shape == (1, 2, 2, 3, 2)
    np.testing.assert_allclose(found[0, 1, 0, 2], np.einsum("abc,abck->k", x[0, 1:3, 0:2, 2:4, 0], kernel[..., 0, :]))


def test_a_kernel_of_one_element_is_a_product():
    np.testing.assert_allclose(tg.conv(IMAGES, KERNEL[:1, :1]), IMAGES @ KERNEL[0, 0])


def test_each_channel_alone():
    kernel = RNG.normal(size=(3, 2, 1, 4))
    found = tg.conv(IMAGES, kernel, groups=4)
    for c in range(4):
        np.testing.assert_allclose(found[..., c : c + 1], tg.conv(IMAGES[..., c : c + 1], kernel[..., c : c + 1]))


def test_same_keeps_the_size():
    for stride, sizes in ((1, (7, 6)), (2, (4, 3)), ((3, 1), (3, 6))):
        for made in (
            tg.conv(IMAGES, KERNEL, stride=stride, padding="same", dilation=2),
            tg.max_pool(IMAGES, (3, 2), stride=stride, padding="same"),
        ):
            assert made.shape[1:-1] == sizes


@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
def test_conv_transpose_is_the_transpose(stride):
    """<conv(x), y> = <x, conv_transpose(y)> with the kernel's channels swapped."""
    y = tg.conv(IMAGES, KERNEL, stride=stride)
    y = RNG.normal(size=y.shape)
    swapped = np.swapaxes(KERNEL, -1, -2)
    back = tg.conv_transpose(y, swapped, stride=stride)
    inside = IMAGES[:, : back.shape[1], : back.shape[2]]
    (pulled,) = tg.vjp(lambda x: tg.conv(x, KERNEL, stride=stride), IMAGES)[1](y)
    np.testing.assert_allclose(back, pulled[:, : back.shape[1], : back.shape[2]], atol=1e-12)
    assert inside.shape == back.shape


def test_what_conv_transpose_cuts_off():
    x, kernel = RNG.normal(size=(1, 3, 2)), RNG.normal(size=(4, 2, 1))
    whole = tg.conv_transpose(x, kernel, stride=2)
    np.testing.assert_array_equal(tg.conv_transpose(x, kernel, stride=2, padding=((1, 2),)), whole[:, 1:-2])
    np.testing.assert_array_equal(tg.conv_transpose(x, kernel, stride=2, padding="same"), whole[:, 1:-1])


# ---- pooling ----
def test_ties_share_the_gradient():
    x = np.array([[2.0], [2.0], [1.0], [2.0], [2.0], [2.0]])
    g = tg.grad(lambda x: np.sum(tg.max_pool(x, 3)))(x)
    np.testing.assert_allclose(g[:, 0], [1 / 2, 1 / 2, 0, 1 / 3, 1 / 3, 1 / 3])
    overlapping = tg.grad(lambda x: np.sum(tg.max_pool(x, 3, stride=1)))(x)
    np.testing.assert_allclose(overlapping[:, 0], [1 / 2, 1, 0, 1 / 2 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 / 3])


def test_padding_is_neither_largest_nor_counted():
    x = -np.ones((3, 1))
    np.testing.assert_array_equal(tg.max_pool(x, 2, padding=1)[:, 0], [-1, -1])
    np.testing.assert_array_equal(tg.avg_pool(x, 2, stride=1, padding=1)[:, 0], [-1, -1, -1, -1])
    assert tg.max_pool(np.array([[3], [5]]), 2, padding="same").dtype == np.array([3]).dtype
    assert tg.max_pool(np.array([[-3], [-5]]), 2, stride=1, padding="same").ravel().tolist() == [-3, -5]


def test_dtypes():
    x, kernel = IMAGES.astype(np.float32), KERNEL.astype(np.float32)
    for f in (
        lambda x: tg.conv(x, kernel),
        lambda x: tg.conv(x, kernel, padding="same", groups=1),
        lambda x: tg.conv_transpose(x, kernel, stride=2),
        lambda x: tg.max_pool(x, (2, 2), padding="same"),
        lambda x: tg.avg_pool(x, (2, 2), padding="same"),
    ):
        value, pullback = tg.vjp(f, x)
        assert value.dtype == pullback(value)[0].dtype == np.float32


def test_in_a_scan_and_under_vmap():
    kernels = RNG.normal(size=(3, 2, 1, 1))

    def step(kernel, state, x):
        state = np.tanh(tg.conv(state, kernel, padding="same") + x)
        return state, tg.max_pool(state, 2)

    xs = RNG.normal(size=(3, 2, 4, 1))

    def loss(kernel):
        return np.sum(tg.scan(step, kernel, np.zeros((2, 4, 1)), xs)[1] ** 2)

    check_grads(loss, (kernels[0],))
    each = np.stack([tg.grad(loss)(kernel) for kernel in kernels])
    np.testing.assert_allclose(tg.vmap(tg.grad(loss))(kernels), each, rtol=1e-11)


# ---- refusals ----
X, K = np.ones((2, 5, 3)), np.ones((2, 3, 4))
REFUSED = {
    "channels": (lambda: tg.conv(X, np.ones((2, 2, 4))), ShapeError, r"has 3 channels .* takes 2; channels stand last"),
    "no length": (lambda: tg.conv(X, np.ones((3, 4))), ShapeError, r"\(3, 4\), expected \(\*lengths"),
    "length 0": (lambda: tg.conv(X, np.ones((0, 3, 4))), ShapeError, "none of them 0"),
    "too few axes": (lambda: tg.conv(X[0, 0], K), ShapeError, r"x has the shape \(3,\)"),
    "too long": (lambda: tg.conv(X, np.ones((6, 3, 4))), ShapeError, r"spans 6 elements .* axis of 5 .*'same'"),
    "stride": (lambda: tg.conv(X, K, stride=0), OptionError, r"stride=0, expected a positive whole number"),
    "strides": (lambda: tg.conv(X, K, stride=(1, 1)), OptionError, r"stride=\(1, 1\), .* or 1 of them"),
    "fractional": (lambda: tg.conv(X, K, dilation=1.5), OptionError, "dilation=1.5"),
    "padding word": (lambda: tg.conv(X, K, padding="SAME"), OptionError, "padding='SAME', expected 'valid', 'same'"),
    "negative": (lambda: tg.conv(X, K, padding=-1), OptionError, "padding=-1"),
    "paddings": (lambda: tg.conv(X, K, padding=((1, 2), (0, 0))), OptionError, r"padding=\(\(1, 2\), \(0, 0\)\)"),
    "triples": (lambda: tg.conv(X, K, padding=((1, 2, 3),)), OptionError, "padding="),
    "groups": (lambda: tg.conv(X, K, groups=2), OptionError, "groups=2 must divide 3 input and 4 output"),
    "transposed same": (lambda: tg.conv_transpose(X, K, stride=3, padding="same"), OptionError, "at least as long"),
    "window": (lambda: tg.max_pool(X, 0), OptionError, "window=0"),
    "window axes": (lambda: tg.max_pool(X, (1, 2, 2)), ShapeError, r"a window over 3 axes needs"),
    "pool padding": (lambda: tg.avg_pool(X, 2, padding=2), OptionError, "is not smaller than the window"),
    "mode": (lambda: tg.grad(lambda x: np.sum(np.convolve(x, x, "wide")))(np.ones(3)), OptionError, "mode='wide'"),
    "two axes": (lambda: tg.vjp(lambda x: np.convolve(x, x), np.ones((2, 2))), ShapeError, "tapegrad.conv takes more"),
    "empty": (lambda: tg.vjp(lambda x: np.correlate(x, x[:0]), np.ones(2)), ShapeError, "elements on it"),
    "view": (lambda: tg.vjp(lambda x: np.lib.stride_tricks.sliding_window_view(x, 4), np.ones(3)), ShapeError,
             "a window of 4 does not fit on an axis of 3"),
    "writeable": (lambda: tg.vjp(lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, writeable=True), np.ones(3)),
                  UnsupportedPrimitive, "writeable="),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_what_came(name):
    use, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        use()
