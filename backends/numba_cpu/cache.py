"""Compiled functions of generated source, kept in memory and on disk.

Numba's own disk cache wants a function to come from a module's file, trusts any file that can be unpickled, and lets
two processes that compile different signatures at once overwrite each other's code. Here each entry and signature has
one file of its own, whose name and digest come from everything that the machine code depends on.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import pickle
import platform
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import sigutils
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

import tapegrad

from . import cache_files, linked, runtime
from .fingerprint import FINGERPRINT
from .vectors import BITS

FLAGS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
KEPT = 256  # sources whose functions stay in memory when nobody else holds them
# Numba's settings that change the code that it makes.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")

Functions = tuple[Callable[..., Any], ...]
_recent: OrderedDict[tuple[str, tuple[str, ...]], Functions] = OrderedDict()
_alive: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def _new_lock() -> None:
    """A fork may happen while another thread holds the lock; that thread is not there in the child."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def compiled(source: str, entries: tuple[str, ...]) -> Functions:
    """The compiled functions of a source text. Equal texts are compiled once, across processes too.

    Parameters
    ----------
    source : str
        Python text that defines functions, among them those named in ``entries``. It begins with
        ``from tapegrad.backends.numba_cpu.runtime import *``. The functions may call one another.
    entries : tuple of str
        The functions that are called from Python. A function is compiled when it is called with arguments of new types.

    Returns
    -------
    tuple of callable
        Numba's dispatchers, in the order of ``entries``.

    Raises
    ------
    ValueError
        If the source does not define an entry.
    OptionError
        If ``TAPEGRAD_CACHE_SIZE`` is not a whole number.
    """
    with _lock:
        found = _recent.get((source, entries))
        if found is None:
            cache_files.size_limit()
            found = _recent[source, entries] = _dispatchers(source, entries)
            if len(_recent) > KEPT:
                _recent.popitem(last=False)
        else:
            _recent.move_to_end((source, entries))
        return found


def _dispatchers(source: str, entries: tuple[str, ...]) -> Functions:
    """Dispatchers for the entries; those that someone still holds are not made again."""
    found: dict[str, Any] = {name: _alive.get((source, name)) for name in entries}
    if None in found.values():
        identity = _identity(source)
        digest = identity.hex()[:32]
        space = _executed(source, digest)
        for name, there in found.items():
            if not isinstance(space.get(name), numba.core.dispatcher.Dispatcher | FunctionType):
                raise ValueError(f"compiled: the source defines no function {name!r}; entries={entries!r}")
            if there is None:
                # Not the dispatcher that the other functions call: code that comes from a file cannot be inlined.
                made = found[name] = numba.njit(**FLAGS)(getattr(space[name], "py_func", space[name]))
                if hasattr(made, "_cache"):
                    made._cache = MachineCode(name, digest, identity)
                _alive[source, name] = made
    return tuple(found[name] for name in entries)


def _executed(source: str, digest: str) -> dict[str, Any]:
    """The names that the source defines, its functions ready to be called from one another."""
    place = cache_files.folder()
    path = (place or Path("<tapegrad>")) / f"{digest}.py"
    if place is not None:
        cache_files.keep_text(path, source)  # to be read, in an editor or by Numba for its error messages
    filename = str(path)
    # For tracebacks, whether the file is there or not; without a time of change it is not looked for.
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    # Numba looks the module up by this name when it loads machine code.
    space: dict[str, Any] = {"__name__": runtime.__name__}
    exec(compile(source, filename, "exec"), space)
    for name, value in list(space.items()):
        if isinstance(value, FunctionType) and value.__code__.co_filename == filename:
            # Numba numbers functions in each process anew, and code from another process brings its names along.
            value.__name__ = value.__qualname__ = f"{name}_{digest}"
            space[name] = numba.njit(**FLAGS)(value)
    return space


def _identity(source: str) -> bytes:
    """A digest of all that the machine code of a source depends on."""
    versions = tapegrad.__version__, numba.__version__, llvmlite.__version__, np.__version__, sys.version
    machine = platform.machine(), sys.implementation.cache_tag, BITS, cpu_target.target_context.codegen().magic_tuple()
    settings = [getattr(numba.config, name, None) for name in _SETTINGS]
    everything = source, sorted(FLAGS.items()), versions, machine, settings, FINGERPRINT
    return hashlib.sha256(repr(everything).encode()).digest()


class MachineCode(_Cache):
    """Where Numba asks for the machine code of one entry, and leaves it."""

    def __init__(self, name: str, digest: str, identity: bytes):
        self.name, self.digest, self.identity = name, digest, identity

    @property
    def cache_path(self) -> str:
        return str(cache_files.folder() or "")

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...

    def _place(self, sig: Any) -> tuple[Path, bytes] | None:
        place = cache_files.folder()
        if place is None or FINGERPRINT is None:
            return None
        args, result = sigutils.normalize_signature(sig)
        identity = self.identity + repr((self.name, [str(kind) for kind in args], str(result))).encode()
        name = hashlib.sha256(identity).hexdigest()[:16]
        return place / f"{self.digest}-{name}.code", identity

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, None if it has to be compiled."""
        place = self._place(sig)
        content = None if place is None else cache_files.read(*place)
        if place is None or content is None:
            return None
        try:
            symbols, result = pickle.loads(content)
            if not _resolved(symbols, target_context):
                return None
            return CompileResult._rebuild(target_context, *result)
        except Exception:  # whatever is wrong with it, the function can be compiled
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature."""
        place = self._place(sig)
        if place is None or data.lifted or data.library.has_dynamic_globals:
            return
        try:
            content = dumps((list(_declared(data.library._final_module)), data._reduce()))
        except Exception:  # it cannot be kept, but it can be called
            return
        cache_files.write(*place, content)


def _declared(module: Any) -> Iterator[str]:
    """The symbols that a module takes from elsewhere."""
    for group in (module.functions, module.global_variables):
        yield from (it.name for it in group if it.is_declaration and not it.name.startswith("llvm."))


def _resolved(symbols: list[str], target_context: Any) -> bool:
    """Whether the symbols are there; LLVM ends the process over one that is not.

    Numba registers all that its functions could use before it loads code, which takes 0.2 seconds. What generated
    source uses is there once Numba's memory management is.
    """
    rtsys.initialize(target_context)
    for name in symbols:
        linked.provide(name)
    if all(llvm.address_of_symbol(name) for name in symbols):
        return True
    target_context.refresh()
    return all(llvm.address_of_symbol(name) for name in symbols)
