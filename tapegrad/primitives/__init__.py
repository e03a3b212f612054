"""The primitives: one table file for each family."""

from . import contract, decompositions, elementwise, indexing, linalg, reductions, shaping, special
from .registry import Primitive, primitives

__all__ = [
    "Primitive", "contract", "decompositions", "elementwise", "indexing", "linalg", "primitives", "reductions",
    "shaping", "special",
]  # fmt: skip
