"""The Gaussian identities that everything rests on (Eqs. 33-36)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp
from scipy.special import erf, erfinv, ndtr, ndtri

import sparsity_theory as st
from property_tests.references.definitions import mp, partial_moments
from property_tests.support.agreement import agree
from property_tests.support.controls import complement, doubled
from property_tests.support.strategies import FARTHEST, log_uniform

ULPS = 8 * 2.0**-52
"""Tolerance for the library's partial moments: four factors, each good to an ulp or two."""

POINTS = [-6.0, -1.5, -0.1, 0.0, 0.3, 1.0, 2.7, 7.0]


@pytest.mark.claim("Eq. 33", "Eq. 34")
@pytest.mark.control("Eq. 33", "Eq. 34", replace="mp.erf", by=doubled)
@pytest.mark.parametrize("z", POINTS)
def test_the_normal_distribution_is_the_integral_of_its_density_and_is_an_erf(z: float) -> None:
    """Quadrature of the density to 30 digits against mpmath's erf, and both against SciPy's."""
    with mp.workdps(30):
        cdf = mp.quad(mp.npdf, [-mp.inf, mp.mpf(z) - 1, z])
        agree("Phi", (1 + mp.erf(mp.mpf(z) / mp.sqrt(2))) / 2, cdf, 1e-20, search=False)
        agree("erf", 2 * cdf - 1, mp.erf(mp.mpf(z) / mp.sqrt(2)), 1e-20, scale=1, search=False)
    agree("ndtr", float(ndtr(z)), cdf, 1e-14, search=False)
    agree("erf", float(erf(z / np.sqrt(2))), 2 * cdf - 1, 1e-15, scale=1, search=False)


@pytest.mark.claim("Eq. 35")
@pytest.mark.control("Eq. 35", replace="mp.erfinv", by=doubled)
@given(p=hyp.floats(1e-6, 1 - 1e-6))
def test_the_normal_quantile_is_an_inverse_erf(p: float) -> None:
    """Both forms of the identity, in 50 digits and in double precision."""
    x = mp.mpf(p)
    quantile = mp.findroot(lambda z: mp.ncdf(z) - x, float(ndtri(p)))
    agree("Phi^-1", mp.sqrt(2) * mp.erfinv(2 * x - 1), quantile, 1e-40, scale=1, search=False, p=p)
    # 2 p - 1 is exact for p >= 1/4; the quantile magnifies a change of p by 1 / density
    tolerance = 1e-15 * (1 + 1 / float(mp.npdf(quantile)))
    agree("ndtri", float(np.sqrt(2) * erfinv(2 * p - 1)), quantile, tolerance, scale=1, p=p)


@pytest.mark.claim("Eq. 36")
@pytest.mark.control("Eq. 36", replace="mp.ncdf", by=complement)
@pytest.mark.parametrize("z", POINTS)
def test_partial_moments_of_the_normal_distribution_have_these_closed_forms(z: float) -> None:
    """Quadrature to 30 digits against the printed closed forms."""
    with mp.workdps(30):
        cuts = [z, mp.mpf(z) + 1, mp.mpf(z) + 4, mp.inf]
        first = mp.quad(lambda t: t * mp.npdf(t), cuts)
        second = mp.quad(lambda t: t * t * mp.npdf(t), cuts)
        agree("first", mp.npdf(z), first, 1e-20, search=False)
        agree("second", z * mp.npdf(z) + mp.ncdf(-z), second, 1e-20, search=False)


@pytest.mark.claim("Eq. 36")
@given(
    a=hyp.one_of(
        hyp.sampled_from([0.0, FARTHEST]), hyp.floats(0.0, FARTHEST), log_uniform(1e-9, 1.0)
    )
)
def test_the_library_has_the_partial_moments_far_into_the_tail(a: float) -> None:
    """E[z; z > a] - a P(z > a) is the mean of a shifted ReLU, E[(z - a)^2; z > a] its V."""
    zeroth, first, second = partial_moments(mp.mpf(a), mp.inf)
    relu = st.ShiftedReLU(a)
    net = st.MeanField(relu, 1.0, 0.0)
    one = np.ones(())
    agree("zeroth", net.chi(1.0), zeroth, ULPS, a=a)
    agree("first", relu.mean(one), first - mp.mpf(a) * zeroth, ULPS, a=a)
    expected = second - 2 * mp.mpf(a) * first + mp.mpf(a) ** 2 * zeroth
    agree("second", net.variance_map(1.0), expected, ULPS, a=a)
