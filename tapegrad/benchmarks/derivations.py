"""What it takes to derive a cell, and how that grows with the number of its gates."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from tapegrad.cells import GRU, LSTM, Cell, Elman, Parameter, State

from ..functions import sigmoid

Row = dict[str, Any]
GATES = (5, 10, 20, 40)


class Gated(Cell):
    """A state that any number of gates let through in turn; each gate sees the input, the state and the gate before."""

    input_size: int
    hidden_size: int
    gates: int = 10

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        found: dict[str, Parameter] = {}
        for k in range(1, self.gates + 1):
            found |= {f"W_{k}": Parameter((m, n)), f"U_{k}": Parameter((n, n)), f"b_{k}": Parameter((n,), init="zeros")}
            found[f"p_{k}"] = Parameter((n,), init="zeros")
        return found

    def state(self) -> State:
        return State((self.hidden_size,))

    def step(self, params: Any, h: Any, x: Any) -> tuple[Any, Any]:
        old, g = h, 1.0
        for k in range(1, self.gates + 1):
            a = x @ params[f"W_{k}"] + old @ params[f"U_{k}"] + params[f"b_{k}"] + params[f"p_{k}"] * g
            g = sigmoid(a)
            h = g * h + (1.0 - g) * np.tanh(a)
        return h, h


def cells() -> dict[str, Cell]:
    """What is derived."""
    known: dict[str, Cell] = {"elman": Elman(3, 4), "gru": GRU(3, 4), "lstm": LSTM(3, 4)}
    return known | {f"{k} gates": Gated(3, 4, k) for k in GATES}


def measure(rounds: int, progress: Callable[[str], None] = lambda name: None) -> list[Row]:
    """For each cell the operations of its step, and the processor time to derive it and to print it as text.

    Given are the first time in this process, imports aside, and the median and the least of ``rounds`` more.
    """
    from ..symbolic import derive

    def once(cell: Cell) -> float:
        start = time.process_time()
        derive(cell).text()
        return time.process_time() - start

    chosen = cells()
    firsts, seconds = {}, {name: [] for name in chosen}  # type: ignore[var-annotated]
    for turn in range(rounds + 1):
        for name, cell in chosen.items():
            progress(name)
            if turn:
                seconds[name].append(once(cell))
            else:
                firsts[name] = once(cell)
    return [
        {
            "cell": name, "operations": operations(cell), "first, s": firsts[name], "median, s": median(seconds[name]),
            "least, s": min(seconds[name]), "least / operation, ms": 1e3 * min(seconds[name]) / operations(cell),
        }
        for name, cell in chosen.items()
    ]  # fmt: skip


def operations(cell: Cell) -> int:
    """The length of the tape of a step."""
    from ..symbolic.subject import subject

    return sum(node is not None for node in subject(cell).tape.nodes)
