"""Faults of the recurrent kind: a backend that runs every loop right but for one thing.

They are made from the ports of a loop alone, so that each cell has all of them: for every residual, state, parameter,
sum and pair of gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from tapegrad import backends
from tapegrad.scan_primitive import Step


@dataclass(frozen=True)
class Loop:
    """A loop that a backend is asked to run; ``inner`` is the backend that does it right."""

    inner: Any
    step: Step
    args: tuple
    length: int
    reverse: bool

    def run(self) -> list:
        return list(self.inner.run(self.step, self.args, self.length, self.reverse))

    @property
    def ports(self) -> tuple[int, ...]:
        """How many there are of each kind; of loops over masked sequences there are others."""
        return (self.step.params, self.step.state, self.step.xs, self.step.ys, self.step.sums)

    def given(self, place: int, change: Callable) -> Loop:
        """With one argument changed."""
        return replace(self, args=(*self.args[:place], change(self.args[place]), *self.args[place + 1 :]))

    def exchanged(self, i: int, j: int) -> Loop:
        first, second = self.args[i], self.args[j]
        return self.given(i, lambda _: second).given(j, lambda _: first)

    # ---- where the ports begin
    @property
    def states(self) -> range:
        return range(self.step.params, self.step.params + self.step.state)

    @property
    def xs(self) -> range:
        return range(self.states.stop, self.states.stop + self.step.xs)

    @property
    def ys(self) -> range:
        return range(self.step.state, self.step.state + self.step.ys)

    @property
    def sums(self) -> range:
        return range(self.ys.stop, self.ys.stop + self.step.sums)

    def by_steps(self, between: Callable[[list], list], count: int | None = None) -> tuple[list, list[list]]:
        """The results of the loop with ``between`` done to its states after each of ``count`` steps, and its sums."""
        order = range(self.length)[:: -1 if self.reverse else 1]
        state, ys, sums = list(self.args[self.states.start : self.states.stop]), {}, []
        for t in order[:count]:
            xs = [x[t : t + 1] for x in self.args[self.xs.start :]]
            outs = replace(self, args=(*self.args[: self.states.start], *state, *xs), length=1).run()
            outs = [np.array(out) for out in outs]
            state, ys[t] = between(outs[: self.step.state]), outs[self.ys.start : self.ys.stop]
            sums.append(outs[self.sums.start :])
        rows = [ys.get(t, [np.zeros_like(y) for y in next(iter(ys.values()))]) for t in range(self.length)]
        joined = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
        return [*state, *joined, *[sum(parts) for parts in zip(*sums, strict=True)]], sums


class Broken:
    """A backend that runs loops on another one, with a fault."""

    name = "broken"

    def __init__(self, inner: Any, fault: Callable[[Loop], list]):
        self.inner, self.fault = inner, fault

    def missing(self, step: Step) -> str | None:
        return self.inner.missing(step)

    def run(self, step: Step, args: Any, length: int, reverse: bool) -> tuple:
        return tuple(self.fault(Loop(self.inner, step, tuple(args), length, reverse)))


def plant(patch: Any, inner: str, fault: Callable[[Loop], list]) -> None:
    """Register the backend "broken"."""
    loaded = backends.base._load(inner)
    patch.setattr(backends.base, "_LOADERS", {**backends.base._LOADERS, "broken": lambda: Broken(loaded, fault)})
    patch.setattr(backends.base, "_LOADED", {inner: loaded})


@dataclass(frozen=True)
class Fault:
    """``apply`` runs a loop wrongly; it is planted into the loops with its ``ports`` that go in its direction."""

    kind: str
    what: str
    backward: bool
    ports: tuple[int, ...]
    apply: Callable[[Loop], list]

    def __call__(self, loop: Loop) -> list:
        meant = loop.reverse is self.backward and loop.ports == self.ports
        return self.apply(loop) if meant else loop.run()

    def __str__(self) -> str:
        return f"{self.kind}, {self.what}"


def changed(place: int, change: Callable) -> Callable[[Loop], list]:
    """Run it, and change one result."""

    def apply(loop: Loop) -> list:
        outs = loop.run()
        outs[place] = change(outs[place])
        return outs

    return apply


def swapped(i: int, j: int) -> Callable[[Loop], list]:
    """Run it, and exchange two results."""

    def apply(loop: Loop) -> list:
        outs = loop.run()
        outs[i], outs[j] = outs[j], outs[i]
        return outs

    return apply


def dropped(k: int) -> Callable[[Loop], list]:
    """One state does not go from one step to the next."""
    return lambda loop: loop.by_steps(lambda s: [*s[:k], np.zeros_like(s[k]), *s[k + 1 :]])[0]


def one_step_alone(place: int, which: int) -> Callable[[Loop], list]:
    """A sum over time has one of its terms alone."""

    def apply(loop: Loop) -> list:
        outs, sums = loop.by_steps(lambda s: s)
        outs[place] = sums[which][place - loop.sums.start]
        return outs

    return apply


def alike(values: Any, places: Any) -> Iterator[tuple[int, int]]:
    """The pairs of places at which there are arrays of one shape, as those of two gates are."""
    for i, j in combinations(places, 2):
        if np.shape(values[i]) == np.shape(values[j]) and values[i].dtype == values[j].dtype:
            yield i, j


ROLLS = {"t-1": lambda a: np.roll(a, 1, 0), "t+1": lambda a: np.roll(a, -1, 0)}


def forward_faults(loop: Loop, outs: list) -> Iterator[Fault]:
    """The faults of a loop that goes forward in time, for every port of it."""

    def fault(kind: str, what: str, apply: Callable) -> Fault:
        return Fault(f"forward: {kind}", what, False, loop.ports, apply)

    for i, j in alike(loop.args, range(loop.step.params)):
        yield fault("swapped gates", f"parameters {i} and {j}", lambda loop, i=i, j=j: loop.exchanged(i, j).run())
    for i, j in alike(loop.args, loop.states):
        yield fault("swapped states", f"{i} and {j}", lambda loop, i=i, j=j: loop.exchanged(i, j).run())
    for name, roll in ROLLS.items():
        for k in loop.ys:
            yield fault("off by one in time", f"output {k} of {name}", changed(k, roll))
        for k in loop.xs:
            yield fault("off by one in time", f"input {k} of {name}", lambda loop, k=k, r=roll: loop.given(k, r).run())
    for k in range(loop.step.state):
        yield fault("forgotten state", str(k), dropped(k))
    yield fault("a step too few", "the last one", lambda loop: loop.by_steps(lambda s: s, loop.length - 1)[0])
    yield fault("wrong direction", "of the loop", lambda loop: replace(loop, reverse=not loop.reverse).run())


def backward_faults(loop: Loop, outs: list) -> Iterator[Fault]:
    """The faults of a loop that goes backward in time."""

    def fault(kind: str, what: str, apply: Callable) -> Fault:
        return Fault(f"backward: {kind}", what, True, loop.ports, apply)

    for i, j in alike(loop.args, range(loop.step.params)):
        yield fault("swapped gates", f"parameters {i} and {j}", lambda loop, i=i, j=j: loop.exchanged(i, j).run())
    for i, j in alike(outs, loop.sums):
        yield fault("swapped gates", f"gradients {i} and {j}", swapped(i, j))
    for i, j in alike(outs, range(loop.step.state)):
        yield fault("swapped states", f"{i} and {j}", swapped(i, j))
    for name, roll in ROLLS.items():
        for k in loop.xs:
            what = "residual" if k in loop.step.kept else "input"
            yield fault("off by one in time", f"{what} {k} of {name}",
                        lambda loop, k=k, r=roll: loop.given(k, r).run())  # fmt: skip
        for k in loop.ys:
            yield fault("off by one in time", f"gradient {k} of {name}", changed(k, roll))
    for k in range(loop.step.state):
        yield fault("forgotten state path", str(k), dropped(k))
        yield fault("lost gradient of an initial state", str(k), changed(k, lambda a: 0.0 * a))
        yield fault("lost cotangent of a final state", str(k),
                    lambda loop, k=loop.states[k]: loop.given(k, lambda a: 0.0 * a).run())  # fmt: skip
    for k in loop.sums:
        for which, name in ((0, "last"), (-1, "first")):
            yield fault("forgotten sum over time", f"{k}, the {name} step alone", one_step_alone(k, which))
        yield fault("forgotten sum over time", f"{k}, the mean", changed(k, lambda a, n=loop.length: a / n))
        yield fault("0.1 % off", f"sum {k}", changed(k, lambda a: 1.001 * a))
    yield fault("a step too few", "the first one", lambda loop: loop.by_steps(lambda s: s, loop.length - 1)[0])
    yield fault("wrong direction", "of the loop", lambda loop: replace(loop, reverse=not loop.reverse).run())


def masks(loop: Loop) -> Iterator[Fault]:
    """The faults of a backward loop that reads truth values, as lengths and resets are."""
    for k in loop.xs:
        if loop.args[k].dtype == np.bool_:
            for name, change in (("all true", np.ones_like), ("all false", np.zeros_like), *ROLLS.items()):
                yield Fault("backward: ignored mask", f"{k}, {name}", True, loop.ports,
                            lambda loop, k=k, c=change: loop.given(k, c).run())  # fmt: skip


def seen(patch: Any, inner: str, run: Callable[[], Any]) -> dict[bool, tuple[Loop, list]]:
    """The first loop in each direction that ``run`` asks the backend "broken" for, with its results."""
    found: dict[bool, tuple[Loop, list]] = {}

    def watch(loop: Loop) -> list:
        outs = loop.run()
        found.setdefault(loop.reverse, (loop, outs))
        return outs

    plant(patch, inner, watch)
    run()
    return found
