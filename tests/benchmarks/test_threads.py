"""Equal threads: what is set for the time of a measurement, and set back."""

import os

import pytest

from tapegrad.benchmarks.threads import VARIABLES, limited, processors
from tapegrad.commands.threads import blas_threads
from tapegrad.errors import OptionError


def test_threads_are_limited_and_set_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = processors(), blas_threads(), {name: os.environ.get(name) for name in VARIABLES}
    with limited(1):
        assert [os.environ[name] for name in VARIABLES] == ["1"] * len(VARIABLES)
        if hasattr(os, "sched_getaffinity"):
            assert len(processors()) == 1
        assert blas_threads() in (None, 1)
    assert (processors(), blas_threads(), {name: os.environ.get(name) for name in VARIABLES}) == before


def test_threads_are_set_back_after_an_error(monkeypatch):
    before = processors(), os.environ.get("TAPEGRAD_NUM_THREADS")
    with pytest.raises(ZeroDivisionError), limited(1):
        1 / 0  # noqa: B018
    assert (processors(), os.environ.get("TAPEGRAD_NUM_THREADS")) == before


def test_more_threads_than_processors_are_refused():
    count = len(processors())
    with pytest.raises(OptionError, match=f"may use {count} processors; give at most {count}"):
        limited(count + 1).__enter__()
