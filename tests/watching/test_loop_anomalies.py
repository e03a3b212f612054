"""detect_anomaly in loops: the step, the row and the line, forward, backward and in forward mode."""

import re
from functools import partial

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import LSTM
from tapegrad.errors import BackendError
from tests.watching import lines
from tests.watching.lines import said

line_of = partial(lines.line_of, __file__)


def walk(params, state, x):
    moved = state + x * params
    length = np.sqrt(moved * moved)  # walk
    return length, length


XS = np.ones((9, 3))
XS[4, 1] = -5.0  # the state is 5 there, so that it becomes 0 in the fifth step


def walked(p, **options):
    return np.sum(tg.scan(walk, p, np.ones(3), XS, **options)[1])


@pytest.mark.parametrize("options", [{}, {"checkpoint": 3}, {"checkpoint": "sqrt"}, {"checkpoint": 4},
                                     {"backend": "numba"}, {"backend": "reference"}])  # fmt: skip
def test_the_step_and_row_of_a_backward_loop(options):
    message = said(tg.grad(lambda p: walked(p, **options)), 1.0)
    assert "in the backward pass" in message
    assert "at step t = 4, row b = 1 of a loop, which runs from the last step to the first" in message
    assert "it is a part of the backward rule of sqrt" in message
    assert f"{__file__}:{line_of('walk')}, in walk" in message


def test_the_step_of_other_modes():
    message = said(lambda: tg.jvp(walked, (1.0,), (1.0,)))
    assert "in forward mode: " in message
    assert "at step t = 4, row b = 1 of a loop\n" in message
    assert "the forward mode rule of sqrt" in message
    second = said(lambda: tg.grad(tg.grad(lambda p: walked(p * p)))(1.0))
    assert "at step t = 4" in second
    assert f"{__file__}:{line_of('walk')}" in second
    batched = said(lambda: tg.vmap(tg.grad(walked))(np.array([2.0, 1.0])))
    assert "at step t = 4" in batched
    inner = said(lambda: tg.scan(lambda p, s, x: (s, tg.grad(walked)(p * x)), 0.5, 0.0, np.array([1.0, 2.0])))
    assert "at step t = 4, row b = 1 of a loop" in inner
    assert "at step t = 1 of a loop" in inner


def falling(params, state, x):
    state = state - 1.0
    return state, np.log(state * params) * x  # falling


@pytest.mark.parametrize("reverse", [False, True])
def test_the_step_of_a_forward_loop(reverse):
    start = np.array([9.0, 4.0])
    message = said(lambda: tg.scan(falling, 1.0, start, np.ones((6, 2)), reverse=reverse))
    assert "log: finite numbers gave -inf in the forward pass" in message
    assert f"at step t = {2 if reverse else 3}, row b = 1 of a loop" in message
    assert f"{__file__}:{line_of('falling')}, in falling" in message


def test_a_step_whose_tape_was_known_before_is_traced_anew():
    def step(params, state, x):
        return np.sqrt((state + x * params) ** 2), x  # known before

    def known(p):
        return np.sum(tg.scan(step, p, np.ones(3), XS)[0])

    with np.errstate(all="ignore"):
        assert np.isnan(tg.grad(known)(1.0))
    assert f"{__file__}:{line_of('known before')}, in step" in said(tg.grad(known), 1.0)
    with np.errstate(all="ignore"):
        assert np.isnan(tg.grad(known)(1.0))


def test_a_sum_over_time_may_overflow():
    big = np.full(3, 9e307)
    message = said(lambda: tg.grad(lambda p: np.sum(tg.scan(lambda p, s, x: (s, p * x), p, 0.0, big)[1]))(1e-9))
    assert "sum: finite numbers gave inf" in message
    assert "at step t = 1 of a loop" in message


def test_cells_are_named_with_their_equation_and_the_call():
    cell = LSTM(2, 3)
    params = tg.tree_map(lambda p: p * 1e308, cell.init(np.random.default_rng(0), dtype=np.float64))
    message = said(lambda: cell(params, np.ones((4, 2, 2))))
    assert re.search(r"cells/lstm/lstm\.py:\d+, in step: ", message)
    assert f"called at {__file__}:" in message


def test_a_backend_that_there_is_not_is_refused_all_the_same():
    with tg.detect_anomaly(), pytest.raises(BackendError, match="backend='nunba' is not available"):
        walked(1.0, backend="nunba")
