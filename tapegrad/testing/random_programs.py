"""Random differentiable programs, written in NumPy, as a Hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg

from .strategies import arrays, shapes

LIMIT = 8.0  # values beyond it are drawn together by tanh, so that no program explodes

UNARY = (
    "np.tanh({x})", "np.sin({x})", "np.cos({x})", "tg.sigmoid({x})", "-{x}", "{x} * {x}", "0.3 * {x}", "{x} - 0.5",
    "np.exp(0.2 * {x})", "np.arctan({x})", "np.sqrt(1.0 + {x} ** 2)", "np.log1p({x} * {x})",
    "1.0 / (2.0 + np.cos({x}))",
    "np.logaddexp({x}, 0.0)", "np.arcsinh({x})", "(2.0 + np.sin({x})) ** 1.5", "tg.checkpoint(np.tanh)({x})",
)  # fmt: skip
KINKED = ("np.abs({x})", "np.maximum({x}, 0.1)", "np.clip({x}, -0.7, 0.7)", "np.where({x} > 0, {x}, 0.1 * {x})")
BINARY = (
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / (1.5 + {y} * {y})", "np.logaddexp({x}, {y})",
    "np.arctan2({x}, 2.0 + {y} * {y})", "np.where(np.arange(1) > 0, {x}, {y})", "tg.checkpoint(np.multiply)({x}, {y})",
)  # fmt: skip
KINKED_BINARY = ("np.maximum({x}, {y})", "np.where({x} > {y}, {x} * {y}, {y})")
REDUCED = ("np.sum({x}, axis={axis})", "np.mean({x}, axis={axis})", "np.sum(np.tanh({x}), axis={axis}, keepdims=True)",
           "np.cumsum({x}, axis={axis})", "np.flip({x}, axis={axis})", "tg.logsumexp({x}, axis={axis})",
           "np.concatenate([{x}, {x} * {x}], axis={axis})", "np.expand_dims({x}, {axis})",
           "np.take({x}, [0, -1, 0], axis={axis})", "tg.softmax({x}, axis={axis})")  # fmt: skip
MOVED = ("{x}.T", "np.ravel({x})", "{x}[..., None]", "np.pad({x}, 1)", "{x}[::-1]", "{x}[0]",
         "np.stack([{x}, np.sin({x})])", "np.broadcast_to({x}, (2,) + {x}.shape)")  # fmt: skip
SCANNED = (
    "tg.scan(lambda w, s, v: (np.tanh(0.5 * s + w * v), s * v), 0.7, np.zeros({x}.shape[1:]), {x})[{half}]",
    "tg.vmap(lambda v: np.tanh(v) * np.sum(v))({x})",
)
PRODUCTS = ("0.5 * ({x} @ {y})", "0.5 * np.tensordot({x}, {y}, 1)", "tg.checkpoint(np.matmul)({x}, {y})")


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

    They shrink to short programs with small arguments.

    Parameters
    ----------
    smooth : bool
        Leave out functions with kinks, at which differences say nothing.
    max_length : int
        The largest number of lines.
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
    given = [draw(shapes(max_dims=2, max_side=3)) for _ in range(draw(st.integers(1, 3)))] if inputs is None else inputs
    args = tuple([draw(arrays(tuple(shape), low=-1.5, high=1.5)) for shape in given])
    names = [_name(i) for i in range(len(args))]
    held = dict(zip(names, args, strict=True))
    lines: list[str] = []

    def write(expression: str) -> None:
        name = _name(len(held))
        value = np.asarray(eval(expression, {"np": np, "tg": tg}, held))
        if value.size and np.max(np.abs(value)) > LIMIT:
            expression, value = f"np.tanh({expression})", np.tanh(value)
        held[name] = value
        lines.append(f"{name} = {expression}")

    for _ in range(draw(st.integers(1, max_length))):
        write(draw(_expressions(held, smooth)))
    used = "\n".join(lines)
    result = list(held)[-1]
    for name in [n for n in names if n not in _identifiers(used)]:  # every argument matters
        write(f"{result} + np.sum(np.sin({name}))")
        result = list(held)[-1]
    if scalar and held[result].shape:
        write(f"np.sum({result} * np.cos({result}))")
        result = list(held)[-1]
    return Program(names, lines, result, args)


def _name(number: int) -> str:
    return ascii_lowercase[number] if number < len(ascii_lowercase) else f"v{number}"


def _identifiers(text: str) -> set[str]:
    """The words of a program; attributes keep their dot, so that ``x.T`` does not count as a use of ``T``."""
    return set("".join(c if c.isalnum() or c in "_." else " " for c in text).replace(".", " .").split())


def _expressions(held: dict[str, np.ndarray], smooth: bool) -> st.SearchStrategy[str]:
    """All lines that can stand next: templates with the names of values that fit."""
    return st.one_of(
        _choices(UNARY + (() if smooth else KINKED), held, lambda x: True),
        _choices(BINARY + (() if smooth else KINKED_BINARY), held, _broadcastable),
        _choices(REDUCED, held, lambda x: x.ndim > 0),
        _choices(PRODUCTS, held, lambda x, y: x.ndim == 2 and y.ndim in (1, 2) and x.shape[1] == y.shape[0]),
        _choices(MOVED, held, lambda x: 0 < x.ndim < 4 and x.size < 40),
        _choices(SCANNED, held, lambda x: x.ndim > 0),
    )


def _broadcastable(x: np.ndarray, y: np.ndarray) -> bool:
    try:
        return np.broadcast(x, y).size < 60
    except ValueError:
        return False


def _choices(templates: tuple[str, ...], held: dict[str, np.ndarray], fits: Callable) -> st.SearchStrategy[str]:
    newest = list(held)[::-1]  # the simplest choice is the value just made
    count = fits.__code__.co_argcount
    operands = (
        [(x,) for x in newest if fits(held[x])]
        if count == 1
        else [(x, y) for x in newest for y in newest if fits(held[x], held[y])]
    )
    if not operands:
        return st.nothing()

    @st.composite
    def written(draw: Any) -> str:
        x, *rest = draw(st.sampled_from(operands))
        template = draw(st.sampled_from(templates))
        axis = draw(st.integers(0, max(held[x].ndim - 1, 0))) if "{axis}" in template else 0
        half = draw(st.integers(0, 1)) if "{half}" in template else 0
        return template.format(x=x, y=rest[0] if rest else "", axis=axis, half=half)

    return written()
