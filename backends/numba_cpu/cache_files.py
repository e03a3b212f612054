"""The folder in which compiled loops are kept from one process to the next.

Every failure of the file system (a full disk, a folder that cannot be written or that is deleted meanwhile) means that
a loop is compiled once more, and nothing else. A file counts only if the digest of its content and of all that the
content depends on agrees: truncated and foreign files are not there. The content is machine code: a folder that
``TAPEGRAD_CACHE_DIR`` names has to be as trustworthy as the program itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tapegrad.errors import OptionError

MAGIC = b"tapegrad machine code 1\n"
# Only files that this module wrote are ever removed.
_OURS = re.compile(r"[0-9a-f]{32}(\.py|-[0-9a-f]{16}\.code|.*\.tmp)")
_ABANDONED = 3600.0  # seconds after which a temporary file has no writer any more
_warned: set[str] = set()


def folder() -> Path | None:
    """Where compiled loops are kept: ``TAPEGRAD_CACHE_DIR``, else the user's cache folder; None for nowhere."""
    given = os.environ.get("TAPEGRAD_CACHE_DIR")
    if given is not None:
        return Path(os.path.abspath(os.path.expanduser(given))) if given else None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # which its specification says is to be ignored
            base = os.path.expanduser("~/.cache")
    return Path(base, "tapegrad") if os.path.isabs(base) else None  # a home that is not known stays "~"


def size_limit() -> int:
    """How many bytes the folder may hold: ``TAPEGRAD_CACHE_SIZE`` in MiB, else 512 MiB.

    Raises
    ------
    OptionError
        If the variable is not a whole number of at least 0.
    """
    given = os.environ.get("TAPEGRAD_CACHE_SIZE", "512")
    if not (given.isascii() and given.isdigit()):
        raise OptionError(f"TAPEGRAD_CACHE_SIZE={given!r}; give a whole number of MiB of at least 0")
    return int(given) << 20


def _digest(identity: bytes, content: bytes) -> bytes:
    return hashlib.sha256(len(identity).to_bytes(8, "little") + identity + content).digest()


def read(path: Path, identity: bytes) -> bytes | None:
    """What :func:`write` put into a file for the same identity; None if there is no such file."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + 32
    content = data[start:]
    if data[:start] != MAGIC + _digest(identity, content):
        return None
    _touch(path)
    return content


def write(path: Path, identity: bytes, content: bytes) -> None:
    """Keep the content under a path, and make room for it.

    Parameters
    ----------
    path : Path
    identity : bytes
        All that the content depends on.
    content : bytes
    """
    try:
        _replace(path, MAGIC + _digest(identity, content) + content)
    except OSError as error:
        _warn(path.parent, error)
    else:
        _trim(path.parent, size_limit())


def keep_text(path: Path, text: str) -> None:
    """See to it that a file holds this text. It is there to be read; what is executed does not come from it."""
    data = text.encode()
    try:
        if path.read_bytes() == data:
            _touch(path)
            return
    except OSError:
        pass
    try:
        _replace(path, data)
    except OSError as error:
        _warn(path.parent, error)


def _replace(path: Path, data: bytes) -> None:
    """Write a file at once: another process finds the old content or the new, never a part."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def _touch(path: Path) -> None:
    """Note that a file was used: the time of its last change is the time of its last use."""
    try:
        os.utime(path)
    except OSError:  # someone else's, or on a file system that is read-only
        pass


def _warn(place: Path, error: OSError) -> None:
    """Say once that a folder that the user named cannot be written; of the default nobody has to know."""
    given = os.environ.get("TAPEGRAD_CACHE_DIR")
    if given and given not in _warned:
        _warned.add(given)
        warnings.warn(
            f"compiled loops cannot be kept in TAPEGRAD_CACHE_DIR={given!r} ({error}), so that each process compiles "
            "its own; name a folder that can be written, or set the variable to nothing to keep none",
            RuntimeWarning,
            stacklevel=2,
        )


def _trim(place: Path, limit: int) -> None:
    """Remove what was used longest ago until the folder holds at most ``limit`` bytes."""
    found = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    state = entry.stat(follow_symlinks=False)
                    found.append((state.st_mtime, state.st_size, entry.path))
    except OSError:
        return
    total, now = sum(size for _, size, _ in found), time.time()
    for used, size, path in sorted(found):
        temporary = path.endswith(".tmp")
        if (now - used < _ABANDONED) if temporary else (total <= limit):
            continue
        try:
            os.unlink(path)
        except OSError:
            continue
        total -= size
