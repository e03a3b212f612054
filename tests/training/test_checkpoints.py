import contextlib
import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from tapegrad import pytree
from tapegrad.errors import DtypeError, FileError, StructureError
from tapegrad.training import check_writable, load_checkpoint, rng_from_state, rng_state, save_checkpoint

PARAMS = {"cells": [{"W": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"b": np.float64(0.1)}]}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model"
    save_checkpoint(path, {"params": PARAMS}, {"step": 3, "text": "é\n"})
    return path


dtypes = st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64, np.uint32, np.bool_])
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))


@given(st.recursive(arrays, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_trees_come_back_bit_for_bit(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("checkpoints") / "model"
    save_checkpoint(path, {"tree": {"only": tree}}, {})
    back = load_checkpoint(path).tree("tree", {"only": tree})["only"]
    assert pytree.structure(back) == pytree.structure(tree)
    for old, new in zip(pytree.leaves(tree), pytree.leaves(back), strict=True):
        assert (old.dtype, old.shape, old.tobytes()) == (new.dtype, new.shape, new.tobytes())


def test_the_configuration_comes_back(saved):
    checkpoint = load_checkpoint(saved)
    assert checkpoint.config == {"step": 3, "text": "é\n"}
    np.testing.assert_array_equal(checkpoint.tree("params", PARAMS)["cells"][0]["W"], PARAMS["cells"][0]["W"])


def test_arrays_that_are_not_contiguous(tmp_path):
    tree = {"t": np.arange(6.0).reshape(2, 3).T, "s": np.arange(8.0)[::-2]}
    save_checkpoint(tmp_path / "m", {"p": tree}, {})
    back = load_checkpoint(tmp_path / "m").tree("p", tree)
    np.testing.assert_array_equal(back["t"], tree["t"])
    np.testing.assert_array_equal(back["s"], tree["s"])


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_random_generators_continue(name):
    rng = np.random.Generator(getattr(np.random, name)(5))
    rng.random(7)
    rng.integers(0, 9, dtype=np.int32)
    restored = rng_from_state(json.loads(json.dumps(rng_state(rng))))
    assert np.array_equal(rng.integers(0, 9, 20, dtype=np.int32), restored.integers(0, 9, 20, dtype=np.int32))
    assert np.array_equal(rng.standard_normal(20), restored.standard_normal(20))


@pytest.mark.parametrize("state", [{}, {"bit_generator": "os"}, {"bit_generator": "PCG64", "state": {"state": "x"}}])
def test_damaged_random_states(state):
    with pytest.raises(FileError, match="random generator is damaged"):
        rng_from_state(state)


def test_a_file_cut_short_anywhere_is_refused(saved):
    data = saved.read_bytes()
    for size in range(len(data)):
        saved.write_bytes(data[:size])
        with pytest.raises(FileError) as caught:
            load_checkpoint(saved)
        assert "\n" not in str(caught.value)
        assert str(saved) in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("foreign") / "model"
    path.write_bytes(data)
    with pytest.raises(FileError):
        load_checkpoint(path)


@given(st.data())
def test_a_changed_byte_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "model"
    save_checkpoint(path, {"params": PARAMS}, {"step": 3})
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    # Only what means nothing, such as the spaces that pad the header, can change without notice.
    with contextlib.suppress(FileError):
        found = load_checkpoint(path)
        assert found.config == {"step": 3}
        assert {name: array.tobytes() for name, array in found.arrays.items()} == {
            "params/cells[0].W": PARAMS["cells"][0]["W"].tobytes(),
            "params/cells[1].b": PARAMS["cells"][1]["b"].tobytes(),
        }


def test_a_changed_weight_is_found(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(FileError, match="damaged: its contents do not have the checksum"):
        load_checkpoint(saved)


def test_foreign_files(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(FileError, match="cannot read the model .*No such file"):
        load_checkpoint(path)
    with pytest.raises(FileError, match="cannot read the model"):
        load_checkpoint(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match="is empty, not a tapegrad model"):
        load_checkpoint(path)
    save_file({"w": np.zeros(3)}, path)
    with pytest.raises(FileError, match="safetensors file without a tapegrad configuration"):
        load_checkpoint(path)
    save_file({"w": np.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(FileError, match="of the kind 'pt'; expected 'tapegrad checkpoint 1'"):
        load_checkpoint(path)
    for config in ("{", "[]", "\ud800"):
        metadata = {"format": "tapegrad checkpoint 1", "config": config.encode("ascii", "replace").decode()}
        save_file({"w": np.zeros(3)}, path, metadata)
        with pytest.raises(FileError, match="damaged"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"cells": [{"W": np.zeros((2, 3), np.float32)}]}, r"not expected: params/cells\[1\].b"),
        ({**PARAMS, "more": np.zeros(1)}, "lacks an array: params/more"),
        (
            {"cells": [{"W": np.zeros((3, 2), np.float32)}, {"b": np.float64(0)}]},
            r"W is float32\[2, 3\], expected float32\[3, 2\]",
        ),
        (
            {"cells": [{"W": np.zeros((2, 3), np.float64)}, {"b": np.float64(0)}]},
            r"W is float32\[2, 3\], expected float64\[2, 3\]",
        ),
    ],
)
def test_a_tree_of_another_model_is_refused(saved, like, words):
    with pytest.raises(FileError, match=words):
        load_checkpoint(saved).tree("params", like)


@pytest.mark.parametrize("fault", ["fsync", "replace", "chmod"])
def test_a_failed_save_leaves_the_old_file_and_no_other(saved, monkeypatch, fault):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fault, fail)
    with pytest.raises(FileError, match="cannot save to .*: No space left on device"):
        save_checkpoint(saved, {"params": PARAMS}, {"step": 4})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX systems")
def test_permissions_and_links_stay(saved, tmp_path):
    assert stat.S_IMODE(saved.stat().st_mode) & 0o600 == 0o600
    saved.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(saved)
    save_checkpoint(link, {"params": PARAMS}, {"step": 9})
    assert link.is_symlink()
    assert load_checkpoint(saved).config["step"] == 9
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640


def test_places_that_cannot_be_written_are_found_beforehand(saved, tmp_path):
    check_writable(saved)
    check_writable(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    foreign = tmp_path / "novel.txt"
    foreign.write_text("Call me Ishmael.")
    cases = {
        tmp_path: "it is a folder",
        "": "it is a folder|cannot save",
        tmp_path / "no" / "model": "there is no folder",
        foreign / "model": "there is no folder",
        foreign: "is no tapegrad model; not overwritten",
        tmp_path / ("x" * 300): "cannot save to",
    }
    for path, words in cases.items():
        with pytest.raises(FileError, match=words):
            check_writable(path)
    assert foreign.read_text() == "Call me Ishmael."
    assert sorted(os.listdir(tmp_path)) == ["model", "novel.txt"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_folder_that_refuses_files():
    with pytest.raises(FileError, match="cannot save to"):
        check_writable("/proc/self/model")


def test_what_safetensors_cannot_hold(tmp_path):
    with pytest.raises(DtypeError, match="p/z has dtype complex128"):
        save_checkpoint(tmp_path / "m", {"p": {"z": np.zeros(1, complex)}}, {})
    with pytest.raises(StructureError, match="two leaves are called p/a.b"):
        save_checkpoint(tmp_path / "m", {"p": {"a": {"b": 1.0}, "a.b": 2.0}}, {})
    assert not os.listdir(tmp_path)
