"""How fast the packed matrix products are, as fractions of the FMA peak, beside NumPy's and PyTorch's.

Run ``python tests/benchmarks/products.py``. One thread each; all of them take turns in one process; the best and the
median of several rounds, in processor time, so that other programs matter less. ``accumulate`` includes the packing of
both operands. The results are compared before any timing.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402 - after the environment is set
import statistics  # noqa: E402
import time  # noqa: E402

import numba  # noqa: E402
import numpy as np  # noqa: E402

from tapegrad.backends.numba_cpu import gemm  # noqa: E402
from tapegrad.backends.numba_cpu.peak import fma_peak  # noqa: E402

MULTIPLY = (
    (1, 32, 32), (1, 32, 128), (1, 128, 512), (1, 512, 2048), (2, 128, 512), (4, 128, 512), (8, 32, 128),
    (8, 128, 512), (8, 512, 2048), (13, 100, 77), (32, 128, 512), (32, 512, 2048), (32, 2048, 512), (64, 32, 128),
    (64, 128, 512), (64, 512, 2048), (64, 2048, 512),
)  # fmt: skip
ACCUMULATE = ((64, 512), (192, 512), (768, 2048))  # (M, N), for K = 256
PACK = ((128, 512), (512, 2048))
SECONDS = 0.004  # of a round

njit = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


@njit
def multiplied(times, a, M, K, panels, N, c):
    for _ in range(times):
        gemm.multiply(a, 0, K, 1, M, K, panels, 0, N, c, 0, N, False)


@njit
def packed(times, b, row, step, K, N, panels):
    for _ in range(times):
        gemm.pack_columns(b, 0, 0, 1, row, K, step, N, panels, 0)


@njit
def accumulated(times, left, right, M, K, N, lefts, panels, c):
    for _ in range(times):
        gemm.pack_lefts(left, 0, 32 * M, K // 32, M, 32, 1, M, lefts, 0)
        gemm.pack_columns(right, 0, 32 * N, K // 32, N, 32, 1, N, panels, 0)
        gemm.accumulate(lefts, 0, M, K, panels, 0, N, c, 0, N)


@njit
def only_accumulated(times, M, K, N, lefts, panels, c):
    for _ in range(times):
        gemm.accumulate(lefts, 0, M, K, panels, 0, N, c, 0, N)


def aligned(size, dtype):
    """An array that begins at a line of the cache."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)


def copy_of(x):
    made = aligned(x.size, x.dtype)
    made[:] = x.ravel()
    return made


def repeated(function):
    """The same call several times, for what is called from Python."""

    def run(times):
        for _ in range(times):
            function()

    return run


def peers(left, right, out, add):
    """NumPy and, if it is installed, PyTorch: out = left @ right, or out += left @ right."""
    held = np.empty_like(out)
    found = {
        "numpy": repeated(
            (lambda: np.add(out, np.matmul(left, right, held), out)) if add else (lambda: np.matmul(left, right, out))
        )
    }
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    x, y, z = (torch.from_numpy(a) for a in (left, right, out))
    found["torch"] = repeated((lambda: z.addmm_(x, y)) if add else (lambda: torch.mm(x, y, out=z)))
    return found


def times_of(runs, rounds):
    """The seconds of one call, for each run in each round."""
    turns = {}
    for name, run in runs.items():
        run(1)  # which may compile
        count, took = 1, 0.0
        while took < SECONDS / 3:
            began = time.thread_time()
            run(count)
            took = time.thread_time() - began
            count *= 3
        turns[name] = max(1, int(count / 3 * SECONDS / took))
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.thread_time()
            run(turns[name])
            seconds[name].append((time.thread_time() - began) / turns[name])
    return seconds


def report(label, operations, runs, rounds, peak, unit="GFLOP/s"):
    parts = []
    for name, seconds in times_of(runs, rounds).items():
        best, middle = (operations / s / 1e9 for s in (min(seconds), statistics.median(seconds)))
        share = f" = {100 * best / peak:3.0f} %" if peak and name.startswith("tapegrad") else ""
        parts.append(f"{name} {best:6.1f} ({middle:6.1f}){share}")
    print(f"{label:28s} " + "   ".join(parts) + f"  {unit}", flush=True)


def bench_multiply(rng, shape, dtype, rounds, peak):
    M, K, N = shape
    a, b = (rng.uniform(-1, 1, size).astype(dtype) for size in ((M, K), (K, N)))
    panels, c, out = aligned(gemm.packed_size(K, N, dtype), dtype), aligned(M * N, dtype), np.empty((M, N), dtype)
    packed(1, copy_of(b), N, 1, K, N, panels)
    left = copy_of(a)
    runs = {"tapegrad": lambda times: multiplied(times, left, M, K, panels, N, c), **peers(a, b, out, False)}
    for run in runs.values():
        run(1)
        np.testing.assert_allclose(out if run is not runs["tapegrad"] else c.reshape(M, N), a @ b, rtol=0, atol=1e-3)
    report(f"multiply {shape}", 2 * M * K * N, runs, rounds, peak)


def bench_accumulate(rng, K, shape, dtype, rounds, peak):
    M, N = shape
    left, right = (rng.uniform(-1, 1, size).astype(dtype) for size in ((K, M), (K, N)))
    lefts, panels = aligned(gemm.lefts_size(K, M, dtype), dtype), aligned(gemm.packed_size(K, N, dtype), dtype)
    c, out, flat_left, flat_right = aligned(M * N, dtype), np.zeros((M, N), dtype), copy_of(left), copy_of(right)
    runs = {
        "tapegrad": lambda times: accumulated(times, flat_left, flat_right, M, K, N, lefts, panels, c),
        "tapegrad, packed": lambda times: only_accumulated(times, M, K, N, lefts, panels, c),
        **peers(left.T, right, out, True),
    }
    for name, run in runs.items():
        c[:], out[:] = 0, 0
        run(1)
        found = c.reshape(M, N) if name.startswith("tapegrad") else out
        np.testing.assert_allclose(found, left.T @ right, rtol=0, atol=1e-3)
    report(f"accumulate {(M, K, N)}", 2 * M * K * N, runs, rounds, peak)


def bench_pack(rng, shape, dtype, rounds):
    K, N = shape
    b, panels = rng.normal(size=shape).astype(dtype), aligned(gemm.packed_size(K, N, dtype), dtype)
    flat, turned, copied = copy_of(b), copy_of(b.T), np.empty_like(b)
    runs = {
        "rows": lambda times: packed(times, flat, N, 1, K, N, panels),
        "transposed": lambda times: packed(times, turned, 1, K, K, N, panels),
        "numpy.copyto": repeated(lambda: np.copyto(copied, b)),
    }
    report(f"pack {shape}", 2 * b.nbytes, runs, rounds, None, "GB/s read and written")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="multiply, accumulate or pack")
    given = parser.parse_args()
    dtype, rng = np.dtype(given.dtype).type, np.random.default_rng(0)
    peak = fma_peak(dtype)
    print(f"FMA peak of one core, {given.dtype}: {peak:.1f} GFLOP/s; below, the best (median) of {given.rounds} rounds")
    for shape in MULTIPLY if given.only in ("", "multiply") else ():
        bench_multiply(rng, shape, dtype, given.rounds, peak)
    for shape in ACCUMULATE if given.only in ("", "accumulate") else ():
        bench_accumulate(rng, 256, shape, dtype, given.rounds, peak)
    for shape in PACK if given.only in ("", "pack") else ():
        bench_pack(rng, shape, dtype, given.rounds)
    print(f"FMA peak again: {fma_peak(dtype):.1f} GFLOP/s")


if __name__ == "__main__":
    main()
