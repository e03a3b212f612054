"""Files that are written whole or not at all, and safetensors files among them."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DtypeError, FileError

PathLike = str | os.PathLike[str]


def write_atomically(path: PathLike, data: bytes) -> None:
    """Write a file beside its place and move it there, so that a reader finds the old one or the new one.

    A link is followed.

    Raises
    ------
    FileError
        The file cannot be written; what was there before is untouched.
    """
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        descriptor, temporary = make_temporary(target)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise FileError(f"cannot save to {str(target)!r}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def make_temporary(target: Path) -> tuple[int, str]:
    """An open file beside ``target``, and its path."""
    return tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of any new file (mkstemp gives 0600)."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself last; only POSIX systems let a folder be opened for that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def one_line(error: BaseException) -> str:
    """What an exception says, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


# ---- safetensors


def storable(name: str, array: object, function: str) -> np.ndarray:
    """``array`` as safetensors can hold it: in C order, of a plain dtype.

    Raises
    ------
    DtypeError
        It has another dtype.
    """
    made = np.asarray(array, order="C")
    if made.dtype.kind not in "biuf" or made.dtype.itemsize > 8:
        raise DtypeError(f"{function}: {name} has dtype {made.dtype}; expected bool, integer or floating")
    return made


def write_safetensors(path: PathLike, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays, and texts about them, atomically.

    Raises
    ------
    FileError
        The file cannot be written; what was there before is untouched.
    """
    from safetensors.numpy import save

    write_atomically(path, save(dict(arrays), dict(metadata)))


def read_metadata(path: PathLike, what: str) -> dict[str, str]:
    """The texts that a safetensors file has about its arrays.

    Raises
    ------
    FileError
        As :func:`read_safetensors`.
    """
    return _opened(path, what, None)[0]


def read_safetensors(path: PathLike, what: str, prefix: str = "") -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of a safetensors file.

    Parameters
    ----------
    path : str or path
    what : str
        What the file should be, for messages: "a tapegrad model".
    prefix : str
        Arrays whose names begin otherwise are not read, if there are any that begin so.

    Raises
    ------
    FileError
        The file is missing, empty or damaged, or holds an array of a dtype that NumPy does not have.
    """
    return _opened(path, what, prefix)


def _opened(path: PathLike, what: str, prefix: str | None) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read the model {name!r}: {reason}") from error
    if size == 0:
        raise FileError(f"{name!r} is empty, not {what}")
    try:
        with safe_open(path, framework="np") as file:
            keys = [] if prefix is None else list(file.keys())
            keys = [key for key in keys if key.startswith(prefix or "")] or keys
            return file.metadata() or {}, {key: _tensor(file, name, key) for key in keys}
    except FileError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{name!r} is not {what}, or is damaged: {one_line(error)}") from error


def _tensor(file: Any, name: str, key: str) -> np.ndarray:
    array = None
    with contextlib.suppress(TypeError):  # bfloat16 and the like
        array = file.get_tensor(key)
    # Another library may have taught them to NumPy, which computes nothing with them all the same.
    if array is None or array.dtype.kind not in "biuf":
        dtype = file.get_slice(key).get_dtype()
        raise FileError(f"{name!r}: {key!r} has dtype {dtype}, which NumPy does not have; store it as F32")
    return array
