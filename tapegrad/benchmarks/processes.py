"""Measurements that need a process of their own: first calls, and the most memory that was held."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from ..errors import TapegradError

_FIRST = """
import json, time
import numpy as np
import tapegrad as tg
import tapegrad.backends.numba_cpu.backend
from tapegrad.cells import LSTM
cell = LSTM(8, 64)
params = cell.init(np.random.default_rng(0))
xs = np.ones((20, 4, 8), np.float32)
start = time.perf_counter()
tg.value_and_grad(lambda params: np.sum(cell(params, xs)[1]))(params)
print(json.dumps({"seconds": time.perf_counter() - start}))
"""

_LONG = """
import json, resource, sys, time
import numpy as np
import tapegrad as tg
from tapegrad.cells import LSTM
steps = int(sys.argv[1])
cell = LSTM(8, 64)
params = cell.init(np.random.default_rng(0))
both = lambda xs: tg.value_and_grad(lambda params: np.mean(cell(params, xs, checkpoint="sqrt")[1]))(params)
both(np.ones((4, 1, 8), np.float32))
xs = np.random.default_rng(1).normal(size=(steps, 1, 8)).astype(np.float32)
start = time.perf_counter()
both(xs)
print(json.dumps({"seconds": time.perf_counter() - start, "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                  "given": xs.nbytes + 64 * 4 * steps}))
"""


def first_calls(rounds: int) -> list[dict[str, Any]]:
    """The first gradient of an LSTM: with an empty cache, and in a process that finds what the first one left."""
    found: dict[str, list[float]] = {"with an empty cache": [], "in the next process": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for seconds in found.values():
                seconds.append(_run(_FIRST, TAPEGRAD_CACHE_DIR=folder)["seconds"])
    return [{"first value_and_grad": name, "s": statistics.median(seconds)} for name, seconds in found.items()]


def long_gradient(steps: int) -> list[dict[str, Any]]:
    """The time of a value and gradient of an LSTM(8, 64) over many steps, and the process's most memory."""
    made = _run(_LONG, str(steps))
    scale = 1 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is in bytes there, in KiB elsewhere
    return [{"steps": steps, "s": made["seconds"], "most memory, MiB": made["most"] * scale / 2**20,
             "of which xs and ys, MiB": made["given"] / 2**20}]  # fmt: skip


def _run(code: str, *arguments: str, **variables: str) -> dict[str, Any]:
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"TAPEGRAD_BACKEND": "numba"} | variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TapegradError(f"bench loop: a process that it started failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)
