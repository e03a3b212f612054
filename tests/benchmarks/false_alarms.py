"""How often the checkers accuse what is right: correct programs, cells and primitives are drawn, and checked.

    python tests/benchmarks/false_alarms.py --cases 10000 --seed 0

Programs are checked to second order by check_grads, cells by check_cell with some of its oracles, in both dtypes, and
every primitive on calls drawn from its row of tests/specs.py, to the order that it has. The exit status is 1 when
anything was accused; the case is printed as it was drawn. What evaluation cannot judge (RoughDerivative) is counted
apart: it is no accusation.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
os.environ.setdefault("TAPEGRAD_BACKEND", "reference")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the environment is set
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tapegrad.testing import RoughDerivative, cells, check_cell, check_grads, programs  # noqa: E402
from tests.primitives.flat import FlatCall  # noqa: E402
from tests.specs import SMOOTH  # noqa: E402

# Differences by each number take long, and the equations are derived: some of the cells only.
ORACLES = st.sampled_from([
    ("tape", "reference"), ("tape", "reference", "rtrl"), ("tape", "reference", "rtrl", "differences"),
    ("tape", "reference", "sympy"),
])  # fmt: skip
DTYPES = st.sampled_from([np.float64, np.float64, np.float32])
NUMBERS = st.integers(0, 2**32 - 1)
SHARES = {"programs": 0.47, "cells": 0.06, "primitives": 0.47}


class Done(Exception):
    """The time is over."""


def check_program(drawn) -> None:
    program, number = drawn
    check_grads(program, program.args, order=2, seed=number)


def check_drawn_cell(drawn) -> None:
    cell, number, dtype, oracles = drawn
    check_cell(cell, oracles=oracles, seed=number, dtype=dtype)


def check_row(drawn) -> None:
    (spec, call), number = drawn
    flat = FlatCall(spec, call)
    check_grads(flat, flat.leaves, order=spec.order, seed=number)


ROWS = st.sampled_from(SMOOTH).flatmap(lambda spec: st.tuples(st.just(spec), spec.calls))
KINDS = {
    "programs": (st.tuples(programs(), NUMBERS), check_program),
    "cells": (st.tuples(cells(), NUMBERS, DTYPES, ORACLES), check_drawn_cell),
    "primitives": (st.tuples(ROWS, NUMBERS), check_row),
}


def run(kind: str, cases: int, number: int, until: float) -> Counter:
    """Draw and check; what is accused is printed when it is met."""
    strategy, check = KINDS[kind]
    found: Counter = Counter()

    @seed(number)
    @settings(max_examples=cases, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def draw(drawn) -> None:
        if time.monotonic() > until:
            raise Done
        try:
            check(drawn)
            found["passed"] += 1
        except RoughDerivative:
            found["not judged"] += 1
        except Exception as error:
            found["accused"] += 1
            print(f"\n{kind}: {drawn!r}\n{type(error).__name__}: {error}\n", flush=True)

    try:
        draw()
    except Done:
        found["out of time"] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10000, metavar="N", help="how many in all [10000]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn [0]")
    parser.add_argument("--minutes", type=float, default=9.5, metavar="M", help="stop after so many [9.5]")
    parser.add_argument("--only", choices=KINDS, help="cases of one kind alone")
    args = parser.parse_args()
    until = time.monotonic() + 60 * args.minutes
    accused = 0
    shares = {args.only: 1.0} if args.only else SHARES
    print(f"python {' '.join(sys.argv)}")
    for kind, share in shares.items():
        start = time.process_time()
        found = run(kind, round(share * args.cases), args.seed, until)
        accused += found["accused"]
        counts = ", ".join(f"{found[name]} {name}" for name in ("passed", "not judged", "accused"))
        cut = "; the time was over" if found["out of time"] else ""
        print(f"{kind:<11} {counts}; {time.process_time() - start:.0f} s of processor time{cut}", flush=True)
    return 1 if accused else 0


if __name__ == "__main__":
    sys.exit(main())
