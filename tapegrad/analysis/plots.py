"""What was measured, as matplotlib draws it: a function takes an ``Axes``, or else the current one, and returns it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .axes import axes, checked

DEPTH = 1e-16  # what lies so far below the largest value is drawn in the last colour
WIDE = 100  # a quotient of largest and smallest from which a scale is logarithmic
MANY = 12  # lines beyond this number have no legend


def plot_gradient_norms(norms: Any, ax: Any = None, *, log: bool = False, **image: Any) -> Any:
    """A map of ||dL_t / ds_k||: k to the right, t downwards, colours in powers of ten; zeros are grey.

    Parameters
    ----------
    norms : array (T, T) or (T, T, B)
        What :func:`gradient_norms` returns; of several rows their mean.
    ax : matplotlib.axes.Axes, optional
    log : bool
        Whether ``norms`` are natural logarithms.
    **image
        For ``Axes.imshow``: ``cmap``, or ``norm`` for other limits of the colours.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.images[0]`` is the map, ``ax.images[0].colorbar`` its scale.

    Raises
    ------
    ShapeError, MissingLibrary
    """
    name = "plot_gradient_norms"
    values = checked(name, norms, (2, 3), "(T, T) or (T, T, B), as gradient_norms returns")
    ax = axes(name, ax)
    from matplotlib.colors import LogNorm

    if log:  # what would underflow is small, and only minus infinity is zero
        values = np.where(np.isneginf(values), 0.0, np.exp(np.clip(values, -600.0, 600.0)))
    values = values.mean(axis=2) if values.ndim == 3 else values
    least, top = _limits(values)
    options = {"cmap": _colours(), "norm": LogNorm(least, top), "interpolation": "nearest", "aspect": "auto"} | image
    given = getattr(options["norm"], "vmin", None)
    least = least if given is None or given <= 0 else given
    # NaN, where there is nothing, stays white.
    shown = np.where(values < least, np.where(values > 0, least, 0.1 * least), values)
    picture = ax.imshow(shown, **options)
    extend = "min" if np.any(values < least) else "neither"
    ax.figure.colorbar(picture, ax=ax, label=r"$\|\partial L_t/\partial s_k\|$", extend=extend)
    ax.set(xlabel="k, step of the state", ylabel="t, step of the loss")
    _whole_ticks(ax.xaxis, ax.yaxis)
    return ax


def plot_gamma(measured: Any, bound: Any = None, ax: Any = None, **line: Any) -> Any:
    """gamma_step over time, against its bound and against 1.

    Parameters
    ----------
    measured : array (T,) or (T, B)
        What :func:`gamma_measured` returns; of several rows the median, and from the least to the largest as a band.
    bound : float or array (T,), optional
        What it cannot exceed: ``sup|f'| * sigma_max(W)`` for a simple network.
    ax : matplotlib.axes.Axes, optional
    **line
        For ``Axes.plot``, of the measured line.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError, MissingLibrary
    """
    name = "plot_gamma"
    values = checked(name, measured, (1, 2), "(T,) or (T, B), as gamma_measured returns")
    ax = axes(name, ax)
    _band(ax, values, {"label": r"$\gamma_{\mathrm{step}}$, measured"} | line)
    if bound is not None:
        limits = np.broadcast_to(checked(name, bound, (0, 1), "a number or (T,) for bound="), len(values))
        ax.plot(_steps(values), limits, color="C3", label="bound")
    ax.axhline(1.0, color="0.4", linestyle=":", linewidth=1.2, label="1")
    ax.set(xlabel="t", ylabel=r"$\|\partial s_t/\partial s_{t-1}\|_2$")
    ax.update_datalim([(0.0, 0.0)], updatex=False)  # from 0, without a limit for what is drawn later
    ax.margins(y=0.02)
    ax.autoscale_view(scalex=False)
    ax.legend()
    _whole_ticks(ax.xaxis)
    return ax


def plot_spectrum(exponents: Any, ax: Any = None, **line: Any) -> Any:
    """Lyapunov exponents, from the largest; above the line at 0 directions grow.

    Parameters
    ----------
    exponents : array (S,) or (B, S)
        What :func:`lyapunov_spectrum` returns; of several rows the mean, and from the least to the largest as bars.
    ax : matplotlib.axes.Axes, optional
    **line
        For ``Axes.errorbar``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError, MissingLibrary
    """
    name = "plot_spectrum"
    values = np.atleast_2d(checked(name, exponents, (1, 2), "(S,) or (B, S), as lyapunov_spectrum returns"))
    ax = axes(name, ax)
    ax.axhline(0.0, color="0.4", linestyle=":", linewidth=1.2)
    if len(values):
        middle = values.mean(axis=0)
        with np.errstate(invalid="ignore"):  # of minus infinity
            reach = np.nan_to_num([middle - values.min(axis=0), values.max(axis=0) - middle])
        numbers = np.arange(1, values.shape[1] + 1)
        ax.errorbar(numbers, middle, reach if len(values) > 1 else None, **{"fmt": "o-", "capsize": 3} | line)
    ax.set(xlabel="i", ylabel=r"Lyapunov exponent $\lambda_i$ (nats a step)")
    _whole_ticks(ax.xaxis)
    return ax


def plot_singular_values(logs: Any, ax: Any = None, *, every: int = 1, **line: Any) -> Any:
    """Logarithms of the singular values of the running product over time; their slopes are the Lyapunov exponents.

    Parameters
    ----------
    logs : array (N, S) or (N, B, S)
        What :func:`singular_values` returns; of several rows the mean.
    ax : matplotlib.axes.Axes, optional
    every : int
        As it was given to :func:`singular_values`.
    **line
        For ``Axes.plot``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError, MissingLibrary
    """
    name = "plot_singular_values"
    values = checked(name, logs, (2, 3), "(N, S) or (N, B, S), as singular_values returns")
    ax = axes(name, ax)
    values = values.mean(axis=1) if values.ndim == 3 else values
    from matplotlib import colormaps

    number = values.shape[1]
    for i, column in enumerate(values.T):
        colour = colormaps["viridis"](0.9 * i / max(number - 1, 1))
        ax.plot(every * (_steps(values) + 1), column, **{"color": colour, "label": rf"$\sigma_{{{i + 1}}}$"} | line)
    ax.axhline(0.0, color="0.4", linestyle=":", linewidth=1.2)
    ax.set(xlabel="t, number of steps", ylabel=r"$\log\,\sigma_i(J_t \cdots J_1)$")
    if 1 < number <= MANY:
        ax.legend(ncols=2 if number > 6 else 1)
    _whole_ticks(ax.xaxis)
    return ax


def plot_saliency(saliency: Any, ax: Any = None, **artist: Any) -> Any:
    """How much the loss feels the input of each step: a line; or a map of features over time.

    Parameters
    ----------
    saliency : array (T,) or (T, B), or (T, B, F)
        What :func:`input_saliency` returns; of several rows the median, with a band from the least to the largest. With
        features a map, of several rows their mean.
    ax : matplotlib.axes.Axes, optional
    **artist
        For ``Axes.plot``, or for ``Axes.imshow``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError, MissingLibrary
    """
    name = "plot_saliency"
    values = checked(name, saliency, (1, 2, 3), "(T,), (T, B) or (T, B, F), as input_saliency returns")
    ax = axes(name, ax)
    if values.ndim == 3:
        from matplotlib.colors import LogNorm, Normalize

        values = values.mean(axis=1).T
        least, top = _limits(values)
        norm = LogNorm(least, top) if top > WIDE * least else Normalize(0.0, top)
        options = {"cmap": _colours(), "norm": norm, "interpolation": "nearest", "aspect": "auto", "origin": "lower"}
        picture = ax.imshow(values, **options | artist)
        ax.figure.colorbar(picture, ax=ax, label=r"$|\partial L/\partial x_{t,i}|$")
        ax.set(xlabel="t", ylabel="feature i")
        _whole_ticks(ax.xaxis, ax.yaxis)
        return ax
    _band(ax, values, artist)
    ax.set(xlabel="t", ylabel=r"$\|\partial L/\partial x_t\|$")
    positive = values[values > 0]
    if positive.size and positive.max() > WIDE * positive.min():
        ax.set_yscale("log")
    _whole_ticks(ax.xaxis)
    return ax


# ---- parts of plots ----
def _steps(values: np.ndarray) -> np.ndarray:
    return np.arange(len(values))


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The limits of the colours: of what is finite and positive, and not too far apart or too near."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return 0.1, 1.0
    top = float(positive.max())
    least = max(float(positive.min()), DEPTH * top)
    return (least, top) if least < 0.9 * top else (least / 3, 3 * top)


def _colours() -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(under="0.8")


def _band(ax: Any, values: np.ndarray, line: dict[str, Any]) -> None:
    """A line over the steps; of several rows the median, with a band from the least to the largest."""
    rows = values if values.ndim == 2 else values[:, None]
    if not rows.shape[1]:
        return
    (drawn,) = ax.plot(_steps(values), np.median(rows, axis=1), **line)
    if rows.shape[1] > 1:
        ax.fill_between(
            _steps(values), rows.min(axis=1), rows.max(axis=1), color=drawn.get_color(), alpha=0.25, linewidth=0
        )


def _whole_ticks(*scales: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    for scale in scales:
        scale.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
