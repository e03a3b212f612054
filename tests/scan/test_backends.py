"""The choice of a backend."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import backends
from tapegrad.errors import BackendError, UnsupportedPrimitive


def test_backends_are_chosen_by_argument_and_block(monkeypatch):
    used = []

    class Spy:
        name = "spy"

        def missing(self, step):
            return None

        def run(self, *args):
            used.append(1)
            return backends.select("reference", args[0]).run(*args)

    monkeypatch.setattr(backends.base, "_LOADERS", dict(backends.base._LOADERS))
    monkeypatch.setattr(backends.base, "_LOADED", {})
    backends.register("spy", Spy)
    run = lambda **options: tg.scan(lambda p, s, x: (s + x, s), None, 0.0, np.ones(3), **options)  # noqa: E731
    run(backend="reference")
    assert not used
    run(backend="spy")
    assert len(used) == 1
    with tg.backend("reference"):
        run()
        assert len(used) == 1
        run(backend="spy")
        assert len(used) == 2
    with tg.backend("auto"):
        run()
        assert len(used) == 3, "auto prefers the backend that was registered last"


def test_the_environment_says_what_a_process_starts_with():
    code = "import tapegrad.scan as _, sys; print(sys.modules['tapegrad.scan'].chosen_backend(sys.argv[1]))"
    for given, asked, chosen in [("reference", "auto", "reference"), ("", "auto", "auto"), ("reference", "it", "it")]:
        command, environment = [sys.executable, "-c", code, asked], os.environ | {"TAPEGRAD_BACKEND": given}
        assert subprocess.check_output(command, env=environment, text=True).strip() == chosen


def test_auto_falls_back_with_one_warning_and_a_name_never_does(monkeypatch):
    class Poor:
        name = "poor"

        def missing(self, step):
            return "tanh"

        def run(self, *args):
            raise AssertionError("cannot")

    monkeypatch.setattr(backends.base, "_LOADERS", dict(backends.base._LOADERS))
    monkeypatch.setattr(backends.base, "_LOADED", {})
    monkeypatch.setattr(backends.base, "_WARNED", set())
    backends.register("poor", Poor)
    run = lambda **options: tg.scan(lambda p, s, x: (np.tanh(s), s), None, 0.0, np.ones(3), **options)  # noqa: E731
    with tg.backend("auto"):
        with pytest.warns(UserWarning, match="'poor' cannot run the primitive 'tanh'"):
            run()
        run()  # a second warning would be an error
    with pytest.raises(UnsupportedPrimitive, match=r"'poor' cannot run the primitive 'tanh'.*'reference'"):
        run(backend="poor")


def test_an_unknown_backend_names_those_there_are():
    with pytest.raises(BackendError, match="'nimba' is not available; there are 'auto', 'reference'"):
        tg.scan(lambda p, s, x: (s, s), None, 1.0, np.ones(3), backend="nimba")
    with tg.backend("nimba"), pytest.raises(BackendError, match="not available"):
        tg.scan(lambda p, s, x: (s, s), None, 1.0, np.ones(3))
