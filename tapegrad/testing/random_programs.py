"""Random differentiable programs, written in NumPy, as a Hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg

from .program_templates import BINARY, UNARY
from .strategies import shapes

LIMIT = 8.0  # values beyond it are drawn together by tanh, so that no program explodes


class Program:
    """A straight-line program over arrays.

    Attributes
    ----------
    source : str
        Its text, a function definition.
    args : tuple of ndarray
        Arguments that it was drawn with; on all of them its values stay moderate.
    """

    def __init__(self, inputs: list[str], lines: list[str], result: str, args: tuple):
        body = "".join(f"    {line}\n" for line in lines)
        self.source = f"def program({', '.join(inputs)}):\n{body}    return {result}\n"
        self.args = args
        self.__name__ = "program"
        held: dict[str, Any] = {"np": np, "tg": tg}
        exec(self.source, held)
        self._function: Callable = held["program"]

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __repr__(self) -> str:
        with np.printoptions(floatmode="unique"):
            return f"<random program\n{self.source}args = {self.args!r}>"


@st.composite
def programs(
    draw: Any, *, smooth: bool = True, max_length: int = 6, inputs: Any = None, scalar: bool = False
) -> Program:
    """Random programs of elementwise functions, products, reductions, indexing, ``checkpoint``, ``vmap`` and ``scan``.

    They shrink to short programs with few and small arguments.

    Parameters
    ----------
    smooth : bool
        Leave out functions with kinks, at which differences say nothing.
    max_length : int
        The largest number of lines, without those that bring in arguments which are not used.
    inputs : sequence of shapes, optional
        The shapes of the arguments; by default one to three drawn ones.
    scalar : bool
        Let the result be a scalar, for ``grad``.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tapegrad.testing import check_grads
    >>> @given(programs(max_length=3))
    ... def test_derivatives(program):
    ...     check_grads(program, program.args, order=1)
    """
    given = draw(st.lists(shapes(max_dims=2, max_side=3), min_size=1, max_size=3)) if inputs is None else inputs
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    writer = _Writer([rng.uniform(-1.5, 1.5, shape) for shape in given], smooth)
    # What a number chooses depends on what fits at its place: so lines can be left out, and the rest still stands.
    number = st.integers(0, 2**16 - 1)
    for choices in draw(st.lists(st.tuples(number, number, number), min_size=1, max_size=max_length)):
        writer.next(*choices)
    return writer.finished(scalar)


class _Writer:
    """A program being written, with the value of each line, which decides what can follow."""

    def __init__(self, args: list[np.ndarray], smooth: bool):
        self.args = tuple([np.asarray(x) for x in args])
        self.names = [_name(i) for i in range(len(args))]
        self.held = dict(zip(self.names, self.args, strict=True))
        self.lines: list[str] = []
        self.families, self.pairings = (
            [(f.templates if smooth else f.templates + f.kinked, f.fits) for f in table] for table in (UNARY, BINARY)
        )

    def next(self, template: int, operands: int, detail: int) -> None:
        """Write one line: three numbers choose among the templates, the values that fit, and the axes."""
        newest = list(self.held)[::-1]  # the simplest choice is the value just made
        fitting = self._fitting(self.families, [(x,) for x in newest])
        fitting += self._fitting(self.pairings, [(x, y) for x in newest for y in newest])
        possible = [(templates, found) for templates, found in fitting if found]
        templates, found = possible[template % len(possible)]
        text = templates[template // len(possible) % len(templates)]
        names = found[operands % len(found)]
        axis = detail % max(self.held[names[0]].ndim, 1)
        self.write(text.format(x=names[0], y=names[-1], axis=axis, half=detail % 2))

    def _fitting(self, families: list, tuples: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], list]]:
        """The templates of each family, with the names of values that they take."""
        return [
            (templates, [names for names in tuples if fits(*[self.held[name] for name in names])])
            for templates, fits in families
        ]

    def write(self, expression: str) -> None:
        """Append a line."""
        value = np.asarray(eval(expression, {"np": np, "tg": tg}, self.held))
        if value.size and np.max(np.abs(value)) > LIMIT:
            expression, value = f"np.tanh({expression})", np.tanh(value)
        name = _name(len(self.held))
        self.held[name] = value
        self.lines.append(f"{name} = {expression}")

    def finished(self, scalar: bool) -> Program:
        """The program, with what is needed for each argument to matter and for the result to be a scalar."""
        used = _identifiers("\n".join(self.lines))
        for name in [n for n in self.names if n not in used]:
            self.write(f"{self.result} + np.sum(np.sin({name}))")
        if scalar and self.held[self.result].shape:
            self.write(f"np.sum({self.result} * np.cos({self.result}))")
        return Program(self.names, self.lines, self.result, self.args)

    @property
    def result(self) -> str:
        return list(self.held)[-1]


def _name(number: int) -> str:
    return ascii_lowercase[number] if number < len(ascii_lowercase) else f"v{number}"


def _identifiers(text: str) -> set[str]:
    """The words of a program; attributes keep their dot, so that ``x.T`` does not count as a use of ``T``."""
    return set("".join(c if c.isalnum() or c in "_." else " " for c in text).replace(".", " .").split())
