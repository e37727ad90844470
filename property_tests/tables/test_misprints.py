"""The paper's text against its tables and definitions: misprints, and what App. H says."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references import paper
from property_tests.references.definitions import Number, mp, of_kind
from property_tests.support.agreement import agree, error, printed
from property_tests.support.controls import complement
from property_tests.support.published import rows
from property_tests.support.strategies import CLIPPED, UNCLIPPED, Point, points


@pytest.mark.parametrize(
    ("kind", "as_printed", "meant"),
    [
        pytest.param(
            "crelu",
            paper.eq_17_gap_printed,
            paper.eq_17_gap,
            marks=pytest.mark.claim("Misprint Eq. 17", reading="both"),
        ),
        pytest.param(
            "cst",
            paper.eq_18_gap_printed,
            paper.eq_18_gap,
            marks=pytest.mark.claim("Misprint Eq. 18", reading="both"),
        ),
    ],
)
@given(data=hyp.data())
def test_the_gap_needs_the_variance_under_its_root(
    kind: str,
    as_printed: Callable[..., Number],
    meant: Callable[..., Number],
    data: hyp.DataObject,
) -> None:
    point = data.draw(points([kind], most=3.0, thinnest=1e-2, thickest=3.0))
    assume(abs(math.log(point.q)) > 0.1)
    arguments = point.q, point.tau, point.m, 1
    chi = point.function.mean_square_derivative(point.q)
    gap = chi - point.function.mean_square_slope(point.q)
    agree("what is meant", meant(*arguments), gap, 1e-20, scale=chi, search=False, point=point)
    assert error(as_printed(*arguments), gap, scale=chi) > 1e-12


@pytest.mark.claim("Misprint Eq. 16", "Misprint Fig. 3", reading="both")
@given(point=points(["cst"], most=6.0, thinnest=1e-2, thickest=3.0))
def test_the_label_relu_of_tau_and_m_must_mean_the_clipped_relu(point: Point) -> None:
    """Twice ReLU_tau's chi is not CST's, and ReLU_tau's V'(q*) is one on the edge for every m."""
    chi = point.function.mean_square_derivative(point.q)
    relu, crelu = of_kind("relu", point.tau), of_kind("crelu", point.tau, point.m)
    agree("what is meant", 2 * crelu.mean_square_derivative(point.q), chi, 1e-25, search=False)
    assert error(2 * relu.mean_square_derivative(point.q), chi) > 1e-20
    unclipped_slope = relu.mean_square_slope(point.q) / relu.mean_square_derivative(point.q)
    agree("V'(q*)", unclipped_slope, 1, 1e-25, search=False)
    gap = paper.eq_17_gap(point.q, point.tau, point.m, 1) / crelu.mean_square_derivative(point.q)
    assert gap > mp.mpf(10) ** -20  # which is 1 - V'(q*) of the clipped one


@pytest.mark.claim("Misprint Fig. 4", reading="both")
def test_of_the_two_maps_of_figure_4b_only_that_of_the_larger_clip_has_more_fixed_points() -> None:
    """By the signs of V(q) - q up to the bound of V, above which V lies below q."""
    crossings = {}
    for slope in (0.8, 0.9):
        phi = st.ClippedSoftThreshold.for_sparsity(0.85, slope=slope)
        function = of_kind("cst", float(phi.tau), float(phi.m))
        w2 = 1 / function.mean_square_derivative(1)
        b2 = 1 - w2 * function.mean_square(1)
        bound = float(w2 * phi.m**2 + b2)
        above = [
            w2 * function.mean_square(float(q)) + b2 > q for q in np.linspace(0.005, bound, 1000)
        ]
        crossings[slope] = sum(one != other for one, other in pairwise(above))
    assert crossings == {0.8: 1, 0.9: 3}


@pytest.mark.claim("Misprint Fig. 10", reading="both")
def test_the_columns_of_figure_10_are_thresholds_and_not_sparsities() -> None:
    """tau = 0 is no sparsity the paper tests, and s = 0, 0.25 and 1 have no tau >= 0."""
    assert float(st.ClippedReLU(0.0, 1.0).sparsity()) == 0.5
    for s in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"\bs\b"):
            st.ClippedReLU.for_sparsity(s)
    assert float(st.ClippedReLU.for_sparsity(0.25).tau) < 0
    for tau in (0.0, 0.25, 0.5, 1.0):
        assert 0.5 <= float(st.ClippedReLU(tau, 1.0).sparsity()) < 1


@pytest.mark.claim("Misprint Sec. 4 clips", reading="both")
def test_the_clips_cited_in_section_4_belong_to_slopes_that_are_not_tabulated() -> None:
    row_clips = [r["m"] for r in rows("table_2") if (r["kind"], r["s"]) == ("cst", "0.85")]
    assert row_clips == ["0.67", "1.00", "1.53"]
    for clip, slope in (("0.83", 0.6), ("1.22", 0.8)):
        assert clip not in row_clips
        assert printed(float(st.ClippedSoftThreshold.for_sparsity(0.85, slope=slope).m), clip)


def trained(kind: str, network: str) -> dict[str, list[float]]:
    """Accuracies in Table 2 by sparsity, in the order of the rows."""
    found: dict[str, list[float]] = {}
    for row in rows("table_2"):
        if row["kind"] == kind:
            accuracy = row[network]["accuracy"]
            mean = accuracy[0] if isinstance(accuracy, list) else accuracy
            found.setdefault(str(float(row["s"])), []).append(mean)
    return found


@pytest.mark.claim("Misprint Sec. 4 maximum", reading="both")
def test_the_most_accurate_networks_are_those_of_the_clipped_relu() -> None:
    assert not {"0.8", "0.85"} & set(trained("relu", "dnn"))
    best = {s: max(values) for s, values in trained("crelu", "dnn").items()}
    assert {s for s, value in best.items() if value == max(best.values())} == {"0.8", "0.85"}
    assert max(best.values()) == 0.94


@pytest.mark.claim("Misprint Sec. 4 CST", reading="both")
def test_networks_with_clipped_soft_thresholding_fail_from_sparsity_70_percent_on() -> None:
    """At the largest m; Table 2 has 0.27 at s = 0.7 already."""
    at_largest_clip = {s: values[-1] for s, values in trained("cst", "dnn").items()}
    assert {s for s, value in at_largest_clip.items() if value < 0.5} == {"0.7", "0.8", "0.85"}


@pytest.mark.claim("Misprint Sec. 4 CNN", reading="both")
def test_unclipped_convolutional_networks_fail_at_other_sparsities_than_printed() -> None:
    """Printed: 60% (ReLU) and 70% (ST). Tabulated: ReLU trains at 60%, ST fails at all three."""
    relu = {s: values[0] > 0.5 for s, values in trained("relu", "cnn").items()}
    soft = {s: values[0] > 0.5 for s, values in trained("st", "cnn").items()}
    assert relu == {"0.5": True, "0.6": True, "0.7": False}
    assert soft == {"0.5": False, "0.6": False, "0.7": False}


def consistent(row: dict[str, Any]) -> bool:
    """Whether all five runs of a row trained: none near the 10% of a guess."""
    mean, spread = row["dnn"]["accuracy"]
    return bool(mean > 0.75 and spread < 0.05)


@pytest.mark.claim("App. H")
@pytest.mark.control("App. H", replace="consistent", by=complement)
def test_shallower_networks_fail_and_train_where_appendix_h_says() -> None:
    first_failure = {
        kind: min(r["s"] for r in rows("table_4") if r["kind"] == kind and not consistent(r))
        for kind in UNCLIPPED
    }
    assert first_failure == {"relu": "0.80", "st": "0.70"}
    sparsest = [r for r in rows("table_5") if (r["s"], r["slope"]) == ("0.90", "0.7")]
    assert {r["kind"] for r in sparsest} == set(CLIPPED)
    assert all(map(consistent, sparsest))


@pytest.mark.claim("Misprint Sec. 3.1", reading="both")
def test_the_kinds_of_table_2_chosen_by_their_clip_are_the_clipped_ones() -> None:
    with_clip = {row["kind"] for row in rows("table_2") if "m" in row}
    assert "st" not in with_clip
    assert with_clip == set(CLIPPED)
