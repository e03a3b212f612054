"""What a call costs beside its arithmetic, as the number of calls that Python makes: the same on every machine."""

import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends import base, reference, register
from tapegrad.cells import LSTM, Cell, Parameter, State

XS = np.ones((1, 1, 8), np.float32)


class Replaying:
    """Computes each step once and then returns the same results, so that a call costs what is around it."""

    name = "replaying"

    def __init__(self):
        self.known = {}

    def missing(self, step):
        return None

    def run(self, step, args, length, reverse):
        found = self.known.get(id(step))
        if found is None:
            found = self.known[id(step)] = step, reference.ReferenceBackend().run(step, args, length, reverse)
        return found[1]


@pytest.fixture
def replaying(monkeypatch):
    for table in (base._LOADERS, base._LOADED):
        name = next(name for name, held in vars(base).items() if held is table)
        monkeypatch.setattr(base, name, table.copy())
    register("replaying", Replaying)
    with tg.backend("replaying"):
        yield


def calls_of(f):
    """How many functions Python and C functions are called in ``f()``, once everything is known."""
    for _ in range(3):
        f()
    count = 0

    def seen(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        f()
    finally:
        sys.setprofile(None)
    return count


class Own(Cell):
    """An LSTM's worth of parameters in a cell of the user's."""

    size: int

    def parameters(self):
        return {f"W{i}": Parameter((self.size, self.size)) for i in range(12)}

    def state(self):
        return State((self.size,)), State((self.size,))

    def step(self, params, state, x):
        h, c = state
        for i in range(12):
            h = np.tanh(x + h @ params[f"W{i}"])
        return (h, c), h


@pytest.mark.parametrize("cell", [LSTM(8, 8), Own(8)], ids=["lstm", "own"])
def test_calls_made_by_a_call(replaying, cell):
    params = cell.init(np.random.default_rng(0))
    assert calls_of(lambda: cell(params, XS)) < 200
    loss = lambda p: np.sum(cell(p, XS)[1])  # noqa: E731
    assert calls_of(lambda: tg.value_and_grad(loss)(params)) < 550


def test_the_count_sees_what_is_done_anew_at_each_call(replaying):
    """A step that captures a list is traced at each call, and that is counted."""
    held = [1.0]
    step = lambda p, s, x: (s * held[0] + x, s)  # noqa: E731
    plain = lambda p, s, x: (s * 1.0 + x, s)  # noqa: E731
    state = np.ones((1, 8), np.float32)
    few, many = (calls_of(lambda f=f: tg.scan(f, None, state, XS)) for f in (plain, step))
    assert few < 200
    assert many > few + 100
