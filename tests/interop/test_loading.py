"""What the bridges load: other libraries only when something asks for them, and then with a word on what to install."""

import subprocess
import sys

import numpy as np
import pytest

from tapegrad.cells import GRU
from tapegrad.errors import MissingLibrary
from tapegrad.interop import keras, onnx

OTHERS = {"keras", "onnx", "onnxruntime", "torch", "jax", "tensorflow", "h5py", "safetensors"}


def test_importing_the_bridges_loads_no_other_library():
    program = (
        "import sys, tapegrad.interop.onnx, tapegrad.interop.keras, tapegrad.interop.safetensors\n"
        f"print(*sorted({OTHERS!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("library", "call", "words"),
    [
        ("onnx", lambda params: onnx.load("model.onnx"), "onnx.load needs onnx"),
        ("onnx", lambda params: onnx.to_model(GRU(2, 3), params), "onnx.to_model needs onnx"),
        ("onnx", lambda params: onnx.save("model.onnx", GRU(2, 3), params), "onnx.to_model needs onnx"),
        ("keras", lambda params: keras.load("model.keras"), "keras.load needs keras"),
        ("keras", lambda params: keras.to_keras(GRU(2, 3), params), "to_keras needs keras"),
    ],
)
def test_without_a_library_one_line_says_what_to_install(monkeypatch, library, call, words):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibrary, match=f"{words}, which cannot be loaded .*; pip install {library}$"):
        call(GRU(2, 3).init(np.random.default_rng(0)))
