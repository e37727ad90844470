"""Gaussian correlation integrals of continuous piecewise-linear functions (Eqs. 6, 11, 19, App. A).

For phi with kinks k_1 <= ... <= k_n, slopes s_0 .. s_n, and standard normal z1, z2 with
correlation t, let

    C(t) = E[phi(z1) phi(z2)],   P(t) = C'(t) = E[phi'(z1) phi'(z2)],   G(g) = C(1) - C(1 - g).

The correlation map is R = (sigma_w^2 q C + sigma_b^2) / q (Eq. 6), its slope sigma_w^2 P, which at
1 is chi_1 (Eqs. 11, 19), and 1 - R is sigma_w^2 G at a fixed point. By Price's theorem C'' is a
finite sum over the slope jumps d_i = s_i - s_{i-1} (and for a single pair of them Plackett's
identity),

    K(t) = C''(t) = sum_ij d_i d_j N2(k_i, k_j; t)          (N2: bivariate normal density).

Its Taylor coefficients are not negative, so for 0 <= rho <= 1 every term of

    P(rho) = (E phi')^2 + int_0^rho K(t) dt
    C(rho) = (E phi)^2 + rho (E phi')^2 + int_0^rho (rho - t) K(t) dt
    G(g)   = g (E phi')^2 + int_0^1 min(g, 1 - t) K(t) dt

is positive, and nothing cancels. The common factor exp(-k^2 / (1 + rho)), with k the kink nearest
to zero, is taken out in double-double. A negative correlation is a positive one of (z1, -z2).

==============  =====================================================
`line`          a standardized piecewise-linear function
`pieces`        its kinks by their distance beyond the nearest one
`moments`       E phi, E phi', and C and P at rho = -1
`kernel`        K, as double differences over pairs of pieces
`panels`        the quadrature over the correlation
`cells`         its interpolation, for very many points of a line
`conditional`   C by conditional expectation, where K cancels
`correlations`  C, P and G: the choice between these at every point
`unequal`       the integral of K for two inputs of different variances
==============  =====================================================
"""

from .correlations import correlation, correlation_gap, slope_correlation
from .line import Line, standardize
from .unequal import kink_integral

__all__ = [
    "Line",
    "correlation",
    "correlation_gap",
    "kink_integral",
    "slope_correlation",
    "standardize",
]
