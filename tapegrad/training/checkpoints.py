"""Checkpoints on disk: named pytrees of arrays with a configuration, in one safetensors file.

Nothing in a checkpoint is code: arrays, and a configuration in JSON and a checksum in the file's metadata. A file is
written beside its place and moved there whole, so that a reader, or a machine that stops at a bad moment, finds the
old checkpoint or the new one and never a part.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import pytree
from ..errors import FileError, StructureError
from ..files import (
    PathLike,
    make_temporary,
    one_line,
    read_metadata,
    read_safetensors,
    storable,
    write_safetensors,
)  # fmt: skip

__all__ = ["Checkpoint", "check_writable", "load_checkpoint", "rng_from_state", "rng_state", "save_checkpoint"]

FORMAT = "tapegrad checkpoint 1"
_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")

WHAT = "a tapegrad model"


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`load_checkpoint` found.

    Attributes
    ----------
    path : str
    arrays : dict
        Arrays by name, ``"<tree>/<path in the tree>"``.
    config : dict
        What was given to :func:`save_checkpoint`.
    """

    path: str
    arrays: dict[str, np.ndarray]
    config: dict[str, Any]

    def tree(self, name: str, like: Any) -> Any:
        """One of the saved pytrees, in the containers of ``like``.

        Parameters
        ----------
        name : str
            The key under which the tree was saved.
        like : pytree of arrays
            A tree of the same structure, shapes and dtypes, such as freshly initialised parameters.

        Raises
        ------
        FileError
            The file holds another tree: names, shapes or dtypes differ.
        """
        wanted = {f"{name}/{path}": leaf for path, leaf in zip(pytree.paths(like), pytree.leaves(like), strict=True)}
        present = {key for key in self.arrays if key.startswith(f"{name}/")}
        odd = sorted(present ^ wanted.keys())
        if odd:
            where = "has an array that was not expected" if odd[0] in present else "lacks an array"
            raise FileError(f"{self.path!r} {where}: {odd[0]}; it holds another model than its configuration says")
        for key, leaf in wanted.items():
            have, want = self.arrays[key], np.asarray(leaf)
            if (have.shape, have.dtype) != (want.shape, want.dtype):
                raise FileError(
                    f"{self.path!r}: {key} is {have.dtype}{list(have.shape)}, expected {want.dtype}{list(want.shape)}"
                )
        return pytree.structure(like).unflatten([self.arrays[key] for key in wanted])


def save_checkpoint(path: PathLike, trees: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Write pytrees of arrays and a configuration, atomically.

    Parameters
    ----------
    path : str or path
        An existing file is replaced only when the new one is complete and on the disk; a link is followed.
    trees : mapping of str to pytree
        For instance ``{"params": params, "optimizer": opt_state}``. Names without ``/``.
    config : mapping
        Anything that JSON can hold.

    Raises
    ------
    FileError
        The file cannot be written; what was there before is untouched.
    DtypeError
        An array has a dtype that safetensors cannot hold.
    StructureError
        Two leaves of a tree have the same path.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, tree in trees.items():
        for key, leaf in zip(pytree.paths(tree), pytree.leaves(tree), strict=True):
            full = f"{name}/{key}"
            if full in arrays:
                raise StructureError(f"save_checkpoint: two leaves are called {full}; rename a key")
            arrays[full] = storable(full, leaf, "save_checkpoint")
    stored = json.dumps(dict(config), sort_keys=True)
    metadata = {"format": FORMAT, "config": stored, "sha256": _digest(arrays, stored)}
    write_safetensors(path, arrays, metadata)


def load_checkpoint(path: PathLike) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote.

    Raises
    ------
    FileError
        The file is missing, damaged, cut short, or was not written by :func:`save_checkpoint`.
    """
    name = os.fspath(path)
    _check_format(name, read_metadata(path, WHAT))
    metadata, arrays = read_safetensors(path, WHAT)
    try:
        if _digest(arrays, metadata["config"]) != metadata["sha256"]:
            raise ValueError("its contents do not have the checksum that was stored with them")
        config = json.loads(metadata["config"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{name!r} is not {WHAT}, or is damaged: {one_line(error)}") from error
    if not isinstance(config, dict):
        raise FileError(f"{name!r} is damaged: its configuration is not a JSON object")
    return Checkpoint(name, arrays, config)


def check_writable(path: PathLike) -> None:
    """Raise now if :func:`save_checkpoint` could not, or should not, write to ``path`` later.

    Raises
    ------
    FileError
        The folder is missing or does not let files be made in it; ``path`` is a folder, is write-protected, or is
        a file that is not a checkpoint, which saving would destroy.
    """
    name = os.fspath(path)
    try:
        _check_target(name, Path(os.path.realpath(path)))
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"cannot save to {name!r}: {getattr(error, 'strerror', None) or error}") from error


def rng_state(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a random generator as JSON can hold it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return {"uint": value.itemsize, "values": value.tolist()} if isinstance(value, np.ndarray) else value

    return plain(rng.bit_generator.state)


def rng_from_state(state: Mapping[str, Any]) -> np.random.Generator:
    """The generator whose :func:`rng_state` this is; it continues exactly.

    Raises
    ------
    FileError
        ``state`` is not such a state.
    """

    def rich(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value.keys() == {"uint", "values"}:
            return np.array(value["values"], f"u{value['uint']}")
        return {key: rich(part) for key, part in value.items()}

    try:
        name = state["bit_generator"]
        if name not in _BIT_GENERATORS:
            raise ValueError(f"unknown bit generator {name!r}")
        bit_generator = getattr(np.random, name)()
        bit_generator.state = rich(dict(state))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileError(f"the saved state of the random generator is damaged: {one_line(error)}") from error
    return np.random.Generator(bit_generator)


def _check_format(name: str, metadata: Mapping[str, str]) -> None:
    found = metadata.get("format", "")
    if found != FORMAT:
        kind = f"of the kind {found!r}" if found else "without a tapegrad configuration"
        raise FileError(f"{name!r} is a safetensors file {kind}; expected {FORMAT!r}")


def _check_target(name: str, target: Path) -> None:
    if not name or target.is_dir():
        raise FileError(f"cannot save to {name!r}: it is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FileError(f"cannot save to {name!r}: there is no folder {str(target.parent)!r}; make it first")
    if target.exists():
        if not target.is_file() or not os.access(target, os.W_OK):
            raise FileError(f"cannot save to {name!r}: it is write-protected or not an ordinary file")
        try:
            load_checkpoint(target)
        except FileError as error:
            raise FileError(f"{name!r} exists and is no tapegrad model; not overwritten, give another name") from error
    descriptor, temporary = make_temporary(target)
    os.close(descriptor)
    os.unlink(temporary)


def _digest(arrays: Mapping[str, np.ndarray], config: str) -> str:
    """SHA-256 over everything that a checkpoint says."""
    digest = hashlib.sha256(config.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
