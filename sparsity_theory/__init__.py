"""The mean-field theory of networks with sparsity-inducing activations, as an exact oracle.

Equations are numbered as in "Deep Neural Network Initialization with Sparsity Inducing
Activations" (Price, Ball, Lam, Jones and Tanner, ICLR 2024). Where each one is:

======================  ===========================================================================
Eqs. 2, 4, 5            `mean_field.convolution`: the covariance map of a convolutional network
Eqs. 3, 6, 11, 13-19    `mean_field.maps`: V, V', V'', chi, R and R'; R's integrals in
                        `numerics.bivariate`
Eqs. 7-10               `activations.thresholded`: ReLU_tau, ST_tau, CReLU_{tau,m}, CST_{tau,m}
Eqs. 12, 56             `activations.piecewise_linear`: sparsity
Eq. 24                  `mean_field.maps.MeanField.chi`; at finite width,
                        `finite_width.gradient_law`
Eqs. 25-31, Table 3     `mean_field.jacobian`: the spectrum of the input-output Jacobian
Eqs. 32-55              `activations.piecewise_linear`: closed forms, for any number of pieces
Eqs. 33-36              `numerics.gaussian`: partial moments of the normal distribution
Eqs. 57, 58             `activations.design`: tau for a sparsity, m for a slope
Eqs. 59-62, Fig. 8      `mean_field.edge_of_chaos`: sigma_w^2 and sigma_b^2
Sec. 3.1, Fig. 4        `mean_field.fixed_points`, `mean_field.bifurcation`
App. A, Figs. 12, 13    `mean_field.propagation`: phases, rho*, depth scales
Sec. 3.1 at finite      `finite_width`: `variance_law`, `layer_law`, `forecast`, `stable_clip`
width
Eq. 2 at finite width   `finite_width.convolution_law`; `finite_width.position_law` for images
Sec. 5                  `activations.smooth`: rounded CReLU and CST
Beyond the paper        `mean_field.residual`, `mean_field.pre_norm`, `mean_field.transformer`:
                        residual networks; at finite width `finite_width.residual_law`,
                        `finite_width.pre_norm_law`; whole spectra: `mean_field.jacobian_density`
Tables 2, 4, 5          `published`: the rows as printed, and the forecast of each
======================  ===========================================================================

Eq. 1 is in ``torch_models.networks.dense``, its training step (Eqs. 20-23) in
``torch_models.training.dense``.

Each folder is a room: the first lines of its ``__init__`` say what it is for and what it may
import. All rooms may import the files `_types`, `_values` and `_validation`.

Everything is computed in float64, whatever the type of the arguments: float32 in, float64 out. An
argument is a real number or an array of real numbers of any kind; strings, dates, bools, complex
numbers and masked entries are refused. Activations, mean fields and results are values: immutable,
equal where their parameters are, hashable, and the ``repr`` of an activation or a mean field is the
call that makes it. A single parameter such as ``phi.tau`` is a float. For single numbers maps and
activations give an ``np.float64``, for arrays an array of the shape to which all arguments and
parameters broadcast.

May import: numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .activations.function import Activation as Activation
    from .activations.piecewise_linear import PiecewiseLinear as PiecewiseLinear
    from .activations.smooth import SmoothClippedReLU as SmoothClippedReLU
    from .activations.smooth import SmoothClippedSoftThreshold as SmoothClippedSoftThreshold
    from .activations.thresholded import ACTIVATIONS as ACTIVATIONS
    from .activations.thresholded import ClippedReLU as ClippedReLU
    from .activations.thresholded import ClippedSoftThreshold as ClippedSoftThreshold
    from .activations.thresholded import ShiftedReLU as ShiftedReLU
    from .activations.thresholded import SoftThreshold as SoftThreshold
    from .finite_width.convolution_law import ConvolutionChain as ConvolutionChain
    from .finite_width.convolution_law import draw_convolutions as draw_convolutions
    from .finite_width.forecast import Forecast as Forecast
    from .finite_width.forecast import forecast as forecast
    from .finite_width.gradient_law import draw_gradients as draw_gradients
    from .finite_width.layer_law import draw_layers as draw_layers
    from .finite_width.position_law import draw_many_positions as draw_many_positions
    from .finite_width.pre_norm_law import draw_pre_norm as draw_pre_norm
    from .finite_width.recipe import Recipe as Recipe
    from .finite_width.recipe import recipe as recipe
    from .finite_width.residual_law import draw_residual as draw_residual
    from .finite_width.stable_clip import NoStableClipError as NoStableClipError
    from .finite_width.stable_clip import StableClip as StableClip
    from .finite_width.stable_clip import largest_stable_clip as largest_stable_clip
    from .finite_width.stream_law import StreamChain as StreamChain
    from .finite_width.variance_law import Chain as Chain
    from .finite_width.variance_law import SmallNoise as SmallNoise
    from .finite_width.variance_law import UnitChain as UnitChain
    from .finite_width.variance_law import draw_chain as draw_chain
    from .finite_width.variance_law import one_step_variance as one_step_variance
    from .finite_width.variance_law import small_noise as small_noise
    from .mean_field.bifurcation import Bifurcation as Bifurcation
    from .mean_field.bifurcation import bifurcation as bifurcation
    from .mean_field.convolution import covariance_fixed_point as covariance_fixed_point
    from .mean_field.convolution import covariance_map as covariance_map
    from .mean_field.edge_of_chaos import edge_of_chaos as edge_of_chaos
    from .mean_field.edge_of_chaos import edge_of_chaos_for_bias as edge_of_chaos_for_bias
    from .mean_field.fixed_points import FixedPoint as FixedPoint
    from .mean_field.fixed_points import FixedPointContinuumError as FixedPointContinuumError
    from .mean_field.fixed_points import SteepestPoint as SteepestPoint
    from .mean_field.fixed_points import fixed_points as fixed_points
    from .mean_field.fixed_points import steepest_point as steepest_point
    from .mean_field.jacobian import JacobianMoments as JacobianMoments
    from .mean_field.jacobian import jacobian_moments as jacobian_moments
    from .mean_field.jacobian_density import JacobianDensity as JacobianDensity
    from .mean_field.jacobian_density import jacobian_density as jacobian_density
    from .mean_field.maps import MeanField as MeanField
    from .mean_field.pre_norm import PreNorm as PreNorm
    from .mean_field.propagation import correlation_fixed_point as correlation_fixed_point
    from .mean_field.propagation import depth_scales as depth_scales
    from .mean_field.propagation import phase as phase
    from .mean_field.residual import Residual as Residual
    from .mean_field.transformer import Transformer as Transformer

    __version__: str

_HOMES = {
    "activations.function": ("Activation",),
    "activations.piecewise_linear": ("PiecewiseLinear",),
    "activations.smooth": ("SmoothClippedReLU", "SmoothClippedSoftThreshold"),
    "activations.thresholded": (
        "ACTIVATIONS",
        "ClippedReLU",
        "ClippedSoftThreshold",
        "ShiftedReLU",
        "SoftThreshold",
    ),
    "finite_width.convolution_law": ("ConvolutionChain", "draw_convolutions"),
    "finite_width.forecast": ("Forecast", "forecast"),
    "finite_width.gradient_law": ("draw_gradients",),
    "finite_width.layer_law": ("draw_layers",),
    "finite_width.position_law": ("draw_many_positions",),
    "finite_width.pre_norm_law": ("draw_pre_norm",),
    "finite_width.recipe": ("Recipe", "recipe"),
    "finite_width.residual_law": ("draw_residual",),
    "finite_width.stable_clip": ("NoStableClipError", "StableClip", "largest_stable_clip"),
    "finite_width.stream_law": ("StreamChain",),
    "finite_width.variance_law": (
        "Chain",
        "SmallNoise",
        "UnitChain",
        "draw_chain",
        "one_step_variance",
        "small_noise",
    ),
    "mean_field.bifurcation": ("Bifurcation", "bifurcation"),
    "mean_field.convolution": ("covariance_fixed_point", "covariance_map"),
    "mean_field.edge_of_chaos": ("edge_of_chaos", "edge_of_chaos_for_bias"),
    "mean_field.fixed_points": (
        "FixedPoint",
        "FixedPointContinuumError",
        "SteepestPoint",
        "fixed_points",
        "steepest_point",
    ),
    "mean_field.jacobian": ("JacobianMoments", "jacobian_moments"),
    "mean_field.jacobian_density": ("JacobianDensity", "jacobian_density"),
    "mean_field.maps": ("MeanField",),
    "mean_field.pre_norm": ("PreNorm",),
    "mean_field.propagation": ("correlation_fixed_point", "depth_scales", "phase"),
    "mean_field.residual": ("Residual",),
    "mean_field.transformer": ("Transformer",),
}
"""The public names by the file that each is in."""

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    """A public name, from its file, or the version: nothing is loaded before it is used."""
    if name == "__version__":
        globals()[name] = _version()
        return globals()[name]
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(f".{home}", __name__), name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sparsity-theory")
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
