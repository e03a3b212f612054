"""What a backend is, the registry of backends, and the choice between them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from tapegrad.errors import BackendError, UnsupportedPrimitive
from tapegrad.scan_primitive import Step


class Backend(Protocol):
    """Something that can run a traced scan."""

    name: str

    def missing(self, step: Step) -> str | None:
        """What the backend cannot run of a step: the name of a primitive, or a phrase; None if it can run all."""

    def run(self, step: Step, args: Sequence[Any], length: int, reverse: bool) -> tuple:
        """Run the loop.

        Parameters
        ----------
        step : Step
        args : sequence of array
            The params, then the initial states, then the xs with a leading axis of ``length``.
        length : int
        reverse : bool

        Returns
        -------
        tuple of array
            The final states, the ys with a leading axis of ``length``, and the sums.
        """


_LOADERS: dict[str, Callable[[], Backend]] = {
    "reference": lambda: import_module("tapegrad.backends.reference").ReferenceBackend(),
    "numba": lambda: import_module("tapegrad.backends.numba_cpu.backend").NumbaBackend(),
}
_LOADED: dict[str, Backend] = {}
_WARNED: set[tuple[str, str]] = set()


def register(name: str, load: Callable[[], Backend]) -> None:
    """Add a backend; ``load`` is called when it is first used.

    "auto" prefers the backend that was registered last among those that can run a step.
    """
    _LOADERS[name] = load
    _LOADED.pop(name, None)


def available() -> list[str]:
    """The names of the backends, in the order in which they were registered.

    >>> "reference" in available()
    True
    """
    return list(_LOADERS)


def _load(name: str) -> Backend:
    if name not in _LOADERS:
        raise BackendError(f"backend={name!r} is not available; there are {', '.join(map(repr, ['auto', *_LOADERS]))}")
    if name not in _LOADED:
        _LOADED[name] = _LOADERS[name]()
    return _LOADED[name]


def select(name: str, step: Step) -> Backend:
    """The backend to run a step.

    Raises
    ------
    BackendError
        When there is no backend of that name.
    UnsupportedPrimitive
        When a backend that was asked for by name cannot run the step.
    """
    if name != "auto":
        chosen = _load(name)
        if (missing := chosen.missing(step)) is not None:
            raise UnsupportedPrimitive(
                f"backend {name!r} cannot run {_said(missing)} in this step; use backend='auto' or 'reference'"
            )
        return chosen
    for candidate in reversed(_LOADERS):
        chosen = _LOADED.get(candidate) or _load(candidate)
        if (missing := chosen.missing(step)) is None:
            return chosen
        if (candidate, missing) not in _WARNED:
            _WARNED.add((candidate, missing))
            warnings.warn(
                f"backend {candidate!r} cannot run {_said(missing)}; another one runs this scan", stacklevel=2
            )
    raise BackendError("no backend can run this step; the reference backend was replaced by one that cannot")


def _said(missing: str) -> str:
    return f"the primitive {missing!r}" if missing.isidentifier() else missing
