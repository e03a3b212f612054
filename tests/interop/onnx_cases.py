"""Recurrent nodes with random weights, attributes and ragged lengths."""

import numpy as np

from tests.interop import standard

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
