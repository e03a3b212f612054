"""Random recurrent cells, written as source text, as a Hypothesis strategy."""

from __future__ import annotations

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

TEMPLATE = """class RandomCell(Cell):
    input_size: int
    hidden_size: int

    def parameters(self):
        m, n = self.input_size, self.hidden_size
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
        self.parameters: list[str] = []
        self.lines: list[str] = []

    def parameter(self, name: str, shape: str) -> str:
        if name not in self.parameters:
            self.parameters.append(f'            "{name}": Parameter({shape}, init=normal),\n')
        return f'params["{name}"]'

    def preactivation(self, unit: str) -> str:
        """x W + the states that this unit sees U + b: any of the terms may be missing, not all."""
        terms = []
        if self.draw(st.booleans()):
            terms.append(f"x @ {self.parameter(f'W_x{unit}', '(m, n)')}")
        seen = self.draw(st.lists(st.sampled_from(self.states), unique=True, min_size=0 if terms else 1))
        for s in sorted(seen):
            if self.draw(st.booleans()):
                terms.append(f"{s} @ {self.parameter(f'W_{s}{unit}', '(n, n)')}")
            else:  # a peephole
                terms.append(f"{s} * {self.parameter(f'p_{s}{unit}', '(n,)')}")
        if self.draw(st.booleans()):
            terms.append(self.parameter(f"b_{unit}", "(n,)"))
        return " + ".join(terms)

    def write(self, name: str, expression: str) -> None:
        self.lines.append(f"        {name} = {expression}\n")


@st.composite
def cells(draw: Any, *, smooth: bool = True, max_states: int = 3, max_size: int = 3) -> Any:
    """Random cells: states, gates, candidates and activations in random number, wired at random.

    Each is an instance of its own subclass of :class:`tapegrad.cells.Cell`; ``cell.text`` is the definition.
    They shrink to one state, a plain activation and sizes of 1.

    Parameters
    ----------
    smooth : bool
        Leave out activations with kinks.
    max_states, max_size : int

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
    writer = _Writer(draw, states)
    activations = st.sampled_from(SQUASHED + (() if smooth else KINKED))
    new = []
    for i, s in enumerate(states, 1):
        writer.write(f"g{i}", f"tg.sigmoid({writer.preactivation(f'g{i}')})")
        writer.write(f"n{i}", draw(activations).format("(" + writer.preactivation(f"n{i}") + ")"))
        writer.write(f"t{i}", draw(st.sampled_from(UPDATES)).format(g=f"g{i}", n=f"n{i}", s=s))
        new.append(f"t{i}")
    output = draw(st.sampled_from(OUTPUTS)).format(g="g1", s=draw(st.sampled_from(new)))
    single = "State((self.hidden_size,))"
    text = TEMPLATE.format(
        parameters="".join(writer.parameters),
        state=single if len(states) == 1 else "(" + ", ".join([single] * len(states)) + ")",
        names=", ".join(states),
        step="".join(writer.lines),
        new=new[0] if len(new) == 1 else f"({', '.join(new)})",
        output=output,
    )
    return _defined(text)(draw(st.integers(1, max_size)), draw(st.integers(1, max_size)))


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
    made.__repr__ = lambda self: f"RandomCell({self.input_size}, {self.hidden_size}), where\n{text}"
    return made
