"""The cells that are measured by name, and cells of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tapegrad.cells import GRU, LSTM, Cell, Elman

from ..commands.user_cells import user_cell
from ..errors import OptionError, TapegradError
from . import drawn, own_recipes, recipes
from .cells import FastWeights, PeepholeLSTM
from .recipes import Recipe
from .work import Shape


@dataclass(frozen=True)
class Entry:
    """A cell, and what peers know about it.

    Attributes
    ----------
    name : str
    make : callable
        ``(input_size, hidden_size) -> Cell``.
    recipe : type of Recipe, optional
        For what is written by hand in torch and JAX.
    layer : str
        Its name among the layers that libraries have; empty where none has it.
    """

    name: str
    make: Callable[[int, int], Cell]
    recipe: type[Recipe] | None = None
    layer: str = ""

    def build(self, shape: Shape) -> Cell:
        """The cell for this shape.

        Raises
        ------
        OptionError
            When it cannot be made of these sizes.
        """
        try:
            return self.make(shape.I, shape.H)
        except TapegradError:
            raise
        except Exception as error:  # a user's cell can raise anything
            raise OptionError(
                f"cell {self.name}: cannot be made of input_size={shape.I}, hidden_size={shape.H}: "
                f"{type(error).__name__}: {error}"
            ) from error


CELLS = {
    entry.name: entry
    for entry in (
        Entry("lstm", LSTM, recipes.LSTM, "lstm"),
        Entry("gru", GRU, recipes.GRU, "gru"),
        Entry("gru_after", lambda m, n: GRU(m, n, reset_after=True), recipes.GRUAfter, "gru_after"),
        Entry("elman", Elman, recipes.Elman, "elman"),
        Entry("peephole", PeepholeLSTM, own_recipes.Peephole),
        Entry("fastweights", FastWeights, own_recipes.FastWeights),
        Entry("drawn1", drawn.Drawn1, own_recipes.Drawn1),
        Entry("drawn2", drawn.Drawn2, own_recipes.Drawn2),
        Entry("drawn3", drawn.Drawn3, own_recipes.Drawn3),
    )
}


def entries(named: str | None, own: list[str]) -> list[Entry]:
    """The cells to measure: those named, all when nothing is said, and the user's own.

    Raises
    ------
    OptionError
        When a name is unknown, or a cell cannot be imported.
    """
    names = list(CELLS) if named is None and not own else [n.strip() for n in (named or "").split(",") if n.strip()]
    for name in names:
        if name not in CELLS:
            raise OptionError(
                f"--cells {name}: unknown; choose from {', '.join(CELLS)}, and give a cell of your own by --cell"
            )
    return [*[CELLS[name] for name in dict.fromkeys(names)], *[own_cell(name) for name in own]]


def own_cell(name: str) -> Entry:
    """The cell that ``module:Class`` or ``path.py:Class`` names.

    Raises
    ------
    OptionError
        When it cannot be imported or is no cell.
    """
    own: Callable[..., Cell] = user_cell("--cell", name)
    return Entry(name, lambda m, n: own(input_size=m, hidden_size=n))
