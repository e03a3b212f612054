"""Recurrent nodes with random weights, attributes and ragged lengths."""

import numpy as np

from tapegrad import pytree
from tests.interop import standard

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
MORE = {"LSTM": ("input_forget",), "GRU": ("linear_before_reset",), "RNN": ()}


def case(rng, operator, *, batch=3, steps=5, dtype=np.float32, inputs=(), least=1, **attributes):
    """The attributes and the inputs of a node by name; ``inputs`` names the optional ones."""
    m, n = (int(k) for k in rng.permutation(np.arange(2, 6))[:2])
    gates = len(standard.GATES[operator])
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    shapes = {
        "X": (steps, batch, m), "W": (directions, gates * n, m), "R": (directions, gates * n, n),
        "B": (directions, 2 * gates * n), "sequence_lens": (batch,), "initial_h": (directions, batch, n),
        "initial_c": (directions, batch, n), "P": (directions, 3 * n),
    }  # fmt: skip
    arrays = {}
    for key, shape in shapes.items():
        if key in ("X", "W", "R") or key in inputs:
            arrays[key] = rng.normal(size=shape).astype(dtype)
    if "sequence_lens" in inputs:
        arrays["sequence_lens"] = rng.integers(least, steps + 1, batch).astype(np.int32)
        arrays["sequence_lens"][rng.integers(batch)] = least
    if attributes.get("layout"):
        for key in ("X", "initial_h", "initial_c"):
            if key in arrays:
                arrays[key] = np.ascontiguousarray(arrays[key].swapaxes(0, 1))
    return {"hidden_size": n, **attributes}, arrays


def activations(rng, operator, directions):
    """Activations with values of alpha and beta, drawn; gates get functions that stay bounded."""
    names, alphas, betas = [], [], []
    for _ in range(directions):
        for usual in standard.USUAL[operator]:
            bounded = ["Sigmoid", "HardSigmoid", "Softsign", "Tanh"]
            name = str(rng.choice(bounded if usual == "Sigmoid" else list(standard.ACTIVATIONS)))
            names.append(name)
            if name in standard.TAKES_ALPHA:
                alphas.append(float(np.float32(rng.uniform(0.1, 0.7))))
            if name in standard.TAKES_BETA:
                betas.append(float(np.float32(rng.uniform(0.1, 0.7))))
    found = {"activations": names}
    if alphas:
        found["activation_alpha"] = alphas
    if betas:
        found["activation_beta"] = betas
    return found


def model_of(operator, attributes, arrays, constants=(), name="", more=(), opset=17):
    """A model of one node; the arrays in ``constants`` are part of it, the others inputs of the graph."""
    import onnx
    from onnx import helper

    used = [key if key in arrays else "" for key in INPUTS[: 8 if operator == "LSTM" else 6]]
    outputs = ["Y", "Y_h", *(["Y_c"] if operator == "LSTM" else [])]
    node = helper.make_node(operator, used, outputs, name=name, **attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*more, node],
        "test",
        [value(key, helper.np_dtype_to_tensor_dtype(arrays[key].dtype), arrays[key].shape)
         for key in arrays if key not in constants],
        [value(key, helper.np_dtype_to_tensor_dtype(arrays["X"].dtype), None) for key in outputs],
        [onnx.numpy_helper.from_array(arrays[key], key) for key in constants],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def drawn(layer, rng, dtype=np.float32):
    """Random parameters of a layer, biases included."""
    return pytree.map(lambda parameter: rng.normal(size=parameter.shape).astype(dtype), layer.parameters())
