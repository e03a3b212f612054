"""Backward passes as students write them: for tests of the checker alone. ``mistake`` names what is done wrong."""

import numpy as np


def logistic_(s):
    return s * (1 - s)


def elman(params, values, dys, dstate, mistake=None, told=True):
    """The simple recurrent network with tanh."""
    h, x = values["h"], values["x"]
    T, n = len(x), h.shape[1]
    dh, da = np.zeros((T + 1, n)), np.zeros((T, n))
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    later = 0.0 * dstate if mistake == "dstate" else dstate
    for t in reversed(range(T)):
        if mistake == "last step" and t == T - 1:
            continue
        dh[t + 1] = dys[t] + (0.0 if mistake == "recurrent term" else later)
        if mistake == "loss term":
            dh[t + 1] = later
        slope = {"slope": 1.0, "plus": 1 + h[t + 1] ** 2, "logistic": logistic_(h[t + 1]), "h": 1 - h[t + 1],
                 "earlier slope": 1 - h[t] ** 2}.get(mistake, 1 - h[t + 1] ** 2)  # fmt: skip
        da[t] = dh[t + 1] * slope
        later = da[t] @ (params["W_hh"] if mistake == "transposed" else params["W_hh"].T)
        if mistake == "sign":
            later = -later
        if mistake == "input weights":
            later = da[t] @ params["W_xh"].T
        if mistake == "not through tanh":
            later = dh[t + 1] @ params["W_hh"].T
        before = h[t + 1] if mistake == "h_t" else h[t]
        grads["W_xh"] += np.outer(x[t], da[t])
        grads["W_hh"] += np.outer(da[t], before) if mistake == "outer" else np.outer(before, da[t])
        if mistake == "bias":
            grads["b_h"] = da[t].copy()
        elif not (mistake == "bias without T" and t == T - 1):
            grads["b_h"] += da[t]
    dh[0] = later
    if mistake == "bias mean":
        grads["b_h"] /= T
    if mistake == "negative bias":
        grads["b_h"] *= -1
    return (grads, {"h": dh, "a": da}) if told else grads


def lstm(params, values, dys, dstate, mistake=None, told=True):
    """Long short-term memory."""
    h, c, x = values["h"], values["c"], values["x"]
    i, f, g, o = (values[gate] for gate in "ifgo")
    T, n = len(x), h.shape[1]
    dh, dc, da = np.zeros((T + 1, n)), np.zeros((T + 1, n)), {gate: np.zeros((T, n)) for gate in "ifgo"}
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    h_later, c_later = dstate
    for t in reversed(range(T)):
        dh[t + 1] = dys[t] + h_later
        tanh_c = np.tanh(c[t + 1])
        dc[t + 1] = dh[t + 1] * o[t] * (1.0 if mistake == "tanh c" else 1 - tanh_c**2)
        if mistake != "forget path":
            dc[t + 1] += c_later
        da["o"][t] = dh[t + 1] * (c[t + 1] if mistake == "c for tanh c" else tanh_c) * logistic_(o[t])
        da["g"][t] = dc[t + 1] * i[t] * (logistic_(g[t]) if mistake == "candidate" else 1 - g[t] ** 2)
        da["f"][t] = dc[t + 1] * (c[t + 1] if mistake == "c_t" else c[t]) * logistic_(f[t])
        da["i"][t] = dc[t + 1] * g[t] * (i[t] if mistake == "half logistic" else logistic_(i[t]))
        if mistake == "swapped deltas":
            da["i"][t], da["f"][t] = dc[t + 1] * c[t] * logistic_(i[t]), da["f"][t]
        names = {"i": "f", "f": "i"} if mistake == "swapped weights" else {}
        h_later = sum(da[gate] [t] @ params[f"W_h{names.get(gate, gate)}"].T for gate in "ifgo"
                      if not (mistake == "gate path" and gate == "g"))  # fmt: skip
        c_later = dc[t + 1] * (i[t] if mistake == "swapped gates" else f[t])
        for gate in "ifgo":
            grads[f"W_x{gate}"] += np.outer(x[t], da[gate][t])
            grads[f"W_h{gate}"] += np.outer(h[t], da[gate][t])
            grads[f"b_{gate}"] += da[gate][t]
    dh[0], dc[0] = h_later, c_later
    if mistake == "swapped gradients":
        grads["b_i"], grads["b_f"] = grads["b_f"], grads["b_i"]
    return (grads, {"h": dh, "c": dc, **{f"a_{gate}": da[gate] for gate in "ifgo"}}) if told else grads


def gru(params, values, dys, dstate, mistake=None, told=True):
    """The gated recurrent unit, with the reset before the product."""
    h, x = values["h"], values["x"]
    r, z, n = (values[gate] for gate in "rzn")
    T, size = len(x), h.shape[1]
    dh, da = np.zeros((T + 1, size)), {gate: np.zeros((T, size)) for gate in "rzn"}
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    later = dstate
    for t in reversed(range(T)):
        dh[t + 1] = dys[t] + later
        da["n"][t] = dh[t + 1] * (z[t] if mistake == "z for 1 - z" else 1 - z[t]) * (1 - n[t] ** 2)
        da["z"][t] = dh[t + 1] * (h[t] - n[t]) * logistic_(z[t])
        inner = da["n"][t] @ params["W_hn"].T
        da["r"][t] = inner * h[t] * logistic_(r[t])
        later = da["r"][t] @ params["W_hr"].T + da["z"][t] @ params["W_hz"].T
        later = later + (inner if mistake == "reset" else inner * r[t])
        if mistake != "direct path":
            later = later + dh[t + 1] * z[t]
        for gate in "rzn":
            before = r[t] * h[t] if gate == "n" and mistake != "reset in the product" else h[t]
            grads[f"W_x{gate}"] += np.outer(x[t], da[gate][t])
            grads[f"W_h{gate}"] += np.outer(before, da[gate][t])
            grads[f"b_{gate}"] += da[gate][t]
    dh[0] = later
    return (grads, {"h": dh, **{f"a_{gate}": da[gate] for gate in "rzn"}}) if told else grads
