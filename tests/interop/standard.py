"""The equations of ONNX's recurrent operators, written out for one row and one step after the other.

From the text of the operators (https://github.com/onnx/onnx/blob/main/docs/Operators.md, version 22), with nothing
taken from the library. Where the text leaves something open it is said here.
"""

import math

import numpy as np

ACTIVATIONS = {
    "Relu": lambda x, a, b: max(0.0, x),
    "Tanh": lambda x, a, b: math.tanh(x),
    "Sigmoid": lambda x, a, b: 1 / (1 + math.exp(-x)),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: x if x >= 0 else a * x,
    "ThresholdedRelu": lambda x, a, b: x if x >= a else 0.0,
    "ScaledTanh": lambda x, a, b: a * math.tanh(b * x),
    "HardSigmoid": lambda x, a, b: min(max(a * x + b, 0.0), 1.0),
    "Elu": lambda x, a, b: x if x >= 0 else a * (math.exp(x) - 1),
    "Softsign": lambda x, a, b: x / (1 + abs(x)),
    "Softplus": lambda x, a, b: math.log1p(math.exp(x)) if x < 100 else x,
}
TAKES_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
TAKES_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
DEFAULTS = {"LeakyRelu": (0.01,), "ThresholdedRelu": (1.0,), "HardSigmoid": (0.2, 0.5), "Elu": (1.0,)}
GATES = {"RNN": "i", "LSTM": "iofc", "GRU": "zrh"}
USUAL = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def functions(names, alphas, betas, clip):
    """The activations in order, each with what it consumes; their arguments are clipped."""
    alphas, betas = list(alphas or ()), list(betas or ())
    made = []
    for name in names:
        default = DEFAULTS.get(name, (None, None))
        alpha = (alphas.pop(0) if alphas else default[0]) if name in TAKES_ALPHA else None
        beta = (betas.pop(0) if betas else default[1]) if name in TAKES_BETA else None

        def function(x, of=ACTIVATIONS[name], alpha=alpha, beta=beta):
            x = x if clip is None else np.clip(x, -clip, clip)
            return np.array([of(float(v), alpha, beta) for v in x])

        made.append(function)
    return made


def run(
    operator, X, W, R, B=None, P=None, sequence_lens=None, initial_h=None, initial_c=None, *, hidden_size,
    direction="forward", activations=None, activation_alpha=None, activation_beta=None, clip=None, layout=0,
    input_forget=0, linear_before_reset=0,
):  # fmt: skip
    """Y, Y_h and of an LSTM Y_c."""
    n, gates = hidden_size, GATES[operator]
    if layout:
        X = X.transpose(1, 0, 2)
        initial_h, initial_c = (None if s is None else s.transpose(1, 0, 2) for s in (initial_h, initial_c))
    steps, batch, _ = X.shape
    directions = 2 if direction == "bidirectional" else 1
    names = activations or USUAL[operator] * directions
    all_functions = functions(names, activation_alpha, activation_beta, clip)
    Y = np.zeros((steps, directions, batch, n))
    Y_h, Y_c = np.zeros((directions, batch, n)), np.zeros((directions, batch, n))
    for d in range(directions):
        w = {gate: W[d, k * n : (k + 1) * n] for k, gate in enumerate(gates)}
        r = {gate: R[d, k * n : (k + 1) * n] for k, gate in enumerate(gates)}
        zero = np.zeros(n)
        wb = {gate: zero if B is None else B[d, k * n : (k + 1) * n] for k, gate in enumerate(gates)}
        rb = {
            gate: zero if B is None else B[d, (len(gates) + k) * n : (len(gates) + k + 1) * n]
            for k, gate in enumerate(gates)
        }
        p = {gate: zero if P is None else P[d, k * n : (k + 1) * n] for k, gate in enumerate("iof")}
        own = all_functions[d * len(USUAL[operator]) : (d + 1) * len(USUAL[operator])]
        for row in range(batch):
            length = steps if sequence_lens is None else int(sequence_lens[row])
            H = zero if initial_h is None else initial_h[d, row]
            C = zero if initial_c is None else initial_c[d, row]
            backward = direction == "reverse" or d == 1
            for t in reversed(range(length)) if backward else range(length):
                x = X[t, row]
                if operator == "RNN":
                    (f,) = own
                    H = f(w["i"] @ x + r["i"] @ H + wb["i"] + rb["i"])
                elif operator == "LSTM":
                    f, g, h = own
                    it = f(w["i"] @ x + r["i"] @ H + p["i"] * C + wb["i"] + rb["i"])
                    ft = f(w["f"] @ x + r["f"] @ H + p["f"] * C + wb["f"] + rb["f"])
                    if input_forget:  # "Couple the input and forget gates if 1"
                        ft = 1 - it
                    ct = g(w["c"] @ x + r["c"] @ H + wb["c"] + rb["c"])
                    C = ft * C + it * ct
                    ot = f(w["o"] @ x + r["o"] @ H + p["o"] * C + wb["o"] + rb["o"])
                    H = ot * h(C)
                else:
                    f, g = own
                    zt = f(w["z"] @ x + r["z"] @ H + wb["z"] + rb["z"])
                    rt = f(w["r"] @ x + r["r"] @ H + wb["r"] + rb["r"])
                    if linear_before_reset:
                        ht = g(w["h"] @ x + rt * (r["h"] @ H + rb["h"]) + wb["h"])
                    else:
                        ht = g(w["h"] @ x + r["h"] @ (rt * H) + rb["h"] + wb["h"])
                    H = (1 - zt) * ht + zt * H
                Y[t, d, row] = H
            Y_h[d, row], Y_c[d, row] = H, C
    if layout:
        Y, Y_h, Y_c = Y.transpose(2, 0, 1, 3), Y_h.transpose(1, 0, 2), Y_c.transpose(1, 0, 2)
    return (Y, Y_h, Y_c) if operator == "LSTM" else (Y, Y_h)
