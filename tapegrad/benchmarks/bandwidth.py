"""How fast arrays pass through memory, or through the cache that holds them, measured."""

from __future__ import annotations

import threading
import time

import numpy as np

SIZE = 64 << 20  # bytes of an array: several times what the caches of a desktop or of a part of a server hold
ROUNDS = 12


def memory_bandwidth(threads: int = 1, size: int | None = None) -> float:
    """Measure how many bytes so many threads read and write in a second, as they multiply an array by a number.

    Each thread has arrays of its own. The best of several rounds is taken, so that other programs matter little.

    Parameters
    ----------
    threads : int
    size : int, optional
        Bytes of an array, of which each thread has two; so many that no cache holds them by default.

    Returns
    -------
    float
        In GB/s, over all threads: what is read and what is written, each counted once.

    References
    ----------
    McCalpin 1995, "Memory bandwidth and machine balance in current high performance computers": the kernel "scale".
    """
    size = SIZE if size is None else size
    pairs = [(np.ones(size // 4, np.float32), np.zeros(size // 4, np.float32)) for _ in range(threads)]
    best = min(_round(pairs) for _ in range(ROUNDS))
    return 2 * size * threads / best / 1e9


def _round(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The seconds from the first thread's start to the last one's end."""
    ready, spans = threading.Barrier(len(pairs)), []

    def work(source: np.ndarray, target: np.ndarray) -> None:
        ready.wait()
        began = time.perf_counter()
        np.multiply(source, np.float32(2), out=target)  # which lets other threads run meanwhile
        spans.append((began, time.perf_counter()))

    others = [threading.Thread(target=work, args=pair) for pair in pairs[1:]]
    for thread in others:
        thread.start()
    work(*pairs[0])
    for thread in others:
        thread.join()
    return max(end for _, end in spans) - min(began for began, _ in spans)
