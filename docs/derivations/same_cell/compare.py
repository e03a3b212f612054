"""The same cell in four libraries: are the results equal, how long is the first call, how long are the others?

``python docs/derivations/same_cell/compare.py`` measures and prints; with ``--write`` it also writes ``recorded.json``,
which the page shows where a library is not installed. Everybody has one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE / "recorded.json"
ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TAPEGRAD_NUM_THREADS")}
SHAPES = {"one small sequence": (100, 1, 32, 32), "a batch": (100, 32, 64, 128)}  # T, B, I, H

#: From a contender to the package that it needs and the file that holds its code.
CONTENDERS = {
    "tapegrad": ("tapegrad", "with_tapegrad.py"),
    "JAX": ("jax", "with_jax.py"),
    "PyTorch": ("torch", "with_torch.py"),
    "PyTorch, step compiled": ("torch", "with_torch.py"),
    "autograd": ("autograd", "with_autograd.py"),
}


def installed() -> list[str]:
    return [name for name, (package, _) in CONTENDERS.items() if find_spec(package) is not None]


def lines(name: str) -> int:
    """How many lines of code a contender's file has: without the docstring, and without blank lines."""
    text = (HERE / CONTENDERS[name][1]).read_text(encoding="utf-8").splitlines()[1:]
    return sum(bool(line.strip()) for line in text)


def data(shape: tuple[int, int, int, int]) -> tuple[dict, Any, Any]:
    """Parameters, inputs, and the weights u of the outputs in the loss, in float32."""
    import numpy as np

    T, B, m, n = shape
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1.0) -> Any:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    params = {f"W_x{gate}": normal(m, n, scale=m**-0.5) for gate in "ifgo"}
    params |= {f"W_h{gate}": normal(n, n, scale=0.5 * n**-0.5) for gate in "ifgo"}
    params |= {f"V_{gate}": normal(n, n, scale=0.5 * n**-0.5) for gate in "ifo"}
    params |= {f"b_{gate}": normal(n, scale=0.1) for gate in "ifgo"}
    return params, normal(T, B, m), normal(T, B, n)


# ---- one contender


def work(name: str, params: dict, xs: Any, u: Any) -> Callable[[], tuple[Any, dict]]:
    """A call that computes the loss and its gradients, and waits until they are there."""
    if name == "tapegrad":
        import with_tapegrad

        return lambda: with_tapegrad.value_and_grad(params, xs, u)
    if name == "autograd":
        import with_autograd

        return lambda: with_autograd.value_and_grad(params, xs, u)
    if name == "JAX":
        import jax
        import with_jax

        given = jax.device_put((params, xs, u))
        return lambda: jax.block_until_ready(with_jax.value_and_grad(*given))
    import torch
    import with_torch

    torch.set_num_threads(1)
    weights = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
    step = torch.compile(with_torch.step) if name.endswith("compiled") else with_torch.step
    x, c = torch.tensor(xs), torch.tensor(u)
    return lambda: with_torch.value_and_grad(weights, x, c, step)


def results(outcome: tuple[Any, dict]) -> tuple[float, dict]:
    """The loss and the gradients as NumPy arrays."""
    import numpy as np

    value, grads = outcome
    value = value.detach() if hasattr(value, "detach") else value
    return float(value), {key: np.asarray(g) for key, g in grads.items()}


def deviations(names: list[str], shape: tuple[int, int, int, int]) -> dict[str, float]:
    """The largest error of a gradient, relative to its largest element; the truth is computed in float64."""
    import numpy as np
    from with_tapegrad import value_and_grad

    import tapegrad as tg

    given = data(shape)
    with tg.backend("reference"):
        _, truth = value_and_grad(*tg.tree_map(np.float64, given))
    found = {}
    for name in names:
        _, grads = results(work(name, *given)())
        found[name] = max(float(np.max(np.abs(grads[k] - g)) / np.max(np.abs(g))) for k, g in truth.items())
    return found


# ---- times


def first_call(name: str, shape: tuple[int, int, int, int]) -> None:
    """Print the seconds of the first call, without imports; run in a process of its own."""
    once = work(name, *data(shape))
    start = time.perf_counter()
    once()
    print(time.perf_counter() - start)


def first_calls(names: list[str], shape: tuple[int, int, int, int], rounds: int) -> dict[str, float]:
    """Medians over new processes. Caches on disk are empty, but for "tapegrad, next process"."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in names:
            with tempfile.TemporaryDirectory() as empty:
                places = {"TAPEGRAD_CACHE_DIR": empty, "TORCHINDUCTOR_CACHE_DIR": empty}
                command = [sys.executable, __file__, "--first", name, *map(str, shape)]
                for label in [name, f"{name}, next process"][: 1 + (name == "tapegrad")]:
                    done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, check=True)
                    found.setdefault(label, []).append(float(done.stdout))
    return {label: statistics.median(seconds) for label, seconds in found.items()}


def times(names: list[str], shape: tuple[int, int, int, int], rounds: int, patience: float) -> dict[str, dict]:
    """Milliseconds of a call that is not the first: all take turns."""
    from tapegrad.benchmarks.timing import in_turn

    calls = {name: work(name, *data(shape)) for name in names}
    for once in calls.values():
        once()
    measured = in_turn(calls, rounds, budget=30.0, patience=patience, spare=1)
    return {
        name: {"median": 1e3 * t.median, "least": 1e3 * t.best, "most": 1e3 * max(t.seconds), "others": max(t.others)}
        for name, t in measured.items()
    }


def measure(command: str, rounds: int, patience: float, quick: bool) -> dict[str, Any]:
    """Everything about the contenders that are installed."""
    from tapegrad.benchmarks.record import environment

    names = [name for name in installed() if not (quick and name.endswith("compiled"))]
    found = environment()
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"one thread on {found['cpu']} ({found['machine']}), of {os.cpu_count()} processors",
        "versions": {"python": found["python"], **found["versions"]} | _version("autograd"),
        "rounds": rounds,
        "deviations": deviations(names, SHAPES["a batch"]),
        "first_call": first_calls(names, SHAPES["a batch"], 1 if quick else 3),
        "times": {label: times(names, shape, rounds, patience) for label, shape in SHAPES.items()},
    }


def _version(package: str) -> dict[str, str]:
    from importlib.metadata import version

    return {package: version(package)} if find_spec(package) is not None else {}


def recorded() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one first call each, and none of a compiled step")
    parser.add_argument("--write", action="store_true", help=f"also write {RECORD.name}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for other programs")
    parser.add_argument("--first", nargs=5, metavar=("NAME", "T", "B", "I", "H"), help="time one first call, and stop")
    options = parser.parse_args()
    if options.first:
        name, *sizes = options.first
        first_call(name, tuple(map(int, sizes)))  # type: ignore[arg-type]
        return
    command = " ".join(["python docs/derivations/same_cell/compare.py", *sys.argv[1:]])
    text = json.dumps(measure(command, options.rounds, options.patience, options.quick), indent=1)
    print(text)
    if options.write:
        RECORD.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    # Before NumPy and JAX are imported: they count threads then.
    os.environ.update(ONE_THREAD)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main()
