"""Operations counted on tapes, against counts by hand."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.benchmarks.cells import FastWeights, PeepholeLSTM
from tapegrad.benchmarks.flops import count, of_work
from tapegrad.benchmarks.work import Shape, Work
from tapegrad.cells import GRU, LSTM, Elman

SHAPE = Shape(7, 5, 3, 4)


def counted(cell, with_inputs=False, shape=SHAPE):
    return of_work(Work.draw("", cell, shape, with_inputs=with_inputs))


@pytest.mark.parametrize("shape", [SHAPE, Shape(1, 1, 1, 1), Shape(11, 2, 6, 9)])
def test_lstm(shape):
    T, B, I, H = shape  # noqa: E741
    inputs, recurrent = 2 * T * B * I * 4 * H, 2 * T * B * H * 4 * H
    forward = inputs + recurrent
    # Backward: the cotangent of h, and the gradients of both weights; with inputs their cotangent too.
    assert counted(LSTM(I, H), shape=shape) == (forward, forward + inputs + 2 * recurrent)
    assert counted(LSTM(I, H), True, shape) == (forward, forward + 2 * inputs + 2 * recurrent)


def test_other_cells():
    T, B, I, H = SHAPE  # noqa: E741
    x, h = 2 * T * B * I * H, 2 * T * B * H * H
    assert counted(Elman(I, H)) == (x + h, 2 * x + 3 * h)
    assert counted(GRU(I, H)) == (3 * (x + h), 3 * (2 * x + 3 * h))
    assert counted(GRU(I, H, reset_after=True)) == counted(GRU(I, H))
    assert counted(PeepholeLSTM(I, H)) == (4 * x + 7 * h, 8 * x + 21 * h)


def test_products_of_the_rows_memories_count():
    T, B, I, H = SHAPE  # noqa: E741
    N, M = 2, 6
    wide = N + 2 * M + H
    forward = 2 * T * B * (I * wide + H * wide + M * H + 2 * N * M)
    assert counted(FastWeights(I, H, slots=N, width=M))[0] == forward


def test_a_product_that_nothing_depends_on_does_not_count():
    x, w = np.ones((2, 3)), np.ones((3, 5))

    def f(x, w):
        w @ w.T
        return np.tanh(x @ w)

    assert count(tg.trace(f)(x, w)) == 2 * 2 * 3 * 5


def test_products_inside_of_checkpoints_and_scans_count():
    w = np.ones((4, 4))

    def f(h, w):
        inner = tg.checkpoint(lambda h: np.tanh(h @ w))
        return tg.scan(lambda p, h, x: (inner(h), None), None, h, None, length=6)[0]

    assert count(tg.trace(f)(np.ones((2, 4)), w)) == 6 * 2 * 2 * 4 * 4
