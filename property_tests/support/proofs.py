"""What the proofs have in common: networks of the tables, their fixed points, and assertions."""

from __future__ import annotations

import math
from collections.abc import Callable

from flint import arb

import sparsity_theory as st
from property_tests.references.balls import (
    ONE_SIDED,
    CorrelationMap,
    Network,
    quantile,
    stability,
    stability_growth,
    with_chi,
)
from property_tests.references.forms import Form
from sparsity_theory.testing.certify import Interval, Proved, Refuted, certify, positive
from sparsity_theory.testing.zeros import Zeros, isolate_zeros

Predicate = Callable[..., bool | None]

CLIPPED: dict[str, type[st.ClippedReLU] | type[st.ClippedSoftThreshold]] = {
    "crelu": st.ClippedReLU,
    "cst": st.ClippedSoftThreshold,
}

GRID = [(tau, m) for tau in (0.0, 0.25, 0.5, 1.0) for m in (1.0, 1.5, 2.0)]
"""The panels of Figs. 10 to 13."""


def prove(predicate: Predicate, **box: Interval) -> None:
    verdict = certify(predicate, box)
    assert isinstance(verdict, Proved), f"{verdict!s:.1000}"


def refute(predicate: Predicate, **box: Interval) -> None:
    verdict = certify(predicate, box)
    assert isinstance(verdict, Refuted), f"{verdict!s:.1000}"


def vanishes_and_grows_by(form: Form, growth: Form) -> None:
    """Assert, exactly, that a form is zero for w = 0 and has the derivative ``growth`` in w."""
    assert form.without_ramp() == Form()
    assert form.derivative_w() == growth


def threshold(kind: str, s: str | arb) -> arb:
    """The tau that gives sparsity s at q* = 1 (Eqs. 57 and 58)."""
    s = arb(s)
    return quantile(s if kind in ONE_SIDED else (1 + s) / 2)


def clip(tau: arb, slope: str) -> arb:
    """The m at which V'(q*) = slope on the edge of chaos, q* = 1.

    It is the only one, because V'(q*) grows with m (exact, in `proofs.test_clipped`).
    """
    wanted = arb(slope)
    zeros = isolate_zeros(
        lambda m: stability(tau, m) - wanted, lambda m: stability_growth(tau, m), 1 / 16, 16
    )
    (m,) = zeros.isolated
    return m


def designed(kind: str, s: str, slope: str) -> Network:
    """The network of a row of Table 2: on the edge of chaos with q* = 1."""
    tau = threshold(kind, s)
    return with_chi(kind, tau, clip(tau, slope))


def fixed_points(net: Network, **budget: int) -> Zeros:
    """All fixed points q > 0 of a clipped network with sigma_b^2 > 0.

    There are none at q <= sigma_b^2 < V, and none at q >= ``highest`` > V, since phi^2 <= m^2 and
    is not zero on at most half of the line for each side (stated). Computed in between.
    """
    assert net.sigma_b2 > 0
    return isolate_zeros(
        lambda q: net.variance_map(q) - q,
        lambda q: net.variance_slope(q) - 1,
        math.nextafter(float(net.sigma_b2.lower()), 0),
        math.nextafter(float(net.highest().upper()), math.inf),
        **budget,
    )


def the_fixed_points(net: Network) -> tuple[arb, ...]:
    """The same, when none is left undecided."""
    found = fixed_points(net)
    assert found.undecided == ()
    return found.isolated


def born_above(points: tuple[arb, ...], net: Network) -> None:
    """Assert three fixed points: q* = 1, an unstable one, and a stable one with chi > 1."""
    q_star, middle, upper = points
    assert 1 in q_star
    assert middle > 1
    assert 0 <= net.variance_slope(q_star) < 1
    assert net.variance_slope(middle) > 1
    assert 0 <= net.variance_slope(upper) < 1
    assert net.chi(upper) > 1


def bends_upwards(kind: str) -> Predicate:
    """R'' > 0 at the angle theta."""
    return lambda tau, m, theta: positive(
        CorrelationMap(with_chi(kind, tau, m), arb(1)).bending(theta)
    )


def above_the_diagonal(correlations: CorrelationMap) -> Predicate:
    """R(cos theta) > cos theta, by the mean-value form, with a mean-value form for R' in it."""

    def above(theta: arb) -> bool | None:
        middle = theta.mid()
        slope = correlations.slope(middle) - correlations.bending(theta) * (theta - middle)
        rise = (slope - 1) * (theta.cos() - middle.cos())
        return positive(correlations.value(middle) - middle.cos() + rise)

    return above
