"""A cache folder and an arena for one test."""

import pytest

from tapegrad.backends.numba_cpu import arena
from tests.numba_cpu.kept import forget


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own for each test, and a memory in which nothing is compiled yet."""
    place = tmp_path / "kept"
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", str(place))
    monkeypatch.delenv("TAPEGRAD_CACHE_SIZE", raising=False)
    forget(monkeypatch)
    return place


@pytest.fixture
def store(monkeypatch):
    """An arena of its own for each test."""
    monkeypatch.delenv("TAPEGRAD_ARENA_MIB", raising=False)
    made = arena.Arena()
    monkeypatch.setattr(arena, "_arena", made)
    return made
