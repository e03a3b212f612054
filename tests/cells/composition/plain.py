"""The cells that the tests of compositions are made of, written out in plain NumPy for one row at one step."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def elman(p, h, x):
    return np.tanh(x @ p["W_xh"] + h @ p["W_hh"] + p["b_h"])


def gru(p, h, x):
    r = sigmoid(x @ p["W_xr"] + h @ p["W_hr"] + p["b_r"])
    z = sigmoid(x @ p["W_xz"] + h @ p["W_hz"] + p["b_z"])
    n = np.tanh(x @ p["W_xn"] + (r * h) @ p["W_hn"] + p["b_n"])
    return (1 - z) * n + z * h


def linear(p, x):
    return x @ p["W_hy"] + p["b_y"]
