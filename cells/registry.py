"""The one list of cells: every check that says "every cell" runs over it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tapegrad.errors import OptionError

from .layer import Layer

C = TypeVar("C", bound=type[Layer])
Builder = Callable[[np.random.Generator], Any]

KINDS = ("cell", "readout", "layer")

_REGISTRY: dict[str, tuple[str, type[Any], tuple[Variant, ...]]] = {}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way in which a registered cell can be set up.

    Attributes
    ----------
    cell : type
        The class.
    label : str
        What tells it from the other variants of the class; ``str(variant)`` joins both.
    builder : callable
        ``rng -> cell``.
    """

    __pytree_leaf__ = True

    cell: type[Any]
    label: str
    builder: Builder = dataclasses.field(repr=False)

    def build(self, rng: np.random.Generator) -> Any:
        """A small cell of this variant with random sizes."""
        return self.builder(rng)

    def __str__(self) -> str:
        return f"{self.cell.__name__}[{self.label}]" if self.label else self.cell.__name__


def register(
    *, variants: Mapping[str, Mapping[str, Any] | Builder] | None = None, kind: str = "cell"
) -> Callable[[C], C]:
    """Decorator that enters a class into the registry.

    Parameters
    ----------
    variants : dict, optional
        From a label to the options that differ, or to a function ``rng -> cell``. Options
        that end in ``_size`` and are not given are drawn at random, all different. By default one variant
        with all other options at their defaults.
    kind : {"cell", "readout", "layer"}
        A layer is what is no recurrent cell and no readout: what runs both ways in time, drops elements, or gives other
        numbers of steps.

    Raises
    ------
    OptionError
        When another class is registered under this name.

    Examples
    --------
    ``@register(variants={"before": {}, "after": {"reset_after": True}})`` above ``class GRU(Cell)``.
    """
    _check_kind("register", kind)

    def enter(cls: C) -> C:
        name = cls.__name__
        key = name.lower()
        held = _REGISTRY.get(key)
        # A notebook runs its cells again: the same definition may replace itself.
        if held and (held[1].__module__, held[1].__qualname__) != (cls.__module__, cls.__qualname__):
            raise OptionError(
                f"register: {name} is the name of {held[1].__module__}.{held[1].__qualname__} already; rename the class"
            )
        ways = {"": {}} if variants is None else variants
        made = [Variant(cls, label, way if callable(way) else _sized(cls, dict(way))) for label, way in ways.items()]
        _REGISTRY[key] = (kind, cls, tuple(made))
        return cls

    return enter


def _sized(cls: type[Any], options: dict[str, Any]) -> Builder:
    sizes = [field.name for field in dataclasses.fields(cls) if field.name.endswith("_size")]
    sizes = [name for name in sizes if name not in options]

    def build(rng: np.random.Generator) -> Any:
        # All different, so that weights laid out the wrong way round do not fit by chance.
        drawn = rng.permutation(np.arange(1, len(sizes) + 5))[: len(sizes)].tolist()
        return cls(**dict(zip(sizes, drawn, strict=True)), **options)

    return build


def cells(kind: str = "cell") -> tuple[type[Any], ...]:
    """The registered classes: recurrent cells, or with ``kind="readout"`` the readouts, with ``"layer"`` the layers.

    >>> "LSTM" in [cell.__name__ for cell in cells()]
    True
    """
    _check_kind("cells", kind)
    return tuple(cls for _, (held, cls, _) in sorted(_REGISTRY.items()) if held == kind)


def variants(kind: str = "cell") -> tuple[Variant, ...]:
    """Every way to set up every registered cell, to run a check over.

    >>> for variant in variants():
    ...     cell = variant.build(np.random.default_rng(0))
    """
    _check_kind("variants", kind)
    return tuple(variant for _, (held, _, made) in sorted(_REGISTRY.items()) if held == kind for variant in made)


def _check_kind(name: str, kind: str) -> None:
    if kind not in KINDS:
        raise OptionError(f"{name}: kind={kind!r}, expected {' or '.join(map(repr, KINDS))}")


def find(name: str) -> type[Any]:
    """The registered cell or readout of this name, in whatever case.

    ``tapegrad cells`` prints all of them. A class of yours is there once the module that registers it was imported.

    Raises
    ------
    OptionError
        When there is none; names that are nearly alike are in the message.

    Examples
    --------
    >>> find("lstm").__name__
    'LSTM'
    """
    known = {key: cls for key, (kind, cls, _) in _REGISTRY.items() if kind != "layer"}
    try:
        return known[str(name).lower()]
    except KeyError:
        raise OptionError(f"find: no cell is called {name!r}; {_remedy(str(name), known)}") from None


def _remedy(name: str, known: Mapping[str, type[Any]]) -> str:
    """What to say about a name that there is not."""
    if near := [known[key].__name__ for key in difflib.get_close_matches(name.lower(), known, 3)]:
        return f"near it is {', '.join(near)}; `tapegrad cells` lists them all"
    return f"give one of {', '.join(sorted(cls.__name__ for cls in known.values()))}, or register yours"
