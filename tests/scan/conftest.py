import numpy as np
import pytest


@pytest.fixture
def rng(request):
    """A generator that is the same in each run, and another for each test."""
    return np.random.default_rng(sum(map(ord, request.node.name)))
