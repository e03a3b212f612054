"""A backward pass that was written by hand, marked: each of its numbers against the derived equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, StructureError

from .equations import at_time
from .expressions import TIME, Value
from .following import Backward, Follower, Total
from .lesson import Lesson
from .reading import matrix_shape
from .report import Fault, Report
from .searching import Search
from .text import TextPrinter


class Marker:
    """Judges what a function returned for a lesson."""

    def __init__(self, lesson: Lesson):
        self.lesson = lesson
        self.derivation, self.subject, self.steps = lesson.derivation, lesson.subject, lesson.steps

    def by_path(self, grads: Any) -> dict[str, np.ndarray]:
        """Gradients by their paths."""
        wanted = [leaf.path for leaf in self.subject.params]
        if isinstance(grads, Mapping) and set(grads) <= set(wanted):
            return {path: np.asarray(g) for path, g in grads.items()}
        found = dict(zip(pytree.paths(grads), pytree.leaves(grads), strict=True))
        if not found or set(found) - set(wanted):
            raise StructureError(
                f"check_backward: the function returned gradients of {', '.join(found) or 'nothing'}; the parameters "
                f"are {', '.join(wanted)}"
            )
        return {path: np.asarray(g) for path, g in found.items()}

    def marked(self, grads: dict[str, np.ndarray], adjoints: Mapping[str, Any], rtol: float) -> Report:
        """The report on gradients and adjoints."""
        self._show(set(adjoints))
        printer = TextPrinter(self.derivation.notation)
        recurrences, totals = self._recurrences(set(adjoints)), self._totals()
        known = {v.name: v for v in recurrences if v.role == "adjoint"}
        given, firsts, faults = self._given(adjoints, known, totals)
        fitting = {}
        for leaf in self.subject.params:
            if leaf.path not in totals:
                continue
            total, got = totals[leaf.path], grads.get(leaf.path)
            problem = "was not returned" if got is None else shape_problem(got, total.features)
            if problem:
                faults.append(Fault(printer(total.left), None, problem, total.equation(self.derivation).text()))
            else:
                fitting[leaf.path] = got
        follower, backward = self.follower(recurrences, totals, rtol)
        search = Search(follower, backward, given, {**fitting, **firsts}, self._alike())
        faults.extend(search.faults())
        compared = [*[printer(totals[name].left) for name in fitting], *[printer(known[name]) for name in given]]
        hidden = [name for name in known if name not in given]
        unclear = hidden and any(fault.explanation is None for fault in faults)
        hint = f"Return adjoints too, (grads, {{{hidden[0]!r}: ...}}), and the step is found." if unclear else ""
        return Report(self.subject.name, faults, compared, hint)

    def follower(
        self, recurrences: dict[Value, Any], totals: dict[str, Total], rtol: float
    ) -> tuple[Follower, Backward]:
        """What evaluates the equations, and the equations as they are derived."""
        carried, ends = self.derivation.backward.carried, pytree.leaves(self.lesson.final)
        final = {v: np.reshape(a, v.shape) for v, a in zip(carried, ends, strict=True)}

        def near(expected: Any, got: Any) -> bool:
            scale = max(np.max(np.abs(expected), initial=0.0), 1e-9)
            return bool(np.all(np.abs(np.asarray(expected) - got) <= rtol * scale))

        return Follower(self.derivation, self.lesson.run, self.steps, final, near), Backward(recurrences, totals)

    def _alike(self) -> list[Value]:
        """What may have been taken one for another."""
        subject = self.subject
        held = [*subject.values.values(), *[leaf.symbol for leaf in (*subject.params, *subject.xs)]]
        return [*held, *[v for v in self.derivation.unsubstituted]]

    def _show(self, names: set[str]) -> None:
        """Make equations of their own for adjoints that are written out where they are used."""
        adjoints, values = self.derivation.backward, self.subject.values
        missing = {slot for slot, v in values.items() if v.name in names} - set(adjoints.shown)
        if missing:
            adjoints._read(set(adjoints.shown) | missing)
            self.derivation.adjoints = self.derivation._recurrences()

    def _recurrences(self, names: set[str]) -> dict[Value, Any]:
        derivation = self.derivation
        printed = {e.left: e.right for e in derivation.adjoints}
        found = {v: made for v, made in derivation.unsubstituted.items() if v not in printed} | printed
        for leaf, share in zip(self.subject.xs, derivation.backward.xs, strict=True):
            if share is not None and leaf.symbol.name in names:
                found[leaf.symbol.as_role("adjoint")] = share
        return found

    def _totals(self) -> dict[str, Total]:
        adjoints, subject, found = self.derivation.backward, self.subject, {}
        for leaf, share in zip(subject.params, adjoints.params, strict=True):
            if share is not None:
                ones = (1.0,) * self.steps
                found[leaf.path] = Total(leaf.path, leaf.symbol.as_role("gradient"), share, leaf.turned,
                                         leaf.layout.features, ones)  # fmt: skip
        for leaf, share in zip(subject.state, adjoints.state, strict=True):
            if share is not None:
                name = f"{leaf.symbol.name} at 0"
                left = leaf.symbol.at(0).as_role("adjoint")
                first = at_time(share, TIME, 1)
                found[name] = Total(name, left, first, False, leaf.layout.features, (1.0,))
        return found

    def _given(
        self, adjoints: Mapping[str, Any], known: Mapping[str, Value], totals: Mapping[str, Total]
    ) -> tuple[dict[str, dict[int, Any]], dict[str, Any], list[Fault]]:
        """The adjoints that were returned, as matrices by name and time; those of first states; wrong shapes."""
        layouts, faults = self.lesson.layouts(), []
        found: dict[str, dict[int, Any]] = {}
        firsts: dict[str, Any] = {}
        for name, value in adjoints.items():
            if name not in known:
                raise OptionError(
                    f"check_backward: there are no adjoints of {name!r}; give those of {', '.join(sorted(known))}"
                )
            array, features = np.asarray(value), layouts[name].features
            whole = f"{name} at 0" in totals and array.shape == (self.steps + 1, *features)
            problem = None if whole else shape_problem(array, (self.steps, *features))
            if problem:
                printed = TextPrinter(self.derivation.notation)(known[name])
                faults.append(Fault(printed, None, problem, self.derivation.adjoints[name].text()))
                continue
            rows = array[1:] if whole else array
            found[name] = {t: np.reshape(row, matrix_shape(features)) for t, row in enumerate(rows, 1)}
            if whole:
                firsts[f"{name} at 0"] = array[0]
        return found, firsts, faults


def shape_problem(got: np.ndarray, expected: tuple[int, ...]) -> str | None:
    """What is wrong with the shape of an array, if something is."""
    if got.shape == expected:
        return None
    hint = ", it is the transpose" if got.shape == expected[::-1] else ""
    return f"has the shape {got.shape} instead of {expected}{hint}"
