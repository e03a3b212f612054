"""Circles, arrows and labels on an ``Axes``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .graphs import INPUT, OLD, OUTPUT, STATE, Vertex
from .labels import Labels
from .layout import GAP, NARROW, RADIUS, Layout

COLOURS = {OLD: "#cfe2f3", STATE: "#cfe2f3", INPUT: "#d9ead3", OUTPUT: "#fce5cd"}
LINE = "0.35"
LOOP = 0.3  # from one loop of a folded graph to the next
GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi omega".split()
)

Point = tuple[float, float]


def mathematical(name: str, time: str = "") -> str:
    """A name as matplotlib's mathematics: ``W_xi`` with an index, ``0.h`` with the layer above, and the time."""
    layer, _, rest = re.sub(r"\[(\w+)\]", r"_\1", name).rpartition(".")
    letter, _, index = rest.partition("_")
    index = index.replace("_", r"\_")
    if not re.fullmatch(r"[A-Za-z0-9]+", letter):
        letter, index = rest.replace("_", r"\_"), ""
    body = rf"\{letter}" if letter in GREEK else letter if len(letter) == 1 else rf"\mathrm{{{letter}}}"
    parts = [rf"\mathrm{{{index}}}" if len(index) > 2 else index, time]
    below = ",".join(part for part in parts if part)
    above = f"^{{({layer})}}" if layer else ""
    return f"${body}{above}{f'_{{{below}}}' if below else ''}$"


class Picture:
    """An ``Axes`` with room for a layout, and what is drawn into it; labels are set last, by :meth:`finish`."""

    def __init__(self, ax: Any, layout: Layout, steps: int, folded: bool, numbers: bool):
        self.ax, self.layout, self.folded = ax, layout, folded
        self.stretch = self.column(folded, numbers)
        left, right, low, high = self.limits(layout, steps, folded, numbers)
        ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
        ax.set_axis_off()
        box = ax.get_window_extent()
        self.scale = min(box.width / (right - left), box.height / (high - low)) / ax.figure.dpi * 72  # points a unit
        self.labels = Labels(ax, self.scale)

    @staticmethod
    def column(folded: bool, numbers: bool) -> float:
        """The width of a column."""
        return 1.6 if numbers else 1.7 if folded else NARROW

    @classmethod
    def limits(cls, layout: Layout, steps: int, folded: bool, numbers: bool) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of what is drawn."""
        last = max([x for x, _ in layout.places.values()], default=0.0)
        right = cls.column(folded, numbers) * (layout.columns * (steps - 1) + max(last, layout.columns))
        around = cls.around(layout) if folded else 0.0
        below = 0.75 if numbers else 0.4
        return -0.4 - around, right + 0.4 + around, layout.bottom - below, layout.top + GAP + 0.35 + around

    @staticmethod
    def around(layout: Layout) -> float:
        """The room that the loops of a folded graph take."""
        return LOOP * len(layout.rails)

    @classmethod
    def size(cls, layout: Layout, steps: int, folded: bool, numbers: bool) -> Point:
        """The size of a figure in inches."""
        left, right, low, high = cls.limits(layout, steps, folded, numbers)
        scale = min(1.15, 22 / (right - left))
        return scale * (right - left), scale * (high - low)

    def at(self, point: Point) -> np.ndarray:
        """A point of the layout on the axes; in a folded graph what is above the rails is above their loops too."""
        x, y = point
        lift = self.around(self.layout) if self.folded and y > self.layout.top else 0.0
        return np.array([self.stretch * x, y + lift])

    # ---- parts ----
    def node(self, vertex: Vertex, place: Point, time: str) -> None:
        """A circle with its name."""
        from matplotlib.patches import Circle

        x, y = self.at(place)
        face = COLOURS.get(vertex.kind, "white")
        self.ax.add_patch(Circle((x, y), RADIUS, facecolor=face, edgecolor="0.2", linewidth=1.0, zorder=3))
        label = mathematical(vertex.name, time)
        letter, _, index = re.sub(r"\[(\w+)\]", r"_\1", vertex.name.rpartition(".")[2]).partition("_")
        width = (1 if letter in GREEK else len(letter)) + 0.6 * len(index)
        size = 0.24 * self.scale * min(1.0, 2.6 / (width + 0.6))
        self.ax.text(x, y, label, ha="center", va="center", fontsize=size, zorder=4, gid=vertex.kind)
        self.labels.obstacle(np.array([[x, y]]))

    def delay(self, place: Point) -> None:
        """A black square."""
        from matplotlib.patches import Rectangle

        x, y = self.at(place)
        self.ax.add_patch(Rectangle((x - 0.07, y - 0.07), 0.14, 0.14, color="black", zorder=3, gid="delay"))

    def arrow(self, source: Point, ways: Sequence[Point], target: Point, *, start: float | None = None,
              weights: Sequence[str] = (), numbers: tuple[str, str] = ("", "")) -> None:  # fmt: skip
        """A line from one place to another, with what stands beside it."""
        points = [self.at(point) for point in (source, *ways, target)]
        points[0] = _towards(points[0], points[1], RADIUS if start is None else start)
        points[-1] = _towards(points[-1], points[-2], RADIUS)
        curve = _rounded(points, 0.6)
        self._path(curve)
        self.labels.beside(curve, ", ".join(mathematical(name) for name in weights), *numbers)

    def loop(self, source: Point, target: Point, depth: int) -> None:
        """The way of a state back to its delay, around the graph; the deeper, the farther outside."""
        (x, y), (left, low) = self.at(source), self.at(target)
        out = LOOP * (depth + 1)
        right = self.stretch * self.layout.columns + RADIUS + out
        high = self.layout.top + RADIUS + out
        corners = [(x + RADIUS, y), (right, y), (right, high), (left - 0.1 - out, high), (left - 0.1 - out, low)]
        self._path(_rounded([np.array(c) for c in [*corners, (left - 0.07, low)]]))

    def finish(self, caption: str = "") -> None:
        """Set the labels, and a line of text below the picture."""
        self.labels.set()
        if caption:
            left, right = self.ax.get_xlim()
            size = min(0.15, (right - left) / (0.55 * len(caption))) * self.scale
            middle, low = (left + right) / 2, self.layout.bottom - 0.55
            self.ax.text(middle, low, caption, ha="center", va="center", fontsize=size, color="0.35")

    def _path(self, points: np.ndarray) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        style = f"-|>,head_length={0.09 * self.scale:.2f},head_width={0.04 * self.scale:.2f}"
        options: dict[str, Any] = {"mutation_scale": 1.0, "color": LINE, "linewidth": 0.9, "zorder": 1}
        self.ax.add_patch(FancyArrowPatch(path=Path(points), arrowstyle=style, **options))
        self.labels.obstacle(_even(points, 0.08), line=True)


# ---- lines ----
def _towards(point: np.ndarray, other: np.ndarray, distance: float) -> np.ndarray:
    apart = other - point
    length = float(np.linalg.norm(apart))
    return point + apart * (distance / length) if length else point


def _rounded(corners: Sequence[np.ndarray], radius: float = 0.18, number: int = 8) -> np.ndarray:
    """A line along corners, with these rounded off."""
    found = [corners[0]]
    s = np.linspace(0, 1, number)[:, None]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        near = min(radius, *[float(np.linalg.norm(other - corner)) / 2 for other in (before, after)])
        a, b = _towards(corner, before, near), _towards(corner, after, near)
        found.extend((1 - s) ** 2 * a + 2 * s * (1 - s) * corner + s**2 * b)
    return np.array([*found, corners[-1]])


def _even(points: np.ndarray, distance: float) -> np.ndarray:
    """Points along a line, about so far from each other."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0.0, lengths[-1], max(2, int(lengths[-1] / distance)))
    return np.stack([np.interp(at, lengths, points[:, i]) for i in (0, 1)], axis=-1)
