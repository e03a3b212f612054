"""What is derived while a rule is broken must not serve other tests; and every fault that is planted is counted."""

from functools import partial

import pytest

from tests.meta.counts import noted
from tests.meta.kit import forget


@pytest.fixture
def nothing_remembered(monkeypatch):
    """Tapes and programs of a process that has just started, for one test."""
    forget(monkeypatch)


@pytest.fixture
def count(request):
    """``count(of, kind, equivalent=False)`` counts a fault that was caught, or is listed."""
    noting = partial(noted, request.node)
    return lambda of, kind, equivalent=False: noting(of, kind, equivalent)
