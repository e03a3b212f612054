"""Checks of derivatives, and Hypothesis strategies, for test suites that stand on tapegrad.

The checkers need nothing beyond NumPy. The strategies :func:`arrays`, :func:`shapes`, :func:`pytrees`,
:func:`programs`, :func:`cells` and :func:`sequences` need Hypothesis (``pip install "tapegrad[test]"``), which is
imported when one of them is first used; :func:`each_cell` needs pytest.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from .agreement import assert_gradients_close as assert_gradients_close
from .cell_check import CellMismatch as CellMismatch
from .cell_check import check_cell as check_cell
from .cell_report import CellReport as CellReport
from .gradients import GradientMismatch as GradientMismatch
from .gradients import RoughDerivative as RoughDerivative
from .gradients import check_grads as check_grads
from .products import check_adjoint as check_adjoint
from .products import check_jvp as check_jvp
from .products import check_vjp as check_vjp

_LATE = {
    "arrays": "strategies", "shapes": "strategies", "pytrees": "random_trees", "programs": "random_programs",
    "cells": "random_cells", "sequences": "random_sequences", "Sequence": "random_sequences",
    "each_cell": "cell_modules", "cells_of": "cell_modules",
}  # fmt: skip

__all__ = [
    "CellMismatch", "CellReport", "GradientMismatch", "RoughDerivative", "Sequence", "arrays",
    "assert_gradients_close", "cells", "cells_of", "check_adjoint", "check_cell", "check_grads", "check_jvp",
    "check_vjp", "each_cell", "programs", "pytrees", "sequences", "shapes",
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name in _LATE:
        return getattr(_import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
