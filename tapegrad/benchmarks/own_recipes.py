"""The cells of :mod:`.cells` and :mod:`.drawn` as a careful user of torch or JAX writes them."""

from __future__ import annotations

from typing import Any

from .recipes import Arrays, Recipe, Weights


class Peephole(Recipe):
    """The products of h together, those of c for two gates together; the output gate's waits."""

    layout = {
        "Wx": ("W_xi", "W_xf", "W_xo", "W_xg"),
        "Wh": ("W_hi", "W_hf", "W_ho", "W_hg"),
        "b": ("b_i", "b_f", "b_o", "b_g"),
        "Vc": ("V_i", "V_f"),
        "Vo": ("V_o",),
    }

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        h, c = state
        n = c.shape[-1]
        z = xp.affine(parts[0], h, w["Wh"])
        i, f = xp.split(xp.sigmoid(xp.affine(z[:, : 2 * n], c, w["Vc"])), 2)
        c = xp.addcmul(f * c, i, xp.tanh(z[:, 3 * n :]))
        o = xp.sigmoid(xp.affine(z[:, 2 * n : 3 * n], c, w["Vo"]))
        h = o * xp.tanh(c)
        return (h, c), h


class FastWeights(Recipe):
    """The four products of h together; the memory in batched products."""

    layout = {
        "Wx": ("W_xa", "W_xv", "W_xq", "W_xh"),
        "Wh": ("W_ha", "W_hv", "W_hq", "W_hh"),
        "b": ("b_a", "b_v", "b_q", "b_h"),
        "Wr": ("W_rh",),
    }

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        h, A = state
        n, m = A.shape[1:]
        z = xp.affine(parts[0], h, w["Wh"])
        a, v, q = xp.softmax(z[:, :n]), xp.tanh(z[:, n : n + m]), z[:, n + m : n + 2 * m]
        A = xp.decayed_outer(A, a, v, self.cell.decay)  # type: ignore[attr-defined]
        r = xp.attend(A, q, m**-0.5)
        h = xp.tanh(xp.affine(z[:, n + 2 * m :], r, w["Wr"]))
        return (h, A), h


class Drawn1(Recipe):
    """The second candidate is made of the input alone, the output behind the loop."""

    layout = {
        "Wx": ("W_xg2", "W_xn2", "W_xn1"),
        "bx": ("b_g2", "b_n2"),
        "Ws": ("W_s1g1", "W_s1g2"),
        "bg": ("b_g1",),
        "pg1": ("p_s2g1",),
        "pn1": ("p_s1n1",),
        "pg2": ("p_s2g2",),
    }

    def derived(self, xp: Any, w: Weights) -> Weights:
        zero = xp.zeros_like(w["bg"])
        return {"b": xp.concat([w["bx"], zero]), "bs": xp.concat([w["bg"], zero])}

    def inputs(self, xp: Any, w: Weights, x: Any) -> list[Any]:
        a, n = xp.affine(w["b"], x, w["Wx"]), w["bg"].shape[0]
        return [a[..., :n], xp.softplus(a[..., n : 2 * n]) - 1.0, a[..., 2 * n :]]

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        s1, s2 = state
        ag2, n2, an1 = parts
        ug1, ug2 = xp.split(xp.affine(w["bs"], s1, w["Ws"]), 2)
        g1 = xp.sigmoid(xp.addcmul(ug1, s2, w["pg1"]))
        n1 = xp.arctan(xp.addcmul(an1, s1, w["pn1"]))
        t1 = xp.concat([n1[:, 1:], s1[:, :1] * g1[:, :1]])
        g2 = xp.sigmoid(xp.addcmul(ag2 + ug2, s2, w["pg2"]))
        t2 = xp.lerp(n2, s2, g2)
        return (t1, t2), (g1, t1)

    def finish(self, xp: Any, ys: Any) -> Any:
        return ys[0] * xp.tanh(ys[1])


class Drawn2(Recipe):
    """Two products of each state together; the mean of the output behind the loop."""

    layout = {
        "Wx": ("W_xg1", "W_xn1"),
        "bg1": ("b_g1",),
        "W1": ("W_s1n1", "W_s1n2"),
        "W2": ("W_s2g1", "W_s2n1"),
        "bg2": ("b_g2",),
        "bn2": ("b_n2",),
        "pg1": ("p_s1g1",),
        "p1": ("p_s1g2",),
        "p2": ("p_s2g2",),
    }

    def derived(self, xp: Any, w: Weights) -> Weights:
        zero = xp.zeros_like(w["bn2"])
        return {"b": xp.concat([w["bg1"], zero]), "b1": xp.concat([zero, w["bn2"]])}

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        s1, s2 = state
        ag1, an1 = xp.split(xp.affine(parts[0], s2, w["W2"]), 2)
        u1, u2 = xp.split(xp.affine(w["b1"], s1, w["W1"]), 2)
        g1 = xp.sigmoid(xp.addcmul(ag1, s1, w["pg1"]))
        n1 = xp.softplus(an1 + u1) - 1.0
        t1 = xp.tanh(xp.addcmul(s1, g1, n1))
        g2 = xp.sigmoid(xp.addcmul(xp.addcmul(w["bg2"], s1, w["p1"]), s2, w["p2"]))
        t2 = xp.addcmul(0.9 * s2, g2, xp.cos(u2))
        return (t1, t2), t2

    def finish(self, xp: Any, ys: Any) -> Any:
        return ys - xp.mean(ys)


class Drawn3(Recipe):
    """One product for gate and candidate; the softmax behind the loop."""

    layout = {"Wx": ("W_xg1", "W_xn1"), "Ws": ("W_s1g1", "W_s1n1"), "bn": ("b_n1",)}

    def derived(self, xp: Any, w: Weights) -> Weights:
        return {"b": xp.concat([xp.zeros_like(w["bn"]), w["bn"]])}

    def step(self, xp: Any, w: Weights, state: Arrays, parts: Arrays) -> tuple[Arrays, Any]:
        (s1,) = state
        a, b = xp.split(xp.affine(parts[0], s1, w["Ws"]), 2)
        t1 = xp.lerp(xp.sin(b), s1, xp.sigmoid(a))
        return (t1,), t1

    def finish(self, xp: Any, ys: Any) -> Any:
        return xp.softmax(ys)
