"""Correlation integrals of piecewise-linear activations against Plackett's integral (Eqs. 6, 19).

The references, with their points, are made by ``property_tests.references.make_bivariate``: 60
digits, kink by kink, no code in common with ``sparsity_theory``. Their points lie in the corners:
tails to 30, pieces from 1e-6 to 1e6, correlations one ulp from 1, gaps from 1e-300.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import mp
from property_tests.support.agreement import agree, error
from property_tests.support.strategies import KINDS, Point, generic_points, points
from sparsity_theory.numerics.bivariate import cells, conditional, correlations, panels
from sparsity_theory.numerics.legendre import gauss_legendre

EXACT = 5e-15
"""Relative. Roundings of positive terms, and of exponents kept in two doubles: the worst found over
a thousand random points of this domain is 4e-15."""

GENERIC = 5e-15
"""The same, relative to the value at rho = 1: slopes and values of both signs may cancel."""

FLOOR = mp.mpf("1e-290")
"""Below it a product of two densities is no normal double, and only its smallness is asked for."""

FILE = Path(__file__).parents[1] / "references" / "bivariate.json"
RECORDS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
NAMED = [record for record in RECORDS if "kind" in record]
OTHERS = [record for record in RECORDS if "knots" in record]
ONE = np.ones(())


def activation_of(record: dict[str, Any]) -> Any:
    """The library's activation of a record."""
    if "knots" in record:
        return st.PiecewiseLinear(record["knots"], record["slopes"], record["offset"])
    return Point(record["kind"], record["tau"], record["m"], 1.0).activation


def computed(record: dict[str, Any]) -> dict[str, tuple[Any, Any, float]]:
    """What a record is about: (computed, reference, scale) by name."""
    phi = activation_of(record)
    if "gap" in record:
        gap = phi.mean_product_gap(np.asarray(record["gap"]), ONE)
        return {"gap": (gap, mp.mpf(record["value"]), mp.mpf(record["value"]))}
    rho = np.asarray(record["rho"])
    value, slope = mp.mpf(record["value"]), mp.mpf(record["slope"])
    return {
        "value": (phi.mean_product(rho, ONE), value, mp.mpf(record.get("value_scale", value))),
        "slope": (
            phi.mean_product_of_derivatives(rho, ONE),
            slope,
            mp.mpf(record.get("slope_scale", slope)),
        ),
    }


@pytest.mark.claim("Eq. 6", "Eq. 19")
@pytest.mark.parametrize("record", NAMED, ids=lambda r: " ".join(str(v) for v in r.values()))
def test_products_of_the_four_kinds_are_exact_in_every_corner(record: dict[str, Any]) -> None:
    for what, (found, expected, scale) in computed(record).items():
        if abs(expected) < FLOOR:
            assert abs(float(found)) < 1e-289
        else:
            agree(what, found, expected, EXACT, scale=scale, search=False, **record)


@pytest.mark.claim("Eq. 6", "Eq. 19")
@pytest.mark.parametrize("record", OTHERS, ids=lambda r: f"{len(r['slopes'])} pieces {r}"[:70])
def test_products_of_any_other_activation_are_exact(record: dict[str, Any]) -> None:
    """Leaky ReLU, HardTanh, the identity, |x|, and random ones of 2 to 16 pieces."""
    for what, (found, expected, scale) in computed(record).items():
        agree(what, found, expected, GENERIC, scale=scale or 1, search=False, **record)


def rejected(record: dict[str, Any], what: str, wrong: Any) -> bool:
    """Whether ``wrong`` is not within the tolerance of a record."""
    _, expected, scale = computed(record)[what]
    return abs(expected) > FLOOR and error(wrong, expected, scale) > EXACT


def test_a_gap_by_subtraction_is_rejected() -> None:
    """Negative control: right to the rounding of E phi^2, which is not enough."""
    records = [r for r in NAMED if r["tau"] == 1.0364 and "gap" in r]

    def by_subtraction(record: dict[str, Any]) -> float:
        phi = activation_of(record)
        return float(phi.mean_square(ONE) - phi.mean_product(1 - ONE * record["gap"], ONE))

    assert any(rejected(record, "gap", by_subtraction(record)) for record in records)
    assert not any(rejected(r, "gap", float(computed(r)["gap"][0])) for r in records)


@pytest.mark.parametrize(("kind", "tau"), [("relu", 0.0), ("relu", -2.0), ("crelu", 1.0364)])
def test_a_slope_that_lacks_its_value_at_zero_is_rejected(kind: str, tau: float) -> None:
    """Negative control: P without (E phi')^2, right for the curvature of C alone."""
    for record in NAMED:
        if (record["kind"], record["tau"]) == (kind, tau) and "rho" in record:
            lacking = activation_of(record).mean_derivative_power(ONE, 1) ** 2
            assert rejected(record, "slope", float(computed(record)["slope"][0] - lacking))


@pytest.mark.parametrize("nodes", [7, 10])
def test_panels_with_too_few_nodes_are_rejected(
    nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: one rule for every panel, whatever its exponents."""
    few = tuple(v[:, None] for v in gauss_legendre(nodes))
    monkeypatch.setattr(panels, "_RULES", [few] * 4)
    records = [r for r in NAMED if "rho" in r]
    assert sum(rejected(r, "slope", float(computed(r)["slope"][0])) for r in records) >= 5


@pytest.mark.claim("Eq. 6")
def test_a_thin_piece_in_the_tail_keeps_its_digits() -> None:
    """Here a panel chosen by the size of its exponents alone once lost 9e-8."""
    tau, m, rho = 7.692900904055342, 1e-6, -0.7559114150768581
    record = next(r for r in NAMED if (r["tau"], r["m"], r.get("rho")) == (tau, m, rho))
    for what, (found, expected, _) in computed(record).items():
        agree(what, found, expected, EXACT, search=False, tau=tau, m=m, rho=rho)


# ---------------------------------------------------------------- identities


@pytest.mark.claim("Eq. 19")
@given(
    kind=hyp.sampled_from(KINDS),
    tau=hyp.floats(0.1, 3.0),
    m=hyp.floats(0.3, 3.0),
    rho=hyp.floats(-0.9, 0.9),
)
def test_the_slope_integrates_to_the_product(kind: str, tau: float, m: float, rho: float) -> None:
    """C(rho) - C(0) = int_0^rho P, by 40 Gauss-Legendre nodes.

    P is analytic but for |rho| = 1; 40 nodes on [0, 0.9] leave 2.7^-80 of it. What remains is the
    rounding of C, relative to C(1).
    """
    phi = Point(kind, tau, None if kind in {"relu", "st"} else m, 1.0).activation
    nodes, weights = np.polynomial.legendre.leggauss(40)
    slopes = phi.mean_product_of_derivatives(rho * (nodes + 1) / 2, ONE)
    ends = phi.mean_product(np.array([0.0, rho]), ONE)
    scale = float(phi.mean_square(ONE))
    integral = float(rho / 2 * weights @ slopes)
    agree(
        "C",
        float(ends[1] - ends[0]),
        integral,
        2e-15,
        scale=scale,
        kind=kind,
        tau=tau,
        m=m,
        rho=rho,
    )


@pytest.mark.claim("Eq. 6", "Eq. 19")
@given(point=points())
def test_at_one_the_products_are_the_mean_squares(point: Point) -> None:
    """Through the moments of single Gaussians, which share nothing with the integral."""
    phi, q = point.activation, np.asarray(point.q)
    square, slope = phi.mean_square(q), phi.mean_derivative_power(q, 2)
    if square / q > 1e-290 and slope > 1e-290:
        agree("C(1)", phi.mean_product(ONE, q), float(square), 1e-14, point=point)
        agree("P(1)", phi.mean_product_of_derivatives(ONE, q), float(slope), 1e-14, point=point)


@pytest.mark.claim("Eq. 6")
@given(point=generic_points(), gap=hyp.floats(0.01, 2.0))
def test_the_gap_is_what_the_product_lacks(point: Any, gap: float) -> None:
    phi, q = point.activation, np.asarray(point.q)
    ends = phi.mean_product(np.array([1.0, 1 - gap]), q)
    found = phi.mean_product_gap(np.asarray(gap), q)
    # rounding of 1 - gap moves C by P(1) 1e-16
    scale = float(ends[0] + q * phi.mean_product_of_derivatives(ONE, q)) or 1.0
    agree("G", found, float(ends[0] - ends[1]), 1e-14, scale=scale, point=point, gap=gap)


@pytest.mark.claim("Eq. 6", "Eq. 19")
@pytest.mark.parametrize("number", [600, 10_000])
@settings(max_examples=15)
@given(point=points(most=20.0), seed=hyp.integers(0, 2**32 - 1))
def test_many_points_of_one_line_are_what_single_points_are(
    number: int, point: Point, seed: int
) -> None:
    """From 512 points on, a line's points share a grid; from 8192 on, interpolants in its cells."""
    phi, q = point.activation, np.asarray(point.q)
    rng = np.random.default_rng(seed)
    rho = np.concatenate([rng.uniform(-1, 1, number), 1 - 10 ** rng.uniform(-16, 0, number)])
    some = slice(None, None, number // 4)
    gap = np.where(rho < 0.5, 1 - rho, 10 ** (-100 * rho))
    for mean, at in (
        (phi.mean_product, rho),
        (phi.mean_product_of_derivatives, rho),
        (phi.mean_product_gap, gap),
    ):
        together = mean(at, q)
        alone = np.array([mean(x, q) for x in at[some]])
        scale = np.where(np.abs(alone) > 1e-290, np.abs(alone), 1.0)
        off = np.abs(together[some] - alone) / scale
        assert off.max() < 2 * EXACT, f"{point}, at {at[some][off.argmax()]!r}"


@pytest.mark.claim("Eq. 6", "Eq. 19")
@settings(max_examples=15)
@given(point=generic_points(), seed=hyp.integers(0, 2**32 - 1))
def test_very_many_points_of_any_line_are_what_fewer_are(point: Any, seed: int) -> None:
    """Errors are relative to the value at rho = 1, as kernels of both signs may cancel."""
    phi, q = point.activation, np.asarray(point.q)
    rng = np.random.default_rng(seed)
    rho = np.concatenate([rng.uniform(-1, 1, 10_000), 1 - 10 ** rng.uniform(-16, 0, 10_000)])
    for mean in (phi.mean_product, phi.mean_product_of_derivatives):
        scale = float(mean(ONE, q)) or 1.0
        off = np.abs(mean(rho, q)[::50] - mean(rho[::50], q)) / scale
        assert off.max() < 2 * GENERIC, f"{point}, at {rho[::50][off.argmax()]!r}"


def test_interpolants_whose_series_have_not_ended_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: every cell is taken for a smooth one."""
    phi, rho = st.ShiftedReLU(8.0), np.linspace(-1, 1, 20_000)
    right = phi.mean_product(rho, ONE)
    monkeypatch.setattr(cells, "_ENDED", np.inf)
    assert np.max(np.abs(phi.mean_product(rho, ONE) - right) / (right + 1e-290)) > 100 * EXACT


@pytest.mark.claim("Eq. 6")
@pytest.mark.parametrize("tau", [0.05, 0.2, 0.35])
@pytest.mark.parametrize("m", [0.04, 0.01, 1e-3])
def test_the_conditional_expectation_is_what_the_integral_over_correlations_is(
    tau: float, m: float
) -> None:
    """Two routes to C of a thin CReLU; the second loses m^(-1/2) ulps as rho goes to -1."""
    phi = st.ClippedReLU(tau, m)
    line = phi._line(ONE)
    rho = -np.linspace(0.05, 0.95, 19)
    one = conditional.value_one_sided(line, rho)
    other = correlations._from_either(correlations._C, line, rho)
    tolerance = 1e-14 / math.sqrt(m)
    assert np.max(np.abs(one / other - 1)) < tolerance


@pytest.mark.claim("Eq. 6")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1e-4, 1.1])
def test_gaps_of_every_size_in_one_call_are_what_they_are_alone(kind: str, m: float) -> None:
    """Points of one line share their panels, from a gap of 1e-300 to one of 2."""
    phi = Point(kind, 0.8, None if kind in ("relu", "st") else m, 1.0).activation
    gaps = np.concatenate([np.geomspace(1e-300, 2.0, 400), np.geomspace(1e-16, 1.0, 400)])
    together = phi.mean_product_gap(gaps, ONE)
    for i in range(0, gaps.size, 7):
        alone = float(phi.mean_product_gap(gaps[i], ONE))
        agree("gap", together[i], alone, 1e-14, search=False, gap=gaps[i])
    rho = np.concatenate([1 - gaps[gaps < 1], gaps[gaps < 1] - 1, [0.0, 1.0, -1.0]])
    for name in ("mean_product", "mean_product_of_derivatives"):
        together = getattr(phi, name)(rho, ONE)
        scale = float(getattr(phi, name)(ONE, ONE))
        for i in range(0, rho.size, 11):
            alone = float(getattr(phi, name)(rho[i], ONE))
            agree(name, together[i], alone, 1e-14, scale=scale, search=False, rho=rho[i])
