"""The folder of compiled functions: damage, foreign files, folders that refuse, and its size."""

import json
import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapegrad.backends.numba_cpu import cache, cache_files
from tapegrad.backends.numba_cpu.cache import compiled
from tapegrad.errors import OptionError
from tests.numba_cpu.kept import CHILD, ENTRIES, check, expected, files, forget, loaded, source_of

pytestmark = pytest.mark.usefixtures("folder")


# ---- damage ----
def damaged(data, kind, at):
    if kind == "truncated":
        return data[:at]
    if kind == "flipped":
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    return {"empty": b"", "foreign": b"not machine code\n" * 50, "pickle": b"\x80\x04]\x94."}[kind]


def loaded_anew(monkeypatch):
    """How many functions come from the disk in a process that knows nothing."""
    forget(monkeypatch)
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    return loaded(functions)


@pytest.mark.parametrize("kind", ["empty", "foreign", "pickle"])
def test_files_of_another_kind_are_replaced(folder, monkeypatch, kind):
    check(compiled(source_of(), ENTRIES))
    right = {path: path.read_bytes() for path in folder.iterdir()}
    for path in right:
        path.write_bytes(damaged(path.read_bytes(), kind, 0))
    assert loaded_anew(monkeypatch) == 0
    assert {path: len(path.read_bytes()) > 200 for path in folder.iterdir()} == dict.fromkeys(right, True)
    assert loaded_anew(monkeypatch) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["truncated", "flipped"]))
def test_a_file_that_is_not_whole_is_not_there(folder, data, kind):
    place, identity, content = folder / f"{'0' * 32}-{'1' * 16}.code", b"identity", bytes(range(256)) * 3
    cache_files.write(place, identity, content)
    assert cache_files.read(place, identity) == content
    assert cache_files.read(place, b"another") is None
    whole = place.read_bytes()
    place.write_bytes(damaged(whole, kind, data.draw(st.integers(0, len(whole) - 1))))
    assert cache_files.read(place, identity) is None


def test_code_of_another_function_under_this_name_is_not_run(folder, monkeypatch):
    check(compiled(source_of(), ENTRIES))
    first, second = files(folder, ".code")
    swapped = first.read_bytes(), second.read_bytes()
    first.write_bytes(swapped[1])
    second.write_bytes(swapped[0])
    forget(monkeypatch)
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    assert loaded(functions) == 0


def test_content_that_cannot_be_loaded_is_compiled_anew(folder, monkeypatch):
    """The digest is right, and what it vouches for is nonsense: a process that died, a numba that changed."""
    check(compiled(source_of(), ENTRIES))
    forget(monkeypatch)
    monkeypatch.setattr(cache_files, "read", lambda path, identity: b"\x80\x04nonsense")
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    assert loaded(functions) == 0


def test_code_that_needs_an_unknown_symbol_is_not_loaded(folder, monkeypatch):
    """LLVM would end the process."""
    monkeypatch.setattr(cache, "_declared", lambda module: iter(["a_function_of_the_future"]))
    check(compiled(source_of(), ENTRIES))
    forget(monkeypatch)
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    assert loaded(functions) == 0


def test_a_source_file_is_never_executed(folder, monkeypatch):
    check(compiled(source_of(), ENTRIES))
    (text,) = files(folder, ".py")
    text.write_text("raise SystemExit('executed')\n")
    forget(monkeypatch)
    functions = compiled(source_of(), ENTRIES)
    check(functions)
    assert loaded(functions) == 2
    assert text.read_text() == source_of()


def test_times_of_change_do_not_matter(folder, monkeypatch):
    check(compiled(source_of(), ENTRIES))
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    assert loaded_anew(monkeypatch) == 2
    for path in files(folder, ".py"):
        path.write_text(path.read_text())
    assert loaded_anew(monkeypatch) == 2


# ---- folders ----
def one_warning(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]


def test_a_folder_that_cannot_be_made_costs_one_warning(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", str(tmp_path / "file" / "below"))
    said = one_warning(lambda: (check(compiled(source_of(), ENTRIES)), check(compiled(source_of(2.0), ENTRIES), 2.0)))
    assert len(said) == 1
    assert "TAPEGRAD_CACHE_DIR" in said[0]
    assert "name a folder that can be written" in said[0]


def test_the_default_folder_says_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("TAPEGRAD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert one_warning(lambda: check(compiled(source_of(), ENTRIES))) == []


def test_a_folder_that_is_read_only_is_read(folder, monkeypatch):
    check(compiled(source_of(), ENTRIES))
    forget(monkeypatch)
    monkeypatch.setattr(cache_files.tempfile, "mkstemp", _refused)
    monkeypatch.setattr(cache_files.os, "utime", _refused)
    functions = compiled(source_of(), ENTRIES)
    assert one_warning(lambda: check(functions)) == []
    assert loaded(functions) == 2
    assert len(one_warning(lambda: check(compiled(source_of(2.0), ENTRIES), 2.0))) == 1


def _refused(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(folder):
    folder.mkdir()
    folder.chmod(0o500)
    try:
        assert len(one_warning(lambda: check(compiled(source_of(), ENTRIES)))) == 1
        assert list(folder.iterdir()) == []
    finally:
        folder.chmod(0o700)


def test_a_disk_that_is_full(folder, monkeypatch):
    """A limit on the size of files fails a write half-way, as a full disk does."""
    resource = pytest.importorskip("resource")
    limited = textwrap.dedent(f"""
        import resource, signal, warnings
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
        warnings.simplefilter("ignore", RuntimeWarning)
    """)
    done = subprocess.run(
        [sys.executable, "-c", limited + CHILD, json.dumps([source_of(), ENTRIES, "float64"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, hits = json.loads(done.stdout)
    np.testing.assert_allclose(found, expected(), rtol=1e-14)
    assert hits == 0
    assert not files(folder, ".code")
    assert not files(folder, ".tmp")
    assert loaded_anew(monkeypatch) == 0
    assert loaded_anew(monkeypatch) == 2


def test_a_folder_that_is_deleted_meanwhile_is_made_again(folder, monkeypatch):
    functions = compiled(source_of(), ENTRIES)
    x = np.arange(3.0)
    functions[0](3, x, np.zeros(3))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    functions[1](3, x, np.zeros(3))
    assert len(files(folder, ".code")) == 1


def test_no_folder_is_made_when_none_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    check(compiled(source_of(), ENTRIES))
    assert list(tmp_path.iterdir()) == []


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", "~/here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_files.folder() == tmp_path / "here"
    monkeypatch.delenv("TAPEGRAD_CACHE_DIR")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_files.folder() == tmp_path / "xdg" / "tapegrad"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_files.folder() == tmp_path / ".cache" / "tapegrad"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_files.folder() == tmp_path / ".cache" / "tapegrad"
        monkeypatch.setattr(cache_files.os.path, "expanduser", lambda path: path)  # no HOME, and no such user
        assert cache_files.folder() is None
        check(compiled(source_of(), ENTRIES))


def test_a_process_without_a_home(folder, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "TAPEGRAD_CACHE_DIR")}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "xdg")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([source_of(), ENTRIES, "float64"])],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# ---- size ----
def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_CACHE_SIZE", "1")
    content = bytes(300 << 10)
    paths = [folder / f"{k:032x}-{k:016x}.code" for k in range(5)]
    for k, path in enumerate(paths[:3]):
        cache_files.write(path, b"", content)
        os.utime(path, (1e9 + k, 1e9 + k))
    assert cache_files.read(paths[0], b"") == content  # used now
    foreign = folder / "notes.txt"
    foreign.write_bytes(bytes(2 << 20))
    os.utime(foreign, (1, 1))
    cache_files.write(paths[3], b"", content)
    assert [path.exists() for path in paths] == [True, False, True, True, False]
    cache_files.write(paths[4], b"", content)
    assert [path.exists() for path in paths] == [True, False, False, True, True]
    assert foreign.exists(), "a file that the cache did not write is not removed"


def test_temporary_files_that_nobody_writes_are_removed(folder):
    folder.mkdir()
    old, new = folder / f"{'a' * 32}-xyz.tmp", folder / f"{'b' * 32}-xyz.tmp"
    for path in (old, new):
        path.write_bytes(b"part")
    os.utime(old, (1e9, 1e9))
    cache_files.write(folder / f"{'c' * 32}-{'0' * 16}.code", b"", b"")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("given", ["", "-1", "much", "1.5", "²"])
def test_a_size_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("TAPEGRAD_CACHE_SIZE", given)
    with pytest.raises(OptionError, match="TAPEGRAD_CACHE_SIZE=.*whole number of MiB"):
        compiled(source_of(), ENTRIES)
