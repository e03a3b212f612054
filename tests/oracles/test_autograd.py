"""The surface against autograd, the library that introduced differentiation of NumPy code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.compared import compare
from tests.strategies.effort import few
from tests.surface.tables import ROWS

autograd = pytest.importorskip("autograd")

COMPARED = [row for row in ROWS if row.order and "autograd" not in row.unlike]


def gradients(function, leaves, moving, cotangents):
    def of_moving(given):
        filled = list(leaves)
        for i, value in zip(moving, given, strict=True):
            filled[i] = value
        return function(*filled)

    def total(given):
        return sum(autograd.numpy.sum(u * y) for u, y in zip(cotangents, of_moving(given), strict=True))

    start = [np.asarray(leaves[i]) for i in moving]
    return of_moving(start), autograd.grad(total)(start)


@pytest.mark.parametrize("row", COMPARED, ids=str)
@few()
@given(st.data())
def test_values_and_gradients_are_those_of_autograd(row, data):
    compare(row, data.draw(row.calls), "autograd", gradients)
