"""What holds for the whole suite: one BLAS thread per process, signals, the collector, and the Hypothesis profiles."""

import gc
import os
import signal
import threading
from pathlib import Path

# Before NumPy is imported: the suite runs in several processes, whose BLAS threads would fight.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Tests of the engine use many small loops once: compiling them would take most of the time. The tests of the compiled
# backend name it.
os.environ.setdefault("TAPEGRAD_BACKEND", "reference")
# What they compile is kept in the checkout, not among the user's own files.
os.environ.setdefault("TAPEGRAD_CACHE_DIR", str(Path(__file__).parent.parent / "build" / "machine-code"))

# A shell without job control starts what it runs in the background with SIGINT ignored, and programs that the tests
# start and interrupt would inherit that.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import HealthCheck, settings  # noqa: E402 - after the environment is set

from tests.strategies.effort import PROFILES  # noqa: E402

# No deadline: the first example of a property pays for imports and for tracing.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
for _name, _options in PROFILES.items():
    settings.register_profile(_name, **_COMMON, **_options)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))


def pytest_collection_finish() -> None:
    """What is imported by now stays to the end, so the collector, which some tests call often, may pass over it."""
    gc.collect()
    gc.freeze()


_finished = 0


def pytest_runtest_logfinish() -> None:
    """What has gathered since (examples, reports, compiled code) is passed over as well, now and then."""
    global _finished
    _finished += 1
    if _finished % 250 == 0:
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """How many faults the tests in ``tests/meta`` planted, whichever of the processes they ran in."""
    from tests.meta.counts import faults, summary

    found = faults(terminalreporter)
    if found:
        terminalreporter.write_line(summary(found))
