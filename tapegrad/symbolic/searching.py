"""The search for the mistake that gives the numbers of a wrong backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .equations import Equation, at_time
from .expressions import TIME, Value, replaced, values_in
from .following import Backward, Difference, Follower, Total, key
from .mistakes import Mistake, is_later, mistakes
from .report import Fault
from .text import TextPrinter

MOST = 8  # faults that are looked for
PATIENCE = 2  # searches through all equations that may find nothing


class Guess(NamedTuple):
    """A changed set of equations, and what to say of it."""

    left: Any
    words: str | Mistake
    backward: Backward
    time: int | None = None


class Search:
    """Finds changes of the equations after which they give what was found.

    Parameters
    ----------
    follower : Follower
    backward : Backward
        As derived.
    given : dict of str to dict of int to array
        The adjoints that were found.
    gradients : dict of str to array
    alike : list of Value
        What may have been taken one for another.
    """

    def __init__(
        self, follower: Follower, backward: Backward, given: Mapping[str, Any], gradients: dict[str, Any],
        alike: Sequence[Value],
    ):  # fmt: skip
        self.follower, self.derived, self.given, self.gradients = follower, backward, given, gradients
        self.alike, self.steps = alike, follower.steps
        self.printer = TextPrinter(follower.derivation.notation)

    def faults(self) -> list[Fault]:
        """What is wrong, one after the other."""
        found: list[Fault] = []
        backward, unexplained = self.derived, set[Any]()
        while len(found) < MOST:
            open_ = self._differences(backward, unexplained)
            if not open_:
                break
            first = open_[0]
            best = self._best(first, open_, backward, unexplained)
            before = backward
            if best is None:
                unexplained.add(first.left)
                found.append(self._fault(first, None, first.left, first.time, []))
                left = [d for d in open_ if d.left != first.left]
            else:
                (guess, left), backward = best, best[0].backward
                again = [f for f in found if is_before(first.left, f.left) and guess.left == first.left]
                mended = {d.left for d in open_} - {d.left for d in left} - {guess.left, first.left}
                if again:  # the same mistake once more
                    again[0].mended.append(self._name(first.left))
                else:
                    time, names = self._time(guess, before, first), self._names(first, guess, mended)
                    found.append(self._fault(first, self._text(guess), guess.left, time, names))
            if first.time is not None:
                backward = self._going_on(first.left, left, before, backward, unexplained)
        return found

    def _going_on(
        self, wrong: Value, left: list[Difference], before: Backward, after: Backward, unexplained: set[Any]
    ) -> Backward:
        """The equations to go on with: those before, if the wrong adjoint was returned but is not what was used."""
        given = self.given
        self.given = {name: held for name, held in given.items() if name != wrong.name}
        if len(self._differences(before, unexplained)) < len(left):
            return before
        self.given = given
        return after

    def _text(self, guess: Guess) -> str:
        if isinstance(guess.words, str):
            return guess.words
        return guess.words.text(self.printer) + _at(guess.time, self.steps)

    def _names(self, first: Difference, guess: Guess, mended: set[Any]) -> list[str]:
        names = sorted({self._name(left) for left in mended})
        return names if first.left == guess.left else [self._name(first.left), *names]

    def _differences(self, backward: Backward, unexplained: set[Any]) -> list[Difference]:
        found, _ = self.follower.follow(backward, self.given, self.gradients)
        return [d for d in found if d.left not in unexplained]

    def _best(
        self, first: Difference, open_: list[Difference], backward: Backward, unexplained: set[Any]
    ) -> tuple[Guess, list[Difference]] | None:
        """The guess that mends the first difference and leaves the fewest."""
        best: tuple[Guess, list[Difference]] | None = None
        sole = None if first.time is not None else self._total(first, backward).name
        _, table = self.follower.follow(backward, self.given, self.gradients, sole)
        sums = [left for left in unexplained if left.role == "gradient"]
        suspects = self._suspects({d.left for d in open_} | unexplained) if len(sums) < PATIENCE else []
        for group in (self._at_all_times, self._at_some_times):
            for guess in group(first, backward, suspects):
                if sole is not None and not self._mends(guess, backward, sole, table):
                    continue
                left = self._differences(guess.backward, unexplained)
                if any(d.left == first.left and d.time == first.time for d in left):
                    continue
                if len(left) < len(open_) and (best is None or len(left) < len(best[1])):
                    best = guess, left
                if not left:
                    return best
            if best is not None:
                return best
        return best

    def _mends(self, guess: Guess, backward: Backward, sole: str, table: dict[Any, Any]) -> bool:
        """Whether a guess gives the gradient that was found."""
        if guess.backward._replace(totals=backward.totals) != backward:
            _, table = self.follower.follow(guess.backward, self.given, {}, sole)
        return self.follower.near(self.follower.total(guess.backward.totals[sole], table), self.gradients[sole])

    def _total(self, difference: Difference, backward: Backward) -> Total:
        return next(total for total in backward.totals.values() if total.left == difference.left)

    # ---- guesses ----
    def _at_all_times(self, first: Difference, backward: Backward, suspects: list[Value]) -> Iterator[Guess]:
        if first.time is None:
            yield from self._in_the_sum(self._total(first, backward), backward)
            yield from self._in_the_recurrences(suspects, backward, None)
        else:
            yield from self._in_the_recurrences([first.left], backward, None)
            yield from self._in_the_recurrences(suspects, backward, None)
        yield from self._of_the_whole(first, backward)

    def _at_some_times(self, first: Difference, backward: Backward, suspects: list[Value]) -> Iterator[Guess]:
        if first.time is not None:
            yield from self._in_the_recurrences([first.left], backward, first.time)
            yield self._zero(first.left, first.time, backward)
            return
        for t in dict.fromkeys((self.steps, 1)):
            yield from self._in_the_recurrences(suspects, backward, t)

    def _hidden(self) -> list[Value]:
        """Adjoints that were not returned, and must be judged by what follows from them."""
        return [v for v in self.derived.recurrences if v.role == "carried" or v.name not in self.given]

    def _suspects(self, wrong: set[Any]) -> list[Value]:
        """Those of them on which nothing depends that is right."""
        hidden = {(v.name, v.role): v for v in self._hidden()}
        rights = {left: right for left, right in self.derived.recurrences.items() if left.name in self.given}
        rights.update({t.left: t.share for n, t in self.derived.totals.items() if n in self.gradients})
        cleared: set[Any] = set()
        todo = [right for left, right in rights.items() if left not in wrong]
        while todo:
            for value in values_in(todo.pop()):
                name = value.name, value.role
                if name in hidden and name not in cleared:
                    cleared.add(name)
                    todo.append(self.derived.recurrences[hidden[name]])
        return [v for name, v in hidden.items() if name not in cleared]

    def _in_the_recurrences(self, lefts: Sequence[Value], backward: Backward, t: int | None) -> Iterator[Guess]:
        only = None if t is None else {t}
        ends = any(np.any(a) for a in self.follower.ends.values())
        for left in lefts:
            for mistake in mistakes(backward.recurrences[left], self.alike):
                changed = backward.with_recurrence(left, mistake.right, only)
                yield Guess(left, mistake, changed, t)
                if t is None and ends and mistake.kind in ("term", "later") and is_later(mistake.old):
                    yield Guess(left, mistake, changed._replace(ended=backward.ended | {left}))

    def _zero(self, left: Value, t: int, backward: Backward) -> Guess:
        nothing = 0 * backward.recurrences[left]
        changed = backward.with_recurrence(left, nothing, {t})._replace(final=backward.final and t != self.steps)
        return Guess(left, f"is zero at t = {t}", changed, t)

    def _in_the_sum(self, total: Total, backward: Backward) -> Iterator[Guess]:
        for words, weights in _sums(total.weights):
            yield Guess(total.left, words, backward.with_total(total._replace(weights=weights)))
        yield from self._wrapped(total, backward)
        if len(total.features) == 2 and total.features[0] == total.features[1] != 1:
            changed = backward.with_total(total._replace(turned=not total.turned))
            yield Guess(total.left, "is the transpose of what it should be", changed)
        for mistake in mistakes(total.share, self.alike):
            changed = backward.with_total(total._replace(share=mistake.right))
            yield Guess(total.left, mistake, changed)
        for other in self.derived.totals.values():
            if other.features == total.features and other.name != total.name:
                changed = backward.with_total(other._replace(name=total.name, left=total.left))
                yield Guess(total.left, f"is that of {self.printer.value(_plain(other.left))}", changed)

    def _wrapped(self, total: Total, backward: Backward) -> Iterator[Guess]:
        """An index of -1 at the first step, which is the last element of an array."""
        for value in values_in(total.share):
            if value.time == TIME - 1:
                last, before = value.at(self.steps), value.at(0)
                first = replaced(at_time(total.share, TIME, 1), {before: last})
                words = f"has {self.printer(last)} instead of {self.printer(before)} at t = 1, by an index of -1"
                yield Guess(total.left, words, backward.with_total(total._replace(first=first)))

    def _of_the_whole(self, first: Difference, backward: Backward) -> Iterator[Guess]:
        """Steps that are left out, and the last state forgotten."""
        T = self.steps
        if any(np.any(a) for a in self.follower.ends.values()):
            held = first.left if first.time is not None else self._hidden()[0] if self._hidden() else first.left
            yield Guess(held, "leaves out the derivative of the loss by the last state, dstate",
                        backward._replace(final=False), T)  # fmt: skip
        for t in dict.fromkeys((T, 1)):
            hidden = [v for v in self._hidden() if v.role == "adjoint"]
            if hidden:
                changed = backward._replace(skipped=backward.skipped | {t})
                yield Guess(hidden[0], f"and all behind it leave out t = {t}{_last(t, T)}", changed, t)

    # ---- what is said ----
    def _time(self, guess: Guess, backward: Backward, first: Difference) -> int | None:
        """The first time, going backwards, at which the guess makes a difference."""
        if guess.time is not None or first.time is not None:
            return first.time if guess.time is None else guess.time
        name = next((n for n, total in guess.backward.totals.items() if total.left == guess.left), None)
        if name is not None and guess.left.role != "gradient":
            return None
        before, after = (self.follower.follow(b, self.given, self.gradients)[1] for b in (backward, guess.backward))
        for t in range(self.steps, 0, -1):
            if name is None:
                pair = before[key(guess.left, t)], after[key(guess.left, t)]
            else:
                pair = self._term(backward.totals[name], t, before), self._term(guess.backward.totals[name], t, after)
            if not self.follower.near(*pair):
                return t
        return None

    def _term(self, total: Total, t: int, table: Mapping[Any, Any]) -> Any:
        return total.weights[t - 1] * self.follower.at(total.at(t), t, table)

    def _name(self, left: Any) -> str:
        return self.printer(left)

    def _equation(self, left: Any) -> str:
        derivation = self.follower.derivation
        for total in self.derived.totals.values():
            if total.left == left:
                return total.equation(derivation).text()
        return Equation(left, self.derived.recurrences[left], derivation.notation).text()

    def _fault(self, first: Difference, words: str | None, left: Any, time: int | None, mended: list[str]) -> Fault:
        same = first.left == left
        return Fault(
            quantity=self._name(left), time=time, explanation=words, equation=self._equation(left), mended=mended,
            left=left, difference=float(np.max(np.abs(first.expected - first.got), initial=0.0)),
            expected=first.expected if same else None, got=first.got if same else None,
        )  # fmt: skip


def is_before(left: Any, other: Any) -> bool:
    """Whether one is the adjoint of the first state, and the other that of the same state at t."""
    return isinstance(other, Value) and left.role == other.role == "adjoint" and left == other.at(0)


def _plain(left: Value) -> Value:
    return left.as_role("parameter")


def _at(t: int | None, last: int) -> str:
    return "" if t is None else f" at t = {t}{_last(t, last)} alone"


def _last(t: int, last: int) -> str:
    return " = T" if t == last else ""


def _sums(weights: tuple[float, ...]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Other sums over time than the one over all steps."""
    T = len(weights)
    yield "is zero", (0.0,) * T
    if T == 1:
        return

    def at(*times: int) -> tuple[float, ...]:
        return tuple([float(t in times) for t in range(1, T + 1)])

    everything = range(1, T + 1)
    yield "is the term of t = 1 alone, not the sum over t", at(1)
    yield f"is the term of t = {T} = T alone, not the sum over t", at(T)
    yield f"leaves out the term of t = {T} = T", at(*everything[:-1])
    yield "leaves out the term of t = 1", at(*everything[1:])
    yield "is the mean over t, not the sum", tuple([1.0 / T] * T)
