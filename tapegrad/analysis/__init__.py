"""Gradient flow measured on real parameters and data, for any cell, and drawn.

>>> import numpy as np
>>> from tapegrad.cells import LSTM
>>> cell = LSTM(2, 3)
>>> params = cell.init(np.random.default_rng(0))
>>> xs = np.random.default_rng(1).standard_normal((20, 4, 2)).astype(np.float32)
>>> step_jacobians(cell, params, xs).shape
(20, 4, 6, 6)
>>> gradient_norms(cell, params, xs, wrt="c").shape
(20, 20, 4)

The measurements need no other library. The plots and drawings need matplotlib, take an ``Axes`` and return it.
"""

from .drawing import draw as draw
from .fixed_points import fixed_point as fixed_point
from .jacobians import state_slices as state_slices
from .jacobians import step_jacobians as step_jacobians
from .norms import gamma_measured as gamma_measured
from .norms import gradient_norms as gradient_norms
from .plots import plot_gamma as plot_gamma
from .plots import plot_gradient_norms as plot_gradient_norms
from .plots import plot_saliency as plot_saliency
from .plots import plot_singular_values as plot_singular_values
from .plots import plot_spectrum as plot_spectrum
from .products import singular_values as singular_values
from .saliency import input_saliency as input_saliency
from .spectra import lyapunov_spectrum as lyapunov_spectrum
from .spectra import spectral_radius as spectral_radius
