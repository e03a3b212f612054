"""Random recurrent cells, written as source text, as a Hypothesis strategy."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

SQUASHED = ("np.tanh({})", "np.sin({})", "np.arctan({})", "tg.softplus({}) - 1.0", "0.5 * {}", "np.cos({})")
KINKED = ("tg.relu({})", "np.clip({}, -1.0, 1.0)")
UPDATES = (  # of a state s by a gate g and a candidate n
    "{n}",
    "{g} * {s} + (1.0 - {g}) * {n}",
    "0.9 * {s} + {g} * {n}",
    "np.tanh({s} + {g} * {n})",
    "{s} - 0.1 * {g} * {s} * {n}",
    "np.concatenate([{n}[:, 1:], {s}[:, :1] * {g}[:, :1]], axis=1)",
)
OUTPUTS = ("{s}", "{g} * np.tanh({s})", "{s} - np.mean({s}, axis=-1, keepdims=True)", "tg.softmax({s})")

# A memory M has a row for each of its slots: k is an address of slots, v a value, r what was read before.
ADDRESSES = ("tg.softmax({})", "np.tanh({})")
READS = (
    "np.einsum('bi,bij->bj', {k}, {M})",
    "np.sum({k}[:, :, None] * {M}, axis=1)",
    "({k}[:, None, :] @ {M})[:, 0]",
    "np.einsum('bi,bij->bj', tg.softmax(np.einsum('bij,bj->bi', {M}, {v})), {M})",
)
WRITES = (
    "0.9 * {M} + np.einsum('bi,bj->bij', {k}, {v})",
    "0.9 * {M} + 0.5 * {k}[:, :, None] * {v}[:, None, :]",
    "{M} + 0.5 * {k}[:, :, None] * ({v} - {r})[:, None, :]",
    "(1.0 - 0.5 * {k}[:, :, None] ** 2) * {M} + np.einsum('bi,bj->bij', {k}, {v})",
    "np.tanh({M} + np.einsum('bi,bj->bij', {k}, {v}))",
)

TEMPLATE = """class RandomCell(Cell):
    input_size: int
    hidden_size: int
{option}
    def parameters(self):
        m, n{slots} = self.input_size, self.hidden_size{size}
        return {{
{parameters}        }}

    def state(self):
        return {state}

    def step(self, params, state, x):
        {names} = state
{step}        return {new}, {output}
"""


class _Writer:
    """The lines of one cell, with the parameters that they read."""

    def __init__(self, draw: Any, states: list[str]):
        self.draw, self.states = draw, states
        self.reads: list[str] = []
        self.parameters: list[str] = []
        self.lines: list[str] = []

    def parameter(self, name: str, shape: str) -> str:
        if name not in self.parameters:
            self.parameters.append(f'            "{name}": Parameter({shape}, init=normal),\n')
        return f'params["{name}"]'

    def preactivation(self, unit: str, width: str = "n") -> str:
        """x W + the states that this unit sees U + b: any of the terms may be missing, not all."""
        terms = []
        if self.draw(st.booleans()):
            terms.append(f"x @ {self.parameter(f'W_x{unit}', f'(m, {width})')}")
        visible = [*self.reads, *self.states]
        seen = self.draw(st.lists(st.sampled_from(visible), unique=True, min_size=0 if terms else 1))
        for s in sorted(seen):
            if self.draw(st.booleans()) or width != "n":
                terms.append(f"{s} @ {self.parameter(f'W_{s}{unit}', f'(n, {width})')}")
            else:  # a peephole
                terms.append(f"{s} * {self.parameter(f'p_{s}{unit}', '(n,)')}")
        if self.draw(st.booleans()):
            terms.append(self.parameter(f"b_{unit}", f"({width},)"))
        return " + ".join(terms)

    def memory(self, i: int, activations: st.SearchStrategy[str]) -> str:
        """A memory is read and written; what was read is seen by what follows."""
        names = {"M": f"m{i}", "k": f"k{i}", "v": f"v{i}", "r": f"r{i}"}
        address, value = self.preactivation(f"k{i}", "s"), self.preactivation(f"v{i}")
        self.write(f"k{i}", self.draw(st.sampled_from(ADDRESSES)).format(address))
        self.write(f"v{i}", self.draw(activations).format(f"({value})"))
        self.write(f"r{i}", self.draw(st.sampled_from(READS)).format(**names))
        self.write(f"u{i}", self.draw(st.sampled_from(WRITES)).format(**names))
        self.reads.append(f"r{i}")
        return f"u{i}"

    def write(self, name: str, expression: str) -> None:
        self.lines.append(f"        {name} = {expression}\n")


@st.composite
def cells(draw: Any, *, smooth: bool = True, max_states: int = 3, max_size: int = 3, max_memories: int = 1) -> Any:
    """Random cells: states, memories, gates, candidates and activations in random number, wired at random.

    Each is an instance of its own subclass of :class:`tapegrad.cells.Cell`; ``cell.text`` is the definition.
    They shrink to one state, a plain activation and sizes of 1.

    Parameters
    ----------
    smooth : bool
        Leave out activations with kinks.
    max_states, max_size : int
    max_memories : int
        How many matrices each row may carry, (slots_size, hidden_size): written by outer products, read by products
        with an address of slots. With 0 every state is a vector of ``hidden_size``.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(cells())
    ... def test_shapes(cell):
    ...     rng = np.random.default_rng(0)
    ...     state, ys = cell(cell.init(rng), rng.normal(size=(4, 2, cell.input_size)).astype(np.float32))
    ...     assert ys.shape == (4, 2, cell.hidden_size)
    """
    states = [f"s{i}" for i in range(1, draw(st.integers(1, max_states)) + 1)]
    memories = [f"m{i}" for i in range(1, (draw(st.integers(0, max_memories)) if max_memories else 0) + 1)]
    writer = _Writer(draw, states)
    activations = st.sampled_from(SQUASHED + (() if smooth else KINKED))
    written = [writer.memory(i, activations) for i in range(1, len(memories) + 1)]
    new = []
    for i, s in enumerate(states, 1):
        writer.write(f"g{i}", f"tg.sigmoid({writer.preactivation(f'g{i}')})")
        writer.write(f"n{i}", draw(activations).format("(" + writer.preactivation(f"n{i}") + ")"))
        writer.write(f"t{i}", draw(st.sampled_from(UPDATES)).format(g=f"g{i}", n=f"n{i}", s=s))
        new.append(f"t{i}")
    output = draw(st.sampled_from(OUTPUTS)).format(g="g1", s=draw(st.sampled_from([*new, *writer.reads])))
    declared = ["State((self.hidden_size,))"] * len(states)
    declared += ["State((self.slots_size, self.hidden_size))"] * len(memories)
    text = TEMPLATE.format(
        option="    slots_size: int\n" if memories else "",
        slots=", s" if memories else "",
        size=", self.slots_size" if memories else "",
        parameters="".join(writer.parameters),
        state=_tuple(declared),
        names=", ".join(states + memories),
        step="".join(writer.lines),
        new=_tuple(new + written),
        output=output,
    )
    sizes = [draw(st.integers(1, max_size)) for _ in range(3 if memories else 2)]
    return _defined(text)(*sizes)


def _tuple(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _defined(text: str) -> Any:
    import numpy as np

    import tapegrad as tg
    from tapegrad.cells import Cell, Parameter, State

    def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return 0.8 * rng.standard_normal(shape)

    held: dict[str, Any] = {
        "np": np, "tg": tg, "Cell": Cell, "Parameter": Parameter, "State": State, "normal": normal,
        "__name__": __name__,
    }  # fmt: skip
    exec(text, held)
    made = held["RandomCell"]
    made.text = text
    made.__repr__ = lambda self: f"RandomCell{dataclasses.astuple(self)}, where\n{text}"
    return made
