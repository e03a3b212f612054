"""A gated recurrent unit for irregular series with missing values."""

from typing import Any

import numpy as np

from tapegrad.errors import OptionError, ShapeError
from tapegrad.functions import relu, sigmoid

from ..base import Cell
from ..registry import register
from ..specs import Input, Parameter, State


@register()
class GRUD(Cell):
    """GRU-D: what is missing decays from the last observation to the mean, and the state decays with it.

    ::

        gamma_x = exp(-max(0, w_dx * delta_t + b_dx))                     decay of each variable
        gamma_h = exp(-max(0, delta_t W_dh + b_dh))                       decay of the state
        v_t = m_t * x_t + (1 - m_t) * v_{t-1}                             last observation
        xhat_t = m_t * x_t + (1 - m_t) * (gamma_x * v_t + (1 - gamma_x) * xbar)
        k_t = gamma_h * h_{t-1}
        r_t = sigmoid(xhat_t W_xr + k_t W_hr + m_t W_mr + b_r)            reset gate
        z_t = sigmoid(xhat_t W_xz + k_t W_hz + m_t W_mz + b_z)            update gate
        n_t = tanh(xhat_t W_xn + (r_t * k_t) W_hn + m_t W_mn + b_n)       candidate
        h_t = (1 - z_t) * k_t + z_t * n_t

    Parameters
    ----------
    input_size, hidden_size : int
    means : sequence of float, optional
        xbar, the mean of each variable over the training data. By default 0, for standardised series.

    Raises
    ------
    OptionError
        When there are not ``input_size`` means.

    Notes
    -----
    Inputs: the dict of arrays (T, B, input_size) that :func:`tapegrad.cells.observations` makes of times and a series:
    the values x, the mask m (1 where there is a value, 0 where it is missing) and delta, the time since the last
    observation of each variable. x is read where m is 1; where it is 0 it must be finite.

    State: (h, d), where h is (B, hidden_size) and d = v - xbar, (B, input_size), is the last observation as its
    distance from the mean. Both are 0 at first: what was never observed is at its mean. Output: h. Weights are
    Glorot's, the recurrent ones orthogonal, biases and w_dx 0, so that nothing decays before it is learned.

    References
    ----------
    Che, Purushotham, Cho, Sontag & Liu 2018, "Recurrent neural networks for multivariate time series with missing
    values", Scientific Reports 8:6085, section on GRU-D.
    """

    source = "Che, Purushotham, Cho, Sontag & Liu 2018, GRU-D"

    input_size: int
    hidden_size: int
    means: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.means is not None:
            try:
                means = np.asarray(self.means, np.float64)
            except (TypeError, ValueError):
                raise OptionError(f"GRUD: means={self.means!r}, expected {self.input_size} numbers") from None
            if means.shape != (self.input_size,):
                raise OptionError(
                    f"GRUD: means has shape {means.shape}, expected ({self.input_size},); give a mean for each variable"
                )
            object.__setattr__(self, "means", tuple(means.tolist()))
        super().__post_init__()

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.hidden_size
        declared = {
            "w_dx": Parameter((m,), init="zeros"),
            "b_dx": Parameter((m,), init="zeros"),
            "W_dh": Parameter((m, n)),
            "b_dh": Parameter((n,), init="zeros"),
        }
        for gate in "rzn":
            declared[f"W_x{gate}"] = Parameter((m, n))
            declared[f"W_h{gate}"] = Parameter((n, n), init="orthogonal")
            declared[f"W_m{gate}"] = Parameter((m, n))
            declared[f"b_{gate}"] = Parameter((n,), init="zeros")
        return declared

    def state(self) -> tuple[State, State]:
        return State((self.hidden_size,)), State((self.input_size,))

    def inputs(self) -> dict[str, Input]:
        return {name: Input((self.input_size,)) for name in ("x", "m", "delta")}

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        h, d = state
        m, delta, x = x["m"], x["delta"], x["x"]
        xbar = None if self.means is None else np.asarray(self.means, d.dtype)
        seen = x if xbar is None else x - xbar
        gamma_x = np.exp(-relu(params["w_dx"] * delta + params["b_dx"]))
        gamma_h = np.exp(-relu(delta @ params["W_dh"] + params["b_dh"]))
        d = m * seen + (1 - m) * d
        xhat = m * seen + (1 - m) * gamma_x * d
        xhat = xhat if xbar is None else xbar + xhat
        k = gamma_h * h
        r = sigmoid(xhat @ params["W_xr"] + k @ params["W_hr"] + m @ params["W_mr"] + params["b_r"])
        z = sigmoid(xhat @ params["W_xz"] + k @ params["W_hz"] + m @ params["W_mz"] + params["b_z"])
        n = np.tanh(xhat @ params["W_xn"] + (r * k) @ params["W_hn"] + m @ params["W_mn"] + params["b_n"])
        h = (1 - z) * k + z * n
        return (h, d), h


def observations(times: Any, series: Any) -> dict[str, np.ndarray]:
    """What a :class:`GRUD` takes, from a series in which NaN stands for what is missing.

    Parameters
    ----------
    times : array (T,) or (T, B)
        When the values were observed. They do not decrease.
    series : array (T, B, input_size)

    Returns
    -------
    dict of arrays (T, B, input_size)
        ``x``, the values with 0 for NaN; ``m``, 1 where there is a value and 0 elsewhere; ``delta``, the time from the
        last step that observed the variable, or from the first step while none has: 0 at the first step,
        t_k - t_{k-1} after an observation, and that added to the last delta otherwise. In the dtype of the series.

    Raises
    ------
    ShapeError
        When the shapes are not these.
    OptionError
        When times decrease or are not finite.

    References
    ----------
    Che, Purushotham, Cho, Sontag & Liu 2018, the definition of delta.

    Examples
    --------
    >>> series = np.array([5.0, np.nan, np.nan, 8.0])[:, None, None]
    >>> made = observations([0.0, 1.0, 2.5, 3.0], series)
    >>> made["m"].ravel().tolist()
    [1.0, 0.0, 0.0, 1.0]
    >>> made["delta"].ravel().tolist()
    [0.0, 1.0, 2.5, 3.0]
    """
    series = np.asarray(series)
    try:
        times = np.asarray(times, np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"observations: times={times!r}, expected numbers, such as hours since the start") from None
    if series.ndim != 3:
        raise ShapeError(f"observations: series has shape {series.shape}, expected (T, B, input_size)")
    if times.shape not in (series.shape[:1], series.shape[:2]):
        raise ShapeError(
            f"observations: times has shape {times.shape}, expected {series.shape[:1]} or {series.shape[:2]}, one "
            "time for each step of the series, of all sequences or of each"
        )
    gaps = np.diff(times, axis=0)
    if not np.isfinite(times).all() or (gaps < 0).any():
        raise OptionError("observations: times decrease or are not finite; sort the steps by time")
    dtype = series.dtype if series.dtype.kind == "f" else np.dtype(np.float64)
    gaps = gaps[..., None] if times.ndim == 2 else gaps[:, None, None]
    seen = ~np.isnan(series.astype(dtype))
    delta = np.zeros(series.shape, dtype)
    for t in range(1, len(series)):
        delta[t] = gaps[t - 1] + np.where(seen[t - 1], 0, delta[t - 1])
    return {"x": np.where(seen, series, 0).astype(dtype), "m": seen.astype(dtype), "delta": delta}
