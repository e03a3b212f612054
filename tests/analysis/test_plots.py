"""The plots show what they were given, on the axes that they were given."""

import subprocess
import sys

import numpy as np
import pytest

from tapegrad.analysis import (
    draw,
    plot_gamma,
    plot_gradient_norms,
    plot_saliency,
    plot_singular_values,
    plot_spectrum,
)
from tapegrad.cells import Elman
from tapegrad.errors import MissingLibrary, OptionError, ShapeError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of Agg
from matplotlib.colors import LogNorm  # noqa: E402

RNG = np.random.default_rng(0)
NORMS = np.where(np.tri(8) > 0, 10.0 ** RNG.uniform(-5, 1, (8, 8)), np.nan)
CALLS = {
    plot_gradient_norms: NORMS,
    plot_gamma: RNG.uniform(0.5, 1.5, (20, 3)),
    plot_spectrum: RNG.standard_normal((3, 5)),
    plot_singular_values: RNG.standard_normal((20, 2, 4)),
    plot_saliency: RNG.uniform(1, 2, (20, 3)),
}
EVERY = pytest.mark.parametrize("plot", CALLS, ids=lambda plot: plot.__name__)


@pytest.fixture
def ax():
    return plt.subplots()[1]


@EVERY
def test_axes_that_are_given_come_back(plot, ax):
    assert plot(CALLS[plot], ax=ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    ax.figure.canvas.draw()


@EVERY
def test_without_axes_the_current_ones_are_taken(plot):
    current = plt.subplots()[1]
    assert plot(CALLS[plot]) is current
    plt.close("all")
    assert plot(CALLS[plot]) is plt.gcf().axes[0]


@EVERY
def test_what_is_no_axes_is_refused(plot):
    with pytest.raises(OptionError, match=r"plt.subplots\(\) gives one"):
        plot(CALLS[plot], ax=plt.figure())


@EVERY
def test_another_shape_is_refused(plot):
    with pytest.raises(ShapeError, match="expected"):
        plot(np.zeros((2, 2, 2, 2)))


@EVERY
@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(plot, rows):
    one = {plot_gradient_norms: (4, 4, rows), plot_gamma: (4, rows), plot_spectrum: (rows, 4),
           plot_singular_values: (4, rows, 2), plot_saliency: (4, rows)}[plot]  # fmt: skip
    with np.errstate(invalid="ignore"):
        if rows or plot not in (plot_gradient_norms, plot_singular_values):  # no mean of nothing
            plot(np.ones(one)).figure.canvas.draw()


# ---- what is in them ----
def test_the_map_of_gradient_norms(ax):
    plot_gradient_norms(NORMS, ax=ax)
    (image,) = ax.images
    shown = image.get_array()
    np.testing.assert_array_equal(shown.mask, np.isnan(NORMS))
    np.testing.assert_array_equal(shown.compressed(), NORMS[~np.isnan(NORMS)])
    assert isinstance(image.norm, LogNorm)
    assert (image.norm.vmin, image.norm.vmax) == (np.nanmin(NORMS), np.nanmax(NORMS))
    assert image.colorbar is not None
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # t downwards


def test_the_map_of_logarithms_and_of_rows(ax):
    plot_gradient_norms(np.log(NORMS), ax=ax, log=True)
    np.testing.assert_allclose(ax.images[0].get_array().compressed(), NORMS[~np.isnan(NORMS)])
    deep = plot_gradient_norms(np.log(NORMS) - np.where(np.eye(8) > 0, 0.0, 5000.0), ax=plt.subplots()[1], log=True)
    assert np.all(deep.images[0].get_array().compressed() >= deep.images[0].norm.vmin)
    other = plot_gradient_norms(np.stack([NORMS, 3 * NORMS], axis=2), ax=plt.subplots()[1])
    np.testing.assert_allclose(other.images[0].get_array().compressed(), 2 * NORMS[~np.isnan(NORMS)])


def test_zeros_and_what_is_far_below(ax):
    norms = NORMS.copy()
    norms[3, 1], norms[4, 2] = 0.0, 1e-200
    plot_gradient_norms(norms, ax=ax)
    image = ax.images[0]
    assert image.norm.vmin == pytest.approx(1e-16 * np.nanmax(norms))
    colours = image.to_rgba(image.get_array())
    assert tuple(colours[3, 1]) == pytest.approx((0.8, 0.8, 0.8, 1.0))
    assert tuple(colours[4, 2]) == pytest.approx(image.cmap(0.0))


def test_norms_that_are_all_equal_or_zero():
    for norms in (np.ones((4, 4)), np.zeros((4, 4))):
        drawn = plot_gradient_norms(norms, ax=plt.subplots()[1])
        drawn.figure.canvas.draw()
        assert 0 < drawn.images[0].norm.vmin < drawn.images[0].norm.vmax  # limits that a logarithm can take


def test_colours_can_be_chosen(ax):
    plot_gradient_norms(NORMS, ax=ax, cmap="magma", norm=LogNorm(1e-3, 1))
    assert ax.images[0].get_cmap().name == "magma"
    assert ax.images[0].norm.vmin == 1e-3


def test_limits_of_colours_that_are_given_hold(ax):
    norms = np.array([[1.0, np.nan, np.nan], [1e30, 1.0, np.nan], [1e60, 0.0, 1e-5]])
    image = plot_gradient_norms(norms, ax=ax, norm=LogNorm(1e-3, 1e3)).images[0]
    shown = image.get_array()
    assert shown[1, 1] == 1.0  # though it is far below the largest
    assert shown[2, 2] == pytest.approx(1e-3)
    np.testing.assert_array_equal(image.to_rgba(shown)[2, 1], image.get_cmap().get_under())


def test_gamma_on_axes_that_share_their_limits():
    _, axes = plt.subplots(1, 2, sharey=True)
    for ax, size in zip(axes, (0.5, 4.0), strict=True):
        plot_gamma(size * np.ones(5), ax=ax)
    assert axes[0].get_ylim()[0] <= 0 < 4.0 < axes[0].get_ylim()[1] < 5.0


def test_gamma_and_its_bound(ax):
    values = CALLS[plot_gamma]
    plot_gamma(values, 1.7, ax=ax, color="green")
    measured, bound, one = ax.lines
    np.testing.assert_array_equal(measured.get_ydata(), np.median(values, axis=1))
    np.testing.assert_array_equal(measured.get_xdata(), np.arange(20))
    assert measured.get_color() == "green"
    np.testing.assert_array_equal(bound.get_ydata(), np.full(20, 1.7))
    assert set(one.get_ydata()) == {1.0}
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    for t in range(20):
        there = corners[corners[:, 0] == t, 1]
        assert (there.min(), there.max()) == (values[t].min(), values[t].max())
    assert [text.get_text() for text in ax.get_legend().get_texts()][1:] == ["bound", "1"]
    plot_gamma(values[:, 0], np.linspace(1, 2, 20), ax=plt.subplots()[1])
    np.testing.assert_array_equal(plt.gca().lines[1].get_ydata(), np.linspace(1, 2, 20))


def test_the_spectrum(ax):
    values = -np.sort(-CALLS[plot_spectrum])
    plot_spectrum(values, ax=ax)
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), values.mean(axis=0))
    np.testing.assert_array_equal(ax.containers[0].lines[0].get_xdata(), [1, 2, 3, 4, 5])
    reach = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in reach], np.stack([values.min(axis=0), values.max(axis=0)], axis=1))
    plot_spectrum([0.1, -np.inf], ax=plt.subplots()[1]).figure.canvas.draw()


def test_singular_values(ax):
    values = CALLS[plot_singular_values]
    plot_singular_values(values, ax=ax, every=5)
    for i in range(4):
        np.testing.assert_allclose(ax.lines[i].get_ydata(), values[:, :, i].mean(axis=1))
        np.testing.assert_array_equal(ax.lines[i].get_xdata(), 5 * np.arange(1, 21))


def test_saliency(ax):
    values = CALLS[plot_saliency]
    plot_saliency(values, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.median(values, axis=1))
    assert ax.get_yscale() == "linear"
    assert plot_saliency(10.0 ** -np.arange(5.0), ax=plt.subplots()[1]).get_yscale() == "log"
    each = RNG.uniform(1, 2, (20, 3, 4))
    other = plot_saliency(each, ax=plt.subplots()[1])
    np.testing.assert_allclose(other.images[0].get_array(), each.mean(axis=1).T)


# ---- matplotlib is optional ----
@pytest.mark.parametrize("plot", [*CALLS, draw], ids=lambda plot: plot.__name__)
def test_without_matplotlib_the_error_says_what_to_install(plot, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'tapegrad\[plot\]'") as caught:
        plot(CALLS.get(plot, Elman(2, 3)))
    assert isinstance(caught.value, ImportError)


def test_measuring_loads_no_matplotlib():
    program = (
        "import sys, numpy as np; from tapegrad import analysis; "
        "analysis.lyapunov_spectrum(np.ones((3, 1, 2, 2))); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
