"""Keys of tapes: what makes two tapes different is in them."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.structure import structure_key
from tapegrad.tape import AbstractTape


def returning(value):
    tape = AbstractTape()
    tape.outputs = [(-1, value)]
    return tape


@pytest.mark.parametrize(
    ("one", "other"),
    [(np.zeros(1), np.zeros((1, 1))), (np.zeros(2), np.zeros((2, 1))), (0.0, np.float64(0)), (0, 0.0), (0.0, -0.0),
     (np.zeros(2, np.float32), np.zeros(1, np.float64)), (True, 1), (np.zeros(0), np.zeros((0, 3)))],
)  # fmt: skip
def test_literals_that_differ(one, other):
    assert structure_key(returning(one)) == structure_key(returning(one))
    assert structure_key(returning(one)) != structure_key(returning(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: np.sum(x, axis=0), lambda x: np.sum(x, axis=1)),
        (lambda x: x[0], lambda x: x[1]),
        (lambda x: x[:1], lambda x: x[0:2]),
        (lambda x: x * 2.0, lambda x: x * 3.0),
        (lambda x: x * 2, lambda x: x * 2.0),
        (lambda x: x - 1.0, lambda x: 1.0 - x),
        (lambda x: x @ x, lambda x: x @ x.T),
        (lambda x: tg.checkpoint(np.sin)(x), lambda x: tg.checkpoint(np.cos)(x)),
        (lambda x: (x, np.sin(x)), lambda x: (np.sin(x), x)),
        (lambda x: x.astype(np.float32), lambda x: x.astype(np.float16)),
        (lambda x: tg.scan(lambda p, s, v: (s, v), None, x, x), lambda x: tg.scan(lambda p, s, v: (s, -v), None, x, x)),
    ],
)
def test_functions_that_differ(one, other):
    x = np.ones((2, 2))
    assert structure_key(tg.trace(one)(x)) == structure_key(tg.trace(one)(x))
    assert structure_key(tg.trace(one)(x)) != structure_key(tg.trace(other)(x))


def test_arguments_that_differ():
    keys = [structure_key(tg.trace(lambda x: x * 1.0)(x)) for x in (np.ones(2), np.ones((2, 1)), np.float32(1), 1.0)]
    assert len(set(keys)) == 4


def test_numbers_may_be_left_out():
    one, other = [], []
    keys = [structure_key(tg.trace(lambda x, c=c: x * c + 1)(1.0), found) for c, found in ((2.0, one), (3.0, other))]
    assert keys[0] == keys[1]
    assert (one, other) == ([2.0], [3.0])
