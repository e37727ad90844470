"""What the figures of the paper draw, before it is drawn, against definitions and captions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

from property_tests.references.definitions import Function, Number, mp, of_kind, phi
from property_tests.support.agreement import agree, printed
from property_tests.support.controls import weights_times
from property_tests.support.published import rows
from torch_models.reports.palette import GREEN, ORANGE
from torch_models.reports.panels import Curve, Panel, Points
from torch_models.reports.paper_figures.catalogue import FROM_THEORY
from torch_models.reports.paper_figures.clip_choice import CHOSEN, LEVELS, MARKED, SPARSITIES
from torch_models.reports.paper_figures.edge_of_chaos import AT_ONE, FIXED_POINTS
from torch_models.reports.paper_figures.marks import STABLE, UNSTABLE
from torch_models.reports.paper_figures.unclipped_variance import TOUCHING

EXACT = 1e-11
"""Relative: V and R are good to a few ulps, and the quadrature of R here to 1e-12."""

CHI = {"ordered": 0.8, "edge of chaos": 1.0, "chaotic": 1.25}


def parameters(panel: Panel) -> dict[str, float]:
    """Tau, and m if it is there, as the panel's title says them."""
    named = re.findall(r"(tau|m) = ([\d.]+)", panel.title)
    return {name: float(value) for name, value in named}


def network(function: Function, chi: float = 1.0) -> tuple[Number, Number]:
    """sigma_w^2 and sigma_b^2 that give this chi_1 at q* = 1, from the definitions."""
    w2 = chi / function.mean_square_derivative(1)
    return w2, 1 - w2 * function.mean_square(1)


def follows(curve: Curve, expected: Callable[[float], Number], every: int = 60) -> None:
    """Assert that a curve has the values of a function, at some of its points."""
    assert curve.x.size > every
    for x, y in zip(curve.x[::every], curve.y[::every], strict=True):
        agree(curve.label, y, expected(float(x)), EXACT, scale=1, search=False, x=x)


def by_side(panel: Panel) -> dict[float, Curve]:
    """The curves of a panel by the chi_1 that their labels say."""
    found = {}
    for curve in panel.curves:
        for name, chi in CHI.items():
            if curve.label.startswith(name):
                assert curve.label.endswith(rf"$\chi_1 = {chi:g}$")
                found[chi] = curve
    return found


@cache
def panels(number: int) -> tuple[Panel, ...]:
    return FROM_THEORY[number]().panels


# ---------------------------------------------------------------- activations


@pytest.mark.claim("Figures")
def test_figure_1_draws_the_five_activations_of_its_caption() -> None:
    drawn = panels(1)
    kinds = [("relu", 0), ("relu", 1), ("st", 1), ("crelu", 1), ("cst", 1)]
    for panel, (kind, tau) in zip(drawn, kinds, strict=True):
        clip = 1.0 if kind.startswith("c") else math.inf
        (curve,) = panel.curves
        assert np.array_equal(curve.y, [float(phi(kind, x, tau, clip)) for x in curve.x])
        assert {-2.0, -1.0, 0.0, 1.0, 2.0} <= set(np.round(curve.x, 12))  # all kinks are points


# ---------------------------------------------------------------- variance maps


@pytest.mark.claim("Figures")
@pytest.mark.control("Figures", replace="sparsity_theory.edge_of_chaos", by=weights_times(1.01))
def test_figure_2_draws_both_variance_maps_on_each_other_for_every_threshold() -> None:
    for panel in FROM_THEORY[2]().panels:
        tau = parameters(panel)["tau"]
        for kind, label in (("relu", r"ReLU$_\tau$"), ("st", r"ST$_\tau$")):
            function = of_kind(kind, tau)
            w2, b2 = network(function)
            follows(panel.curve(label), lambda q: w2 * function.mean_square(q) + b2)  # noqa: B023
            share = float(function.mass_of_zeros(1))
            assert f"{share:.2f}" in panel.title
        if tau == 0:
            assert not panel.points  # every q is a fixed point
        else:
            assert np.allclose(panel.point(TOUCHING).x, [1], rtol=1e-7, atol=0)


@pytest.mark.claim("Figures")
@pytest.mark.parametrize(("place", "kind"), [(0, "relu"), (1, "st")])
def test_figure_9_draws_variance_maps_at_sparsities_of_50_60_and_70_percent(
    place: int, kind: str
) -> None:
    panel = panels(9)[place]
    identity, *curves = panel.curves
    assert np.array_equal(identity.x, identity.y)
    for s, curve in zip(("0.5", "0.6", "0.7"), curves, strict=True):
        share = mp.mpf(s) if kind == "relu" else (1 + mp.mpf(s)) / 2
        function = of_kind(kind, mp.sqrt(2) * mp.erfinv(2 * share - 1))
        w2, b2 = network(function)
        follows(curve, lambda q: w2 * function.mean_square(q) + b2)  # noqa: B023
        (tabulated,) = {
            row["tau"]
            for row in rows("table_2")
            if (row["kind"], float(row["s"])) == (kind, float(s))
        }
        assert curve.label == rf"$s = {s}$ ($\tau = {tabulated}$)"


@pytest.mark.claim("Figures")
@pytest.mark.parametrize(("number", "kind"), [(10, "crelu"), (11, "cst")])
def test_figures_10_and_11_draw_clipped_variance_maps_at_and_beside_the_edge(
    number: int, kind: str
) -> None:
    drawn = panels(number)
    grid = [{"tau": tau, "m": m} for m in (1, 1.5, 2) for tau in (0, 0.25, 0.5, 1)]
    assert [parameters(panel) for panel in drawn] == grid
    for panel in drawn:
        function = of_kind(kind, *parameters(panel).values())
        curves = by_side(panel)
        for chi in CHI.values():
            w2, b2 = network(function, chi)
            assert (chi in curves) == (b2 >= 0)
            if chi in curves:
                follows(curves[chi], lambda q: w2 * function.mean_square(q) + b2)  # noqa: B023
        assert len(curves) + len(panel.notes) == len(CHI)
        marks_lie_on_the_diagonal(panel)


@pytest.mark.claim("Figures")
@pytest.mark.parametrize("number", [10, 11])
def test_of_figures_10_and_11_the_bottom_right_panel_alone_marks_three_fixed_points_on_the_edge(
    number: int,
) -> None:
    *others, last = panels(number)
    black = [group for group in last.points if group.colour == panels(4)[0].points[0].colour]
    assert {group.label: group.x.size for group in black} == {STABLE: 2, UNSTABLE: 1}
    for panel in others:
        (mark,) = [group for group in panel.points if group.colour == black[0].colour]
        assert (mark.label, mark.x.size) == (STABLE, 1)
        assert mark.x[0] == pytest.approx(1, rel=1e-9)


def marks_lie_on_the_diagonal(panel: Panel) -> None:
    for group in panel.points:
        assert np.array_equal(group.x, group.y)
        assert np.all(group.x <= 5)


# ---------------------------------------------------------------- Figs. 3 and 4: clips


@pytest.mark.claim("Figures")
@pytest.mark.control("Figures", replace="sparsity_theory.edge_of_chaos", by=weights_times(1.01))
def test_figure_3_draws_slope_and_curvature_of_the_definitions_over_the_clip() -> None:
    slopes_and_curvatures = FROM_THEORY[3]().panels
    assert [panel.levels for panel in slopes_and_curvatures[:2]] == [LEVELS, LEVELS]
    assert LEVELS == (0.5, 0.6, 0.7, 0.8, 0.9)
    for place, kind in enumerate(("crelu", "cst")):
        slopes, curvatures = slopes_and_curvatures[place], slopes_and_curvatures[place + 2]
        for s, slope, curvature in zip(SPARSITIES, slopes.curves, curvatures.curves, strict=True):
            share = mp.mpf(str(s)) if kind == "crelu" else (1 + mp.mpf(str(s))) / 2
            tau = mp.sqrt(2) * mp.erfinv(2 * share - 1)
            assert slope.label == curvature.label == f"$s = {s:g}$"
            for point in (20, 90):
                function = of_kind(kind, tau, float(slope.x[point]))
                w2 = 1 / function.mean_square_derivative(1)
                at = {"s": s, "m": slope.x[point], "search": False, "scale": 1}
                agree("V'", slope.y[point], w2 * function.mean_square_slope(1), EXACT, **at)
                agree(
                    "V''", curvature.y[point], w2 * function.mean_square_curvature(1), EXACT, **at
                )


@pytest.mark.claim("Figures")
@pytest.mark.parametrize(("place", "kind"), [(0, "crelu"), (1, "cst")])
def test_figure_3_marks_the_clips_that_tables_2_and_5_print(place: int, kind: str) -> None:
    """V'' to 0.01: fourteen printed ones are those of the rounded m (Misprint Table 2 V'')."""
    tabulated = {
        (float(row["s"]), float(row["slope"])): (row["m"], float(row["curvature"]))
        for table in ("table_2", "table_5")
        for row in rows(table)
        if row["kind"] == kind
    }
    slopes, curvatures = panels(3)[place], panels(3)[place + 2]
    seen = 0
    for s, group, below in zip(SPARSITIES, slopes.points, curvatures.points, strict=True):
        assert group.label == below.label == MARKED
        assert np.allclose(group.y, CHOSEN, rtol=0, atol=1e-12)
        assert np.array_equal(group.x, below.x)
        for slope, m, curvature in zip(CHOSEN, group.x, below.y, strict=True):
            if (s, slope) in tabulated:
                clip, bend = tabulated[s, slope]
                assert printed(float(m), clip)
                assert abs(float(curvature) - bend) < 0.0101
                seen += 1
    assert seen == len(tabulated)


@pytest.mark.claim("Figures")
def test_figure_4_draws_the_maps_in_the_colours_and_with_the_fixed_points_of_its_caption() -> None:
    """q* alone in (a), and for the orange curve of (b); three fixed points for the green one."""
    left, right, *distances = panels(4)
    assert [curve.colour for curve in left.curves[1:]] == [ORANGE]
    assert [curve.colour for curve in right.curves[1:]] == [ORANGE, GREEN]
    labels = " ".join(curve.label for curve in (*left.curves, *right.curves))
    clips = re.findall(r"m = ([\d.]+)", labels)
    assert clips == ["1.74", "1.22", "1.53"]  # the second is cited in Sec. 4
    assert left.point(STABLE).x == pytest.approx([1.0])
    assert right.point(STABLE).x == pytest.approx([1.0, 5.34], abs=5e-3)
    assert right.point(UNSTABLE).x == pytest.approx([1.263], abs=5e-4)
    for panel, kind, share in ((left, "crelu", 0.85), (right, "cst", 0.925)):
        tau = mp.sqrt(2) * mp.erfinv(2 * mp.mpf(str(share)) - 1)
        function = of_kind(kind, tau, m_for_slope(kind, tau, "0.9"))
        w2, b2 = network(function)
        follows(panel.curves[-1], lambda q: w2 * function.mean_square(q) + b2, every=100)  # noqa: B023
        for group in panel.points:
            for q in group.x:
                agree("V(q)", w2 * function.mean_square(q) + b2, q, 1e-12, search=False)
    for upper, lower in zip((left, right), distances, strict=True):
        for curve, distance in zip(upper.curves[1:], lower.curves, strict=True):
            assert np.array_equal(distance.y, curve.y - curve.x)


def m_for_slope(kind: str, tau: Number, slope: str) -> Number:
    """The clip with this V'(1) on the edge of chaos, by bisection on the definition."""

    def excess(m: Number) -> Number:
        function = of_kind(kind, tau, m)
        return function.mean_square_slope(1) / function.mean_square_derivative(1) - mp.mpf(slope)

    return mp.findroot(excess, (1, 2), solver="anderson", tol=1e-25)


# ---------------------------------------------------------------- Fig. 8: the edge


@pytest.mark.claim("Figures")
@pytest.mark.control("Figures", replace="sparsity_theory.edge_of_chaos", by=weights_times(1.01))
def test_figure_8_draws_the_edge_of_chaos_with_twice_the_weights_for_relu() -> None:
    drawn = FROM_THEORY[8]().panels
    for panel, kind in zip(drawn, ("relu", "st"), strict=True):
        for place, curve in enumerate(panel.curves):
            function = of_kind(kind, float(curve.label.split("= ")[1].strip("$")))
            for q_star, w2, b2 in list(zip(FIXED_POINTS, curve.x, curve.y, strict=True))[::80]:
                expected = 1 / function.mean_square_derivative(q_star)
                agree("sigma_w^2", w2, expected, EXACT, search=False, q_star=q_star)
                bias = mp.mpf(q_star) - expected * function.mean_square(q_star)
                agree("sigma_b^2", b2, bias, 1e-9, search=False, q_star=q_star)
            dot = panel.point(AT_ONE)
            assert dot.x[place] == pytest.approx(float(network(function)[0]), rel=1e-12)
            assert dot.y[place] == pytest.approx(float(network(function)[1]), rel=1e-11)
    relu, soft = drawn
    for one, other in zip(relu.curves, soft.curves, strict=True):
        assert np.allclose(one.x, 2 * other.x, rtol=1e-13, atol=0)
        assert np.array_equal(one.y, other.y)


# ---------------------------------------------------------------- correlation maps


def hinges(kind: str, tau: float, m: float | None) -> list[tuple[int, int, float]]:
    """Phi as a sum of sign * max(0, side * x - t): sign, side and t."""
    right = [(1, 1, tau)] if m is None else [(1, 1, tau), (-1, 1, tau + m)]
    left = [(-sign, -1, t) for sign, _, t in right]
    return right if kind in ("relu", "crelu") else right + left


def normal_density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def mean_product(kind: str, rho: float, tau: float, m: float | None = None) -> float:
    """E phi(u_1) phi(u_2) at q = 1: E phi(u_2) given u_1 in closed form, then quadrature."""
    ramps, spread = hinges(kind, tau, m), math.sqrt(1 - rho * rho)

    def given(u: float) -> float:
        total = 0.0
        for sign, side, t in ramps:
            above = side * rho * u - t
            if spread == 0:
                total += sign * max(0.0, above)
            else:
                z = above / spread
                below = 0.5 * math.erfc(-z / math.sqrt(2))
                total += sign * (above * below + spread * normal_density(z))
        return total

    def integrand(u: float) -> float:
        value = sum(sign * max(0.0, side * u - t) for sign, side, t in ramps)
        return value * given(u) * normal_density(u)

    ends = sorted({-12.0, 12.0, *(side * t for _, side, t in ramps)})
    parts = (
        integrate.quad(integrand, low, high, epsabs=1e-13, epsrel=1e-12)[0]
        for low, high in pairwise(ends)
    )
    return math.fsum(parts)


@pytest.mark.claim("Figures")
@pytest.mark.parametrize(("number", "kind"), [(6, "relu"), (7, "st"), (12, "crelu"), (13, "cst")])
def test_correlation_maps_are_drawn_at_and_beside_the_edge_with_their_crossings(
    number: int, kind: str
) -> None:
    """A crossing below one is marked on the chaotic curve, and on no other."""
    drawn = panels(number)
    assert len(drawn) == (12 if kind.startswith("c") else 4)
    for panel in drawn:
        given = tuple(parameters(panel).values())
        function, curves = of_kind(kind, *given), by_side(panel)
        for chi in CHI.values():
            w2, b2 = map(float, network(function, chi))
            assert (chi in curves) == (b2 > -1e-12)
            marks = [
                group
                for group in panel.points
                if chi in curves and group.colour == curves[chi].colour
            ]
            assert len(marks) == (chi > 1 and chi in curves)
            for rho in (0.0, 0.5, 0.95):
                if chi in curves:
                    place = int(np.argmin(np.abs(curves[chi].x - rho)))
                    expected = w2 * mean_product(kind, float(curves[chi].x[place]), *given) + b2
                    assert curves[chi].y[place] == pytest.approx(expected, abs=1e-10)
            for group in marks:
                crosses(group, w2, b2, lambda rho: mean_product(kind, rho, *given))  # noqa: B023


def crosses(group: Points, w2: float, b2: float, product: Callable[[float], float]) -> None:
    """Assert that R crosses the diagonal at the one point of a group, and not at one."""
    ((rho,), (height,)) = group.x, group.y
    assert rho == height < 1
    assert w2 * product(float(rho)) + b2 == pytest.approx(rho, abs=1e-10)
