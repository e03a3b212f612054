"""What is derived while a rule is broken must not serve other tests."""

import pytest

from tapegrad import loops, structure
from tapegrad.backends import reference
from tapegrad.caches import Bounded


@pytest.fixture
def nothing_remembered(monkeypatch):
    """Tapes and programs of a process that has just started, for one test."""
    monkeypatch.setattr(structure, "_seen", Bounded())
    monkeypatch.setattr(loops, "_tapes", Bounded())
    monkeypatch.setattr(reference, "_PROGRAMS", Bounded())
