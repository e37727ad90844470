"""The mean-field theory of networks with sparsity-inducing activations, as an exact oracle.

Equations are numbered as in "Deep Neural Network Initialization with Sparsity Inducing
Activations" (Price, Ball, Lam, Jones and Tanner, ICLR 2024). Where each one is:

======================  ==============================================================
Eqs. 2, 4, 5            `convolution`: the covariance map of a convolutional network
Eqs. 3, 6, 11, 13-19    `mean_field`: V, V', V'', chi, R and R'; R's integrals in `bivariate`
Eqs. 7-10               `activations`: ReLU_tau, ST_tau, CReLU_{tau,m}, CST_{tau,m}
Eqs. 12, 56             `piecewise_linear`: sparsity
Eq. 24                  `mean_field.MeanField.chi`; at finite width, `gradient_law`
Sec. 3.1, Tables 2, 4   at finite width: `finite_width`, `layer_law`, `forecast`, `stable_clip`
Eqs. 25-31, Table 3     `jacobian`: the spectrum of the input-output Jacobian
Eqs. 32-55              `piecewise_linear`: closed forms, for any number of pieces
Eqs. 33-36              `gaussian`: partial moments of the normal distribution
Eqs. 57-63, Fig. 8      `edge_of_chaos`: tau, m, sigma_w^2 and sigma_b^2
Sec. 3.1, Fig. 4        `fixed_points`, `bifurcation`
App. A, Figs. 12, 13    `propagation`: phases, rho*, depth scales
Sec. 5                  `smooth`: rounded CReLU and CST
======================  ==============================================================
"""

from .activations import ACTIVATIONS, ClippedReLU, ClippedSoftThreshold, ShiftedReLU, SoftThreshold
from .bifurcation import Bifurcation, bifurcation
from .convolution import covariance_fixed_point, covariance_map
from .edge_of_chaos import edge_of_chaos, edge_of_chaos_for_bias
from .finite_width import Chain, SmallNoise, UnitChain, draw_chain, one_step_variance, small_noise
from .fixed_points import FixedPoint, FixedPointContinuumError, SteepestPoint, steepest_point
from .forecast import Forecast, forecast
from .gradient_law import draw_gradients
from .jacobian import JacobianMoments
from .layer_law import draw_layers
from .mean_field import MeanField
from .piecewise_linear import PiecewiseLinear
from .propagation import correlation_fixed_point, depth_scales, phase
from .quadrature import Activation
from .smooth import SmoothClippedReLU, SmoothClippedSoftThreshold
from .stable_clip import StableClip, largest_stable_clip

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Bifurcation",
    "Chain",
    "ClippedReLU",
    "ClippedSoftThreshold",
    "FixedPoint",
    "FixedPointContinuumError",
    "Forecast",
    "JacobianMoments",
    "MeanField",
    "PiecewiseLinear",
    "ShiftedReLU",
    "SmallNoise",
    "SmoothClippedReLU",
    "SmoothClippedSoftThreshold",
    "SoftThreshold",
    "StableClip",
    "SteepestPoint",
    "UnitChain",
    "bifurcation",
    "correlation_fixed_point",
    "covariance_fixed_point",
    "covariance_map",
    "depth_scales",
    "draw_chain",
    "draw_gradients",
    "draw_layers",
    "edge_of_chaos",
    "edge_of_chaos_for_bias",
    "forecast",
    "largest_stable_clip",
    "one_step_variance",
    "phase",
    "small_noise",
    "steepest_point",
]
