"""The LSTM with full-matrix peepholes, in PyTorch."""

import torch


def step(p, state, x):
    h, c = state
    i = torch.sigmoid(x @ p["W_xi"] + h @ p["W_hi"] + c @ p["V_i"] + p["b_i"])
    f = torch.sigmoid(x @ p["W_xf"] + h @ p["W_hf"] + c @ p["V_f"] + p["b_f"])
    g = torch.tanh(x @ p["W_xg"] + h @ p["W_hg"] + p["b_g"])
    c = f * c + i * g
    o = torch.sigmoid(x @ p["W_xo"] + h @ p["W_ho"] + c @ p["V_o"] + p["b_o"])
    h = o * torch.tanh(c)
    return (h, c), h


def loss(params, xs, u, step=step):
    zero = torch.zeros((xs.shape[1], params["b_i"].shape[0]), dtype=xs.dtype)
    state, ys = (zero, zero), []
    for x in xs:
        state, y = step(params, state, x)
        ys.append(y)
    return torch.sum(u * torch.stack(ys))


def value_and_grad(params, xs, u, step=step):
    value = loss(params, xs, u, step)
    return value, dict(zip(params, torch.autograd.grad(value, list(params.values())), strict=True))
