"""All cells of this folder, made with lengths that differ."""

import dataclasses
from functools import cache
from inspect import isclass

from tapegrad.cells import Cell
from tapegrad.symbolic import derive

from . import dynamics, gated, manners, memories
from .steps import Memory, SoftmaxRNN

SIZES = (3, 4, 5, 2)


def made(kind, sizes=SIZES):
    """A cell with the first of its sizes."""
    names = [field.name for field in dataclasses.fields(kind) if field.name.endswith("_size")]
    return kind(**dict(zip(names, sizes, strict=False)))


@cache
def derived(kind, sizes=SIZES):
    """Its derivation in the default notation: nobody may change it."""
    return derive(made(kind, sizes))


KINDS = [
    kind
    for module in (gated, dynamics, memories, manners)
    for kind in vars(module).values()
    if isclass(kind) and issubclass(kind, Cell) and kind.__module__ == module.__name__ and kind.step is not Cell.step
] + [SoftmaxRNN, Memory]
