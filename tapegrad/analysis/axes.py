"""matplotlib, asked for when something is to be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingLibrary, OptionError, ShapeError


def axes(name: str, ax: Any, **figure: Any) -> Any:
    """The given axes, or else the current ones, which are made when there are none.

    Raises
    ------
    MissingLibrary
        When matplotlib is not installed.
    OptionError
        When ``ax`` is no Axes.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ImportError:
        raise MissingLibrary(
            f"{name}: it draws with matplotlib, which is not installed; pip install 'tapegrad[plot]'. The measurements "
            "themselves need no other library"
        ) from None
    if ax is None:
        return pyplot.gca() if not figure else pyplot.figure(**figure).gca()
    if not isinstance(ax, Axes):
        raise OptionError(f"{name}: ax is a {type(ax).__name__}, expected matplotlib's Axes; plt.subplots() gives one")
    return ax


def checked(name: str, values: Any, ranks: tuple[int, ...], expected: str) -> np.ndarray:
    """``values`` as an array of floats with one of these numbers of axes."""
    array = np.asarray(values, float)
    if array.ndim not in ranks:
        raise ShapeError(f"{name}: an array of shape {array.shape} came, expected {expected}")
    return array
