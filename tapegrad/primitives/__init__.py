"""The primitives: one table file for each family."""

from . import contract, elementwise, indexing, reductions, shaping, special
from .registry import Primitive, primitives

__all__ = ["Primitive", "contract", "elementwise", "indexing", "primitives", "reductions", "shaping", "special"]
