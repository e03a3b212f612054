"""The oracles of check_cell, held against each other: what is compared, and how far numbers may be apart."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TapegradError
from .agreement import Gap, largest, worst_gap
from .cell_oracles import Oracle
from .cell_problem import CellProblem
from .cell_readings import GRADIENT, TANGENT, VALUES, Key, Reading, Readings, second_on_tape, tape
from .cell_report import SECOND, Mismatch, Pair
from .flat import is_floating

UNITS = 1000.0  # of rounding, beside the largest number of an array, that two correct computations may differ by
AMPLIFIED = 100.0  # times what the numbers move by when the data move by one unit of rounding
SMALL = 0.01  # arrays this much smaller than the largest of their kind are held to the rounding of that one
DOUBTS = 10.0  # times the estimated error of a difference
ROUGH = 1e-3  # what is known less well than this is not judged


class Comparison:
    """All pairs of oracles, array by array.

    Parameters
    ----------
    problems : list of CellProblem
        The plain one, and the masked ones.
    oracles : dict of str to Oracle
    readings : dict of str to Readings
    order : int
        1 without second derivatives.

    Attributes
    ----------
    pairs : list of Pair
    """

    def __init__(
        self, problems: Sequence[CellProblem], oracles: dict[str, Oracle], readings: dict[str, Readings], order: int
    ):
        self.problem, self.readings = problems[0], readings
        self.oracles = oracles
        self.noise = _noise(problems, order)
        self.kinds = {name: _by_kind(found) for name, found in readings.items()}
        self.gaps: dict[Key, dict[tuple[str, str], tuple[Gap, float, int]]] = {}
        self.odd: dict[Key, dict[str, str]] = {}
        self._check_forms()
        self.pairs = [self._pair(*names) for names in itertools.combinations(readings, 2)]

    # ---- shapes and dtypes ----
    def _check_forms(self) -> None:
        """A derivative has the shape and dtype of what it is a derivative of."""
        for name, found in self.readings.items():
            for key, reading in found.items():
                value, wanted = np.asarray(reading.value), self._wanted(key)
                fits = reading.places is not None or value.shape == wanted.shape
                if not _is_value(key[0]) and self.oracles[name].typed:
                    fits = fits and value.dtype == wanted.dtype
                if not fits:
                    self.odd.setdefault(key, {})[name] = f"{value.dtype}{list(value.shape)}"

    def _wanted(self, key: Key) -> np.ndarray:
        return np.asarray((self.problem.leaves if _is_of_leaf(key[0]) else self.problem.weights)[key[1]])

    # ---- numbers ----
    def _pair(self, first: str, second: str) -> Pair:
        count, rough, worst, wrong = 0, 0, 0.0, 0
        for key, one in self.readings[first].items():
            two = self.readings[second].get(key)
            if two is None or self.odd.get(key, {}).keys() & {first, second}:
                wrong += two is not None
                continue
            a, b, doubt = _aligned(one, two)
            allowed, scale = self._allowed(key, (first, second), a, b, doubt)
            gap = worst_gap(a, b, allowed)
            if gap is not None:
                wrong += 1
                self.gaps.setdefault(key, {})[first, second] = gap, _at(allowed, gap.index), a.size
            judged = np.broadcast_to(allowed <= ROUGH * scale, a.shape) if scale else np.ones(a.shape, bool)
            count, rough = count + int(judged.sum()), rough + int((~judged).sum())
            if scale and judged.any():
                apart = np.abs(np.asarray(a, np.float64) - b)[judged]
                worst = max(worst, float(np.max(np.where(np.isnan(apart), np.inf, apart))) / scale)
        return Pair(first, second, count, rough, worst, wrong)

    def _allowed(self, key: Key, names: tuple[str, str], a: Any, b: Any, doubt: Any) -> tuple[Any, float]:
        """What two arrays may differ by, and the size of their numbers."""
        if not is_floating(self._wanted(key)):
            return np.zeros(np.shape(a)), max(largest(a), largest(b))
        eps = max(np.finfo(np.float64 if self.oracles[name].exact else self._wanted(key).dtype).eps for name in names)
        scale = min(largest(a), largest(b)) + SMALL * min(self.kinds[name][key[0]] for name in names)
        noise = min(AMPLIFIED * self.noise.get(key, 0.0), ROUGH * scale / 2)  # else noise would excuse anything
        return UNITS * eps * scale + noise + DOUBTS * doubt, scale

    # ---- in words ----
    def mismatches(self) -> list[Mismatch]:
        """The arrays about which there is a disagreement: results first, masked ones later, then the worst first."""
        found = [self._odd(key, forms) for key, forms in self.odd.items()]
        found += [self._wrong(key, gaps) for key, gaps in self.gaps.items()]
        return sorted(found, key=_order)

    def _name(self, key: Key) -> str:
        return self.problem.names[key[1]] if _is_of_leaf(key[0]) else self.problem.results[key[1]]

    def _odd(self, key: Key, forms: dict[str, str]) -> Mismatch:
        wanted = self._wanted(key)
        others = [name for name, found in self.readings.items() if key in found and name not in forms]
        right = f"{wanted.dtype}{list(wanted.shape)}"
        numbers = {name: forms.get(name, right) for name in [*others, *forms]}
        groups = sorted(filter(None, [others, list(forms)]), key=len, reverse=True)
        what = f"shape or dtype of the {key[0]}"
        return Mismatch(what, self._name(key), (), numbers, groups, float("inf"), 0.0, 0, 0)

    def _wrong(self, key: Key, gaps: dict[tuple[str, str], tuple[Gap, float, int]]) -> Mismatch:
        names, (gap, allowed, size) = max(gaps.items(), key=lambda item: item[1][0].relative)
        index = self._element(key, names, gap.index)
        there = {name: self._number(key, found[key], index) for name, found in self.readings.items() if key in found}
        numbers = {name: number for name, number in there.items() if number is not None}
        groups = self._groups(key, gaps)
        return Mismatch(key[0], self._name(key), index, numbers, groups, gap.relative, allowed, gap.count, size)

    def _element(self, key: Key, names: tuple[str, str], index: tuple[int, ...]) -> tuple[int, ...]:
        """The element of the array, from that of the choice that was compared."""
        places = next((r.places for r in (self.readings[n][key] for n in names) if r.places is not None), None)
        if places is None:
            return index
        return tuple(map(int, np.unravel_index(places[index[0]], self._wanted(key).shape)))

    def _number(self, key: Key, reading: Reading, index: tuple[int, ...]) -> float | None:
        """What an oracle has at an element; None for an element that it did not look at."""
        value = np.asarray(reading.value)
        if reading.places is None:
            return float(value[index])
        place = int(np.ravel_multi_index(index, self._wanted(key).shape)) if index else 0
        at = int(np.searchsorted(reading.places, place))
        return float(value[at]) if at < len(value) and reading.places[at] == place else None

    def _groups(self, key: Key, gaps: dict[tuple[str, str], Any]) -> list[list[str]]:
        """Oracles that agree about an array, put together; the largest group first."""
        groups: list[list[str]] = []
        for name in [name for name, found in self.readings.items() if key in found]:
            fitting = [group for group in groups if not any((other, name) in gaps for other in group)]
            if fitting:
                fitting[0].append(name)
            else:
                groups.append([name])
        return sorted(groups, key=len, reverse=True)


def _aligned(one: Reading, two: Reading) -> tuple[np.ndarray, np.ndarray, Any]:
    """Two readings on the elements that both have, and how far they may be off together."""
    places = one.places if one.places is not None else two.places
    arrays = [
        np.asarray(r.value) if places is None or r.places is not None else np.asarray(r.value).reshape(-1)[places]
        for r in (one, two)
    ]
    return arrays[0], arrays[1], sum(r.doubt for r in (one, two) if r.doubt is not None)


def _at(allowed: Any, index: tuple[int, ...]) -> float:
    return float(allowed[index] if np.ndim(allowed) else allowed)


def _by_kind(found: Readings) -> dict[str, float]:
    """The largest number of each kind."""
    kinds: dict[str, float] = {}
    for (kind, _), reading in found.items():
        kinds[kind] = max(kinds.get(kind, 0.0), largest(reading.value))
    return kinds


def _noise(problems: Sequence[CellProblem], order: int) -> dict[Key, float]:
    """How far each array moves by rounding, in two ways of which the larger counts.

    Once every number of the data moves by one unit, up or down: that is the condition of what is computed. And once all
    is computed in single precision, whose error is scaled: what cancels on the way to a result leaves errors that
    the result does not show.
    """
    rng = np.random.default_rng(0)
    moved: dict[Key, float] = {}
    with np.errstate(all="ignore"):
        for problem in problems:
            there = [
                np.asarray(leaf * (1 + np.finfo(leaf.dtype).eps * rng.choice([-1.0, 1.0], leaf.shape)), leaf.dtype)
                for leaf in problem.point
            ]
            moved.update(_apart(_on_tape(problem, problem.point, order), _on_tape(problem, there, order)))
            for key, error in _single(problem, order).items():
                moved[key] = max(moved.get(key, 0.0), error * float(np.finfo(problem.dtype).eps / SINGLE.eps))
    return moved


SINGLE = np.finfo(np.float32)


def _single(problem: CellProblem, order: int) -> dict[Key, float]:
    """The errors of single precision; none where a step takes no such numbers."""
    rounded = problem.cast(np.float32)
    try:
        exact = rounded.cast(np.float64)
        return _apart(_on_tape(rounded, rounded.point, order), _on_tape(exact, exact.point, order))
    except Exception:  # what a step does with numbers that were not asked for
        return {}


def _on_tape(problem: CellProblem, point: list[Any], order: int) -> Readings:
    found = tape(problem, point)
    if order > 1 and problem.masks is None:
        with contextlib.suppress(TapegradError):  # a rule of the user's own may allow one order only
            found.update(second_on_tape(problem, point))
    return found


def _apart(here: Readings, there: Readings) -> dict[Key, float]:
    """How far apart the arrays are; without those that are not finite, of which nothing is known."""
    found = {
        key: largest(np.asarray(there[key].value, np.float64) - reading.value)
        for key, reading in here.items() if key in there and is_floating(np.asarray(reading.value))
    }  # fmt: skip
    return {key: apart for key, apart in found.items() if np.isfinite(apart)}


def _is_of_leaf(kind: str) -> bool:
    """Whether a kind numbers what is differentiated by, and not the results."""
    return kind.endswith((GRADIENT, SECOND))


def _is_value(kind: str) -> bool:
    return kind.endswith(VALUES)


def _order(mismatch: Mismatch) -> tuple:
    what = mismatch.what
    later = "masked" in what, what.endswith(SECOND)
    return *later, not _is_value(what), what.endswith(TANGENT), -mismatch.relative
