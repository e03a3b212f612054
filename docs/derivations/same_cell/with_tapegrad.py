"""The LSTM with full-matrix peepholes, in tapegrad."""

import numpy as np

import tapegrad as tg
from tapegrad import sigmoid


def step(p, state, x):
    h, c = state
    i = sigmoid(x @ p["W_xi"] + h @ p["W_hi"] + c @ p["V_i"] + p["b_i"])
    f = sigmoid(x @ p["W_xf"] + h @ p["W_hf"] + c @ p["V_f"] + p["b_f"])
    g = np.tanh(x @ p["W_xg"] + h @ p["W_hg"] + p["b_g"])
    c = f * c + i * g
    o = sigmoid(x @ p["W_xo"] + h @ p["W_ho"] + c @ p["V_o"] + p["b_o"])
    h = o * np.tanh(c)
    return (h, c), h


def loss(params, xs, u):
    zero = np.zeros((xs.shape[1], params["b_i"].shape[0]), xs.dtype)
    _, ys = tg.scan(step, params, (zero, zero), xs)
    return np.sum(u * ys)


value_and_grad = tg.value_and_grad(loss)
