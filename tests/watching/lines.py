"""What detect_anomaly says, and the lines that it should name."""

from pathlib import Path

import pytest

import tapegrad as tg
from tapegrad.errors import NonFiniteError


def line_of(file, mark):
    """The number and the text of the line of a file that ends in a mark."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return found


def said(f, *args):
    """What the error says that detect_anomaly raises."""
    with tg.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        f(*args)
    return str(caught.value)
