"""Lines that keep off circles: what would pass through one goes up or down between the columns instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def around(points: Sequence[Point], circles: np.ndarray, gap: float, stretch: float, reach: float) -> list[Point]:
    """The inner points of a line that keeps off circles as well as it can.

    Parameters
    ----------
    points : sequence of (float, float)
        The line, ends included, in columns and heights.
    circles : array (n, 2)
        The centres of all circles; those at the ends of the line do not count.
    gap : float
        The height of a row.
    stretch : float
        The width of a column.
    reach : float
        How far a line keeps from a centre.
    """
    others = circles[~_is_one_of(circles, [points[0], points[-1]])]

    def hits(line: Sequence[Point]) -> int:
        return int(sum(np.sum(_distances(others, a, b, stretch) < reach) for a, b in zip(line, line[1:], strict=False)))

    found = [points[0]]
    for p, q in zip(points, points[1:], strict=False):
        ways = [[], *_detours(p, q, gap)] if hits([p, q]) else [[]]
        best = min(ways, key=lambda way, p=p, q=q: hits([p, *way, q]))  # type: ignore[misc]
        found += [*best, q]
    return found[1:-1]


def is_clear(a: Point, b: Point, circles: np.ndarray, stretch: float, reach: float) -> bool:
    """Whether a straight line keeps off all circles but those at its ends."""
    others = circles[~_is_one_of(circles, [a, b])]
    return bool(np.all(_distances(others, a, b, stretch) >= reach))


def _detours(p: Point, q: Point, gap: float) -> list[list[Point]]:
    """Ways from p to q through the middles between columns, where no circle is."""
    up = 1.0 if q[1] >= p[1] else -1.0
    middles = dict.fromkeys([q[0] - 0.5, p[0] + 0.5, q[0] + 0.5, p[0] - 0.5])
    aside = (0.5 * up * gap, 0.0)
    return [[(m, p[1] + start), (m, q[1] - end)] for m in middles for start in aside for end in aside]


def _is_one_of(circles: np.ndarray, points: Sequence[Point]) -> np.ndarray:
    return np.any(np.all(np.isclose(circles[:, None], np.array(points)), axis=-1), axis=1)


def _distances(points: np.ndarray, a: Point, b: Point, stretch: float) -> np.ndarray:
    """From each point to the straight line between two."""
    scale = np.array([stretch, 1.0])
    start, along = np.array(a) * scale, (np.array(b) - np.array(a)) * scale
    part = np.clip((points * scale - start) @ along / max(float(along @ along), 1e-30), 0.0, 1.0)
    return np.linalg.norm(points * scale - (start + part[:, None] * along), axis=-1)
