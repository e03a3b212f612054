"""What stands beside the arrows of a picture, set where there is room."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

VALUE_TEXT, GRADIENT_TEXT, WEIGHT_TEXT = "#1f4e9c", "#b3261e", "0.25"
SIZE = 0.145  # of letters, in units of the picture
PARTS = np.linspace(0.15, 0.9, 31)  # of an arrow, from its start: where a label may stand
FAVOURITE = 0.55
STEEP = 70.0  # degrees from which text beside an arrow is not turned


class Wanted(NamedTuple):
    """What is to stand beside an arrow: on it, on one side, and on the other."""

    curve: np.ndarray
    number: int
    texts: tuple[str, str, str]


class Labels:
    """The labels of a picture, each of which can be at any place along its arrow."""

    def __init__(self, ax: Any, scale: float):
        self.ax, self.scale = ax, scale
        self.wanted: list[Wanted] = []
        self.lines: list[np.ndarray] = []
        self.spots: list[np.ndarray] = []

    def obstacle(self, points: np.ndarray, line: bool = False) -> None:
        """Where no label should be. A line that a label belongs to is told before it."""
        (self.lines if line else self.spots).append(points)

    def beside(self, curve: np.ndarray, on: str, above: str, below: str) -> None:
        """A label for the line that was told last."""
        if on or above or below:
            self.wanted.append(Wanted(curve, len(self.lines) - 1, (on, above, below)))

    def set(self) -> None:
        """Set all labels, those of short arrows first, which have the least choice."""
        held: list[np.ndarray] = []
        for wanted in sorted(self.wanted, key=lambda w: _length(w.curve)):
            points, angles = _along(wanted.curve)
            others = [line for k, line in enumerate(self.lines) if k != wanted.number]
            cost = 0.4 * np.abs(PARTS - FAVOURITE)
            for weight, crowd, reach in ((1.0, others, 0.3), (3.0, self.spots, 0.5), (3.0, held, 0.6)):
                cost += weight * _crowd(points, crowd, reach)
            best = int(np.argmin(cost))
            held.append(points[best : best + 1])
            self._write(points[best], angles[best], wanted.texts)

    def _write(self, point: np.ndarray, angle: float, texts: tuple[str, str, str]) -> None:
        upright = (angle + 90) % 180 - 90
        steep = abs(upright) > STEEP
        turn = np.radians(upright)
        normal = np.array([-1.0, 0.0]) if steep else np.array([-np.sin(turn), np.cos(turn)])
        away = 0.05 if steep else 0.085
        for text, colour, side in zip(texts, (WEIGHT_TEXT, VALUE_TEXT, GRADIENT_TEXT), (0, 1, -1), strict=True):
            if text:
                place = "center" if not side or not steep else "right" if side > 0 else "left"
                size = (SIZE if side else 0.17) * self.scale
                self.ax.text(
                    *(point + side * away * normal), text, color=colour, fontsize=size, ha=place, va="center",
                    rotation=0 if steep else upright, rotation_mode="anchor", zorder=2,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8},
                )  # fmt: skip


def _length(curve: np.ndarray) -> float:
    return float(np.sum(np.linalg.norm(np.diff(curve, axis=0), axis=1)))


def _along(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The candidates on a line, and its direction at each, in degrees."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    low, high = (
        np.stack([np.interp((PARTS + by) * lengths[-1], lengths, curve[:, i]) for i in (0, 1)], axis=-1)
        for by in (-0.02, 0.02)
    )
    return (low + high) / 2, np.degrees(np.arctan2(*(high - low).T[::-1]))


def _crowd(points: np.ndarray, others: list[np.ndarray], reach: float) -> np.ndarray:
    """How much each point is in the way of others: for each of them 1 on top of it, 0 from ``reach`` on."""
    crowd = np.zeros(len(points))
    for other in others:
        nearest = np.min(np.linalg.norm(points[:, None] - other, axis=-1), axis=1)
        crowd += np.maximum(0.0, 1.0 - nearest / reach) ** 2
    return crowd
