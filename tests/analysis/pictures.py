"""Whether anything in a drawn cell lies on anything else."""

from unittest.mock import patch

import numpy as np
from matplotlib.patches import Circle

from tapegrad.analysis import draw
from tapegrad.analysis.pictures import RADIUS, Picture


def distances(points, line):
    """From each point to a line through points."""
    a, b = line[:-1], line[1:]
    along = b - a
    length = np.maximum(np.sum(along**2, axis=-1), 1e-30)
    part = np.clip(np.sum((points[:, None] - a) * along, axis=-1) / length, 0, 1)
    return np.min(np.linalg.norm(points[:, None] - (a + part[..., None] * along), axis=-1), axis=1)


def assert_nothing_overlaps(cell, steps):
    """Circles keep apart, no arrow goes through a circle that it does not join, and all is inside of the axes."""
    lines = []
    with patch.object(Picture, "_path", lambda self, points: lines.append(points)):
        ax = draw(cell, steps)
    centres = np.array([circle.center for circle in ax.patches if isinstance(circle, Circle)])
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1) + 9 * np.eye(len(centres))
    assert apart.min() > 2.5 * RADIUS
    for line in lines:
        near = distances(centres, line)
        assert np.sum(near < 1.02 * RADIUS) <= 2  # its own ends
        assert near.min() > 0.98 * RADIUS
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    everything = np.concatenate([centres + RADIUS, centres - RADIUS, *lines])
    assert np.all((everything > [left, low]) & (everything < [right, high]))
