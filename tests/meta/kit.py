"""The kit, as it is held against a mutant: the checkers on a row's calls, its special points, and its properties.

It comes in stages, the quick checks first. What passes them meets the tests of special points, those of the family
too, and every property of ``tests/primitives``, on draws that Hypothesis made once and that are then used again, so
that one mutant costs milliseconds.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from inspect import signature
from itertools import product
from typing import Any

import numpy as np

from tapegrad import loops, structure
from tapegrad.backends import reference
from tapegrad.caches import Bounded
from tapegrad.testing import check_grads
from tests.meta.faults import examples
from tests.meta.recorded import Replayed, collected, hold, of_property
from tests.primitives import test_linalg, test_points, test_ties
from tests.primitives.flat import FlatCall, check_vmap
from tests.primitives.properties import (
    Property,
    mixes,
    nothing_is_computed_for_what_is_not_asked,
    properties_of,
    single_precision_stays_single,
    some_of_the_arguments_give_their_part_of_the_derivative,
    values_and_dtypes_are_those_of_numpy,
)
from tests.specs import PRIMITIVES, SMOOTH, SPECS

MODES = {"pull": "rev", "augment": "rev", "push": "fwd", "push_with": "fwd"}
MANY = 4  # rows that are looked at closely, where more than that go through one function
SECONDS = 2.0  # of processor time, after which a check counts as one that does not end
DIFFERENTIABLE = [row.name for row in SMOOTH]


class Endless(Exception):
    """A mutant that goes on for ever."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise after some processor time; a loop that waits for a fixpoint may never reach it."""

    def stop(*_: Any) -> None:
        raise Endless

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def forget(patch: Any) -> None:
    """Tapes and programs of a process that has just started."""
    patch.setattr(structure, "_seen", Bounded())
    patch.setattr(loops, "_tapes", Bounded())
    patch.setattr(reference, "_PROGRAMS", Bounded())


def fails(check: Callable[[], Any]) -> bool:
    """Whether a check fails, in whatever way."""
    try:
        with limited():
            check()
    except Exception:  # a mutant may raise anything
        return True
    return False


class Checks:
    """Whether one of several checks fails. The one that caught the last mutant comes first for the next."""

    def __init__(self, checks: Iterable[Callable[[], Any]], warnings: bool = True):
        self.checks, self.warnings = list(checks), warnings

    def __call__(self) -> bool:
        # A broken rule may divide by zero. That it warns is not enough for the quick checks; for others it is.
        with nullcontext() if self.warnings else np.errstate(all="ignore"):
            for place, check in enumerate(self.checks):
                if fails(check):
                    self.checks.insert(0, self.checks.pop(place))
                    return True
        return False


def quick(rows: dict[str, set[str]]) -> Checks:
    """A few calls and the points of some rows, in the roles in which they reach what is to be broken."""
    return Checks(_quick(rows), warnings=False)


def stages(rows: dict[str, set[str]]) -> Iterator[Checks]:
    """All checks of the rows, cheap ones first. Each stage must be taken while nothing is broken: it draws then."""
    yield quick(rows)
    yield Checks(check for row, roles in _some(rows) for check in _in_every_dtype(row, roles))
    yield Checks(check for row, roles in rows.items() for check in _on_row(row, roles))
    for row, roles in _some(rows):
        yield Checks(_on_calls(row, roles, general_examples(row)[2 : 24 if len(rows) > MANY else None]))
    yield Checks(check for row, roles in _some(rows) for check in _drawn_points(row, roles))
    yield Checks(check for family in sorted({PRIMITIVES[row].family for row in rows}) for check in special(family))
    for row, roles in _some(rows):
        for made in properties_of(SPECS[row]):
            yield Checks(_property(made, row, roles))


def _quick(rows: dict[str, set[str]]) -> Iterator[Callable[[], Any]]:
    for row, roles in _some(rows):
        yield from _on_calls(row, roles, general_examples(row)[:3])
    for row, roles in _some(rows):
        yield from _at_points(row, roles)


def _on_row(row: str, roles: set[str]) -> Iterator[Callable[[], Any]]:
    yield from _on_calls(row, roles, general_examples(row)[:2])
    yield from _at_points(row, roles)


def _some(rows: dict[str, set[str]]) -> list[tuple[str, set[str]]]:
    """Rows from the whole list."""
    return list(rows.items())[:: -(-len(rows) // MANY)]


@cache
def general_examples(row: str) -> list[Any]:
    """The calls of a row, those first that have most numbers in most different shapes."""

    def worth(call: Any) -> tuple[int, int]:
        leaves = FlatCall(SPECS[row], call).leaves
        return len({np.shape(x) for x in leaves}), min(sum(np.size(x) for x in leaves), 20)

    return sorted(examples(row), key=worth, reverse=True)


def _on_calls(row: str, roles: set[str], calls: list[Any]) -> Iterator[Callable[[], Any]]:
    modes = sorted({MODES[role] for role in roles if role in MODES})
    for call in calls:
        if modes and row in DIFFERENTIABLE:
            yield lambda call=call: _check_call(row, call, modes)
        if "batch" in roles:
            yield lambda call=call: _check_batch(row, call)


def _check_call(row: str, call: Any, modes: list[str]) -> None:
    flat = FlatCall(SPECS[row], call)
    check_grads(flat, flat.leaves, modes=modes, order=1)


def _check_batch(row: str, call: Any) -> None:
    flat = FlatCall(SPECS[row], call)
    arrays = [isinstance(x, np.ndarray) for x in flat.leaves]
    for flags in list(product(*[(True, False) if a else (False,) for a in arrays]))[:8]:
        if any(flags):
            check_vmap(flat, flat, flags, 3, 0)


def _at_points(row: str, roles: set[str]) -> Iterator[Callable[[], Any]]:
    if roles & set(MODES):
        for point, dtype in product(SPECS[row].points, (np.float64, np.float32)):
            yield lambda point=point, dtype=dtype: test_points.test_the_derivative_at_special_points(
                SPECS[row], point, dtype)  # fmt: skip


# ---- the tests of tests/primitives ----
def _in_every_dtype(row: str, roles: set[str]) -> Iterator[Callable[[], Any]]:
    if roles & set(MODES):
        spec = SPECS[row]
        by_dtype = [p for p in properties_of(spec) if p.holds in (values_and_dtypes_are_those_of_numpy,
                                                                  some_of_the_arguments_give_their_part_of_the_derivative)]
        alone = [p for p in properties_of(spec) if p.holds in (single_precision_stays_single,
                                                               nothing_is_computed_for_what_is_not_asked)]
        call = general_examples(row)[0]
        for made in alone:
            yield partial(hold, made, row, [call])
        for mix in mixes(spec, FlatCall(spec, call)):
            for made in by_dtype:
                yield partial(hold, made, row, [call, mix, 1])


def _property(made: Property, row: str, roles: set[str]) -> Iterator[Callable[[], Any]]:
    if roles != {"batch"} or "vmap" in str(made) or "batch" in str(made):
        for draws in of_property(made, row):
            yield partial(hold, made, row, draws)


def _drawn_points(row: str, roles: set[str]) -> Iterator[Callable[[], Any]]:
    for test in _tests():
        if roles == {"batch"} and "vmap" not in test.__name__ and "batch" not in test.__name__:
            continue
        for case, fixed in enumerate(_cases(test, row)):
            if not hasattr(test, "hypothesis"):
                yield partial(test, **fixed)
                continue
            for draws in _recorded(test, row, case):
                yield lambda test=test, fixed=fixed, draws=draws: _inner(test)(**fixed, data=Replayed(draws))


def special(family: str) -> Iterator[Callable[[], Any]]:
    """The tests that take no row: those of all families, and those of one."""
    for module in (*FAMILIES.get(family, ()), test_points):
        for name, test in vars(module).items():
            if name.startswith("test_") and getattr(test, "__module__", "") == module.__name__:
                for fixed in _parameters(test):
                    if set(signature(test).parameters) == set(fixed):
                        yield partial(test, **fixed)


FAMILIES = {"linalg": (test_ties, test_linalg)}


def _parameters(test: Any) -> Iterator[dict[str, Any]]:
    """What a test is called with; nothing for one that takes rows."""
    choices = []
    for mark in getattr(test, "pytestmark", []):
        names, values = mark.args
        names = [names] if isinstance(names, str) else list(names)
        if {"row", "spec"} & set(names):
            return
        choices.append([list(zip(names, [value] if len(names) == 1 else value, strict=True)) for value in values])
    for chosen in product(*choices):
        yield dict(pair for pairs in chosen for pair in pairs)


def _inner(test: Any) -> Callable:
    return test.hypothesis.inner_test


def _tests() -> list[Any]:
    """Every test that is held for a row."""
    return [
        value for name, value in vars(test_points).items()
        if name.startswith("test_") and getattr(value, "pytestmark", [])
        and value.pytestmark[-1].args[0] in ("row", "spec")
    ]  # fmt: skip


def _cases(test: Any, row: str) -> list[dict[str, Any]]:
    """The values of a test's parameters, for one row."""
    choices = []
    for mark in test.pytestmark:
        name, values = mark.args[0], list(mark.args[1])
        rows = [value for value in values if value is SPECS[row]]
        isa_row = any(getattr(value, "calls", None) is not None for value in values)
        choices.append([(name, value) for value in (rows if isa_row else values)])
    return [dict(chosen) for chosen in product(*choices)]


@cache
def _recorded(test: Any, row: str, case: int) -> list[list]:
    """What a test of drawn points draws."""
    return collected(lambda data: _inner(test)(**_cases(test, row)[case], data=data))
