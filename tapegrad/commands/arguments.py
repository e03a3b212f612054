"""Argument types: numbers in a range, with messages that say what is wrong."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def integer(low: int, high: int | None = None) -> Callable[[str], int]:
    """An argument type: whole numbers from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        _check_range(value, low, high)
        return value

    return parse


def number(low: float, high: float | None = None, *, above: bool = False) -> Callable[[str], float]:
    """An argument type: finite numbers from ``low``, or above it, to ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text} is not a finite number")
        if above and value == low:
            raise argparse.ArgumentTypeError(f"{text} is not above {low:g}")
        _check_range(value, low, high)
        return value

    return parse


def _check_range(value: float, low: float, high: float | None) -> None:
    if value < low:
        raise argparse.ArgumentTypeError(f"{value} is below {low}")
    if high is not None and value > high:
        raise argparse.ArgumentTypeError(f"{value} is above {high}")
