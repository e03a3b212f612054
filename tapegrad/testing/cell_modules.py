"""The cells of a user's module: one test for each. pytest is imported by the decorator alone."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tapegrad.cells import Cell

from ..errors import OptionError, TapegradError

SIZES = (3, 4, 5, 6, 7)  # what sizes are when nothing is said; they only have to differ


def each_cell(
    module: str | ModuleType, *, sizes: Mapping[str, Any] | None = None, leave_out: Collection[str] = ()
) -> Any:
    """A decorator for pytest: the test runs once for each cell of a module, as its argument ``cell``.

    Parameters
    ----------
    module : str or module
        "mypackage.cells", a path "cells.py" from where pytest is started, or the module itself.
    sizes, leave_out
        As for :func:`cells_of`.

    Returns
    -------
    decorator
        ``pytest.mark.parametrize`` of ``cell``; the ids are the names of the classes.

    Raises
    ------
    OptionError
        As :func:`cells_of`, when pytest collects the test.

    Examples
    --------
    In a test file:

    >>> import tapegrad.cells
    >>> from tapegrad.testing import check_cell, each_cell
    >>> @each_cell("tapegrad.cells", sizes={"GRU": {"reset_after": True}}, leave_out={"DeepTransition", "Stacked"})
    ... def test_cell(cell):
    ...     check_cell(cell)
    """
    import pytest

    found = _found("each_cell", module, sizes, leave_out)
    return pytest.mark.parametrize("cell", [pytest.param(cell, id=name) for name, cell in found.items()])


def cells_of(
    module: str | ModuleType, *, sizes: Mapping[str, Any] | None = None, leave_out: Collection[str] = ()
) -> dict[str, Cell]:
    """The cells of a module, made with small sizes.

    They are the subclasses of Cell that the module, or a submodule of the package, defines, and those that its
    ``__all__`` names; without those that have no step of their own or of a base, and those whose names begin with an
    underscore.

    Parameters
    ----------
    module : str or module
        "mypackage.cells", a path "cells.py", or the module itself.
    sizes : dict, optional
        From the name of a class to its options, to an instance, or to a list of these. Options ending in ``_size`` that
        have no default and are not given are small, and all different.
    leave_out : collection of str
        Names of classes.

    Returns
    -------
    dict of str to Cell
        Under the name of the class; of several with their options, "GRU-reset_after=True".

    Raises
    ------
    OptionError
        When the module cannot be imported, has no cells, or does not have one that is named, and when a cell cannot
        be made without further options.

    Examples
    --------
    >>> list(cells_of("tapegrad.cells.gated.gru", sizes={"GRU": [{}, {"reset_after": True}]}))
    ['GRU', 'GRU-reset_after=True']
    """
    return _found("cells_of", module, sizes, leave_out)


def _found(
    caller: str, module: str | ModuleType, sizes: Mapping[str, Any] | None, leave_out: Collection[str]
) -> dict[str, Cell]:
    if isinstance(leave_out, str):
        leave_out = (leave_out,)
    try:
        held = module if isinstance(module, ModuleType) else imported(module)
    except Exception as error:  # a user's module can raise anything
        raise OptionError(f"{caller}: {module}: cannot import it: {type(error).__name__}: {error}") from error
    classes = cell_classes(held)
    name, sizes = getattr(module, "__name__", module), dict(sizes or {})
    if not classes:
        raise OptionError(
            f"{caller}: {name} has no cells; expected subclasses of tapegrad.cells.Cell with a step, that it defines "
            "or names in __all__"
        )
    unknown = sorted({*sizes, *leave_out} - set(classes))
    if unknown:
        raise OptionError(f"{caller}: {name} has no cell {unknown[0]!r}; it has {', '.join(classes)}")
    kept = {key: cls for key, cls in classes.items() if key not in leave_out}
    if not kept:
        raise OptionError(f"{caller}: leave_out leaves no cell of {name}; it has {', '.join(classes)}")
    return {label: cell for key, cls in kept.items() for label, cell in _made(caller, cls, sizes.get(key, {}))}


def cell_classes(module: ModuleType) -> dict[str, type[Cell]]:
    """The cells that a module offers, in its order."""
    listed = set(getattr(module, "__all__", ()))
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Cell) and value.step is not Cell.step
        and not name.startswith("_") and name == value.__name__
        and (name in listed or f"{value.__module__}.".startswith(f"{module.__name__}."))
    }  # fmt: skip


def _made(caller: str, cls: type[Cell], ways: Any) -> list[tuple[str, Cell]]:
    """Cells of a class, with their labels."""
    several = ways if isinstance(ways, (list, tuple)) else [ways]
    found: dict[str, Cell] = {}
    for number, way in enumerate(several):
        if isinstance(way, Cell):
            label, cell = f"{cls.__name__}-{number}" if len(several) > 1 else cls.__name__, way
        elif isinstance(way, Mapping):
            said = "-".join(f"{key}={value}" for key, value in way.items())
            label = f"{cls.__name__}-{said}" if len(several) > 1 and said else cls.__name__
            cell = _with_options(caller, cls, way)
        else:
            raise OptionError(
                f"{caller}: sizes[{cls.__name__!r}] has {way!r}; give a dict of its options, or an instance"
            )
        found[label if label not in found else f"{label}-{number}"] = cell
    return list(found.items())


def _with_options(caller: str, cls: type[Cell], options: Mapping[str, Any]) -> Cell:
    try:
        return sized(cls, options)
    except TapegradError:
        raise
    except Exception as error:  # a user's cell can raise anything
        raise OptionError(
            f"{caller}: {cls.__name__} cannot be made: {type(error).__name__}: {error}; give its options as "
            f"sizes={{{cls.__name__!r}: {{...}}}}, or leave_out={{{cls.__name__!r}}}"
        ) from error


def sized(cls: type[Cell], options: Mapping[str, Any]) -> Cell:
    """A cell with these options; sizes that are not among them and have no default are small, and all different."""
    sizes, given = iter(SIZES), dict(options)
    for field in dataclasses.fields(cls):
        if field.name.endswith("_size") and field.name not in given and field.default is dataclasses.MISSING:
            given[field.name] = next(sizes)
    return cls(**given)


def imported(module: str) -> ModuleType:
    """A module of the user's, by its name or the path of its file."""
    if not module.endswith(".py"):
        if os.getcwd() not in sys.path:
            # An installed program starts with its own folder on the path; the user's cell is where they work.
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(module)
    path = Path(module)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {module}")
    made = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, made)  # where classes look for the module that they say they are from
    spec.loader.exec_module(made)
    return made
