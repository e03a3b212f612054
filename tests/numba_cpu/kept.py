"""A source for the tests of the cache, in this process and in others, and a folder for it."""

import json
import os
import subprocess
import sys

import numpy as np

from tapegrad.backends.numba_cpu import cache, cache_files

SOURCE = """from tapegrad.backends.numba_cpu.runtime import *

def helper(x, k):
    return x * k + {constant}

def forward(n, x, out):
    for i in range(n):
        out[i] = helper(x[i], 2.0)

def backward(n, x, out):
    lanes = lanes_of(x)
    for j in range(0, n, lanes):
        store_part(out, j, tanh(load_part(x, j, min(lanes, n - j))), min(lanes, n - j))
"""
ENTRIES = ("forward", "backward")

# What another process does with a source: the results, and how many functions came from the disk.
CHILD = """
import json, sys
import numpy as np
from tapegrad.backends.numba_cpu import cache

source, entries, dtype = json.loads(sys.argv[1])
functions = cache.compiled(source, tuple(entries))
x = np.linspace(-2, 2, 37).astype(dtype)
found = []
for function in functions:
    out = np.zeros_like(x)
    function(len(x), x, out)
    found.append(out.tolist())
print(json.dumps([found, sum(sum(f.stats.cache_hits.values()) for f in functions)]))
"""


def forget(monkeypatch):
    """What a new process knows."""
    monkeypatch.setattr(cache, "_recent", type(cache._recent)())
    monkeypatch.setattr(cache, "_alive", type(cache._alive)())
    monkeypatch.setattr(cache_files, "_warned", set())


def source_of(constant=1.0):
    return SOURCE.format(constant=constant)


def expected(constant=1.0, dtype=np.float64):
    x = np.linspace(-2, 2, 37).astype(dtype)
    return [x * dtype(2) + dtype(constant), np.tanh(x)]


def call(functions, dtype=np.float64):
    x = np.linspace(-2, 2, 37).astype(dtype)
    found = [np.zeros_like(x) for _ in functions]
    for function, out in zip(functions, found, strict=True):
        function(len(x), x, out)
    return found


def check(functions, constant=1.0, dtype=np.float64):
    for found, right in zip(call(functions, dtype), expected(constant, dtype), strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-6 if dtype == np.float32 else 1e-14)


def loaded(functions):
    return sum(sum(f.stats.cache_hits.values()) for f in functions)


def in_child(source, dtype="float64", **environment):
    """Run a source in a new process: how many functions it loaded from the disk."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, json.dumps([source, ENTRIES, dtype])],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, hits = json.loads(done.stdout)
    return found, hits


def files(folder, suffix):
    return sorted(p for p in folder.iterdir() if p.name.endswith(suffix)) if folder.exists() else []


def address(array):
    """Where an array's memory begins."""
    return array.__array_interface__["data"][0]
