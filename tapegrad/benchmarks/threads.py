"""The same number of threads for everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..commands.threads import blas_threads, set_blas_threads
from ..errors import OptionError

#: Read by those libraries that have not started their threads yet.
VARIABLES = ("TAPEGRAD_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let this process, and whatever library it starts, use so many threads, one to a processor.

    Where the system allows it the process is kept to so many processors: libraries without a setting of their own, of
    which JAX is one, count them when they start.

    Raises
    ------
    OptionError
        When there are fewer processors.
    """
    present = processors()
    if threads > len(present):
        raise OptionError(
            f"--threads {threads}: this process may use {len(present)} processors; give at most {len(present)}"
        )
    held = {name: os.environ.get(name) for name in VARIABLES}
    blas = blas_threads()
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, present[:threads])
    set_blas_threads(threads)
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, present)
        for name, value in held.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if blas is not None:
            set_blas_threads(blas)


def processors() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
