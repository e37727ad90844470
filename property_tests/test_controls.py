"""Negative controls: every claim's own test, run on a formula that is wrong on purpose, rejects it.

A row of ``CONTROLS`` names a test, the formula to replace, by what, and the claims that the test
judges. The test runs as it stands, on its own points; if it passed with the wrong formula it would
judge nothing. Statistical tests are left out, since they reject a named wrong theory on the same
sample, and so are misprints, since what is printed is the wrong formula.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from property_tests.claims import load_claims
from sparsity_theory import MeanField

Formula = Callable[..., Any]
Wrong = Callable[[Any], Any]

# ---------------------------------------------------------------- ways to be wrong


def doubled(right: Formula) -> Formula:
    """A factor two."""
    return lambda *args, **kwargs: 2 * right(*args, **kwargs)


def shifted(right: Formula) -> Formula:
    """A thousandth too much."""
    return lambda *args, **kwargs: right(*args, **kwargs) + 1e-3


def opposite(right: Formula) -> Formula:
    """The other sign."""
    return lambda *args, **kwargs: -right(*args, **kwargs)


def complement(right: Formula) -> Formula:
    """The other tail."""
    return lambda *args, **kwargs: 1 - right(*args, **kwargs)


def each_doubled(right: Formula) -> Formula:
    """A factor two in every entry of what comes back."""
    return lambda *args: [2 * part for part in right(*args)]


def form_doubled(right: Any) -> Any:
    """A factor two in a form."""
    return right + right


def weights_times(factor: float) -> Wrong:
    """Another sigma_w^2 with the same sigma_b^2, as after a factor two or a root too many."""

    def wrong(right: Formula) -> Formula:
        def network(*args: Any, **kwargs: Any) -> Any:
            net = right(*args, **kwargs)
            if isinstance(net, MeanField):
                return MeanField(net.activation, factor * net.sigma_w2, net.sigma_b2, net.q_star)
            return type(net)(net.kind, net.tau, net.m, factor * net.sigma_w2, net.sigma_b2)

        return network

    return wrong


def threshold_moved(right: Formula) -> Formula:
    """Another tau."""
    return lambda tau: right(1.1 * tau + 0.1)


def falling(right: Formula) -> Formula:
    """A quantile that falls."""
    return lambda p: right(1.5 - p)


def one_layer_more(right: Formula) -> Formula:
    """The depth off by one."""
    return lambda net, depth, orthogonal=False: right(net, depth + 1, orthogonal)


def always_gaussian(right: Formula) -> Formula:
    """Orthogonal weights taken for Gaussian ones."""
    return lambda net, depth, orthogonal=False: right(net, depth)


def spread_inverted(right: Formula) -> Formula:
    """mu_1^2 / mu_2 for mu_2 / mu_1^2, as it were."""

    def moments(*args: Any) -> Any:
        correct = right(*args)
        return correct._replace(variance=1 / correct.variance)

    return moments


def linear(right: Formula) -> Formula:
    """A forward pass that forgets phi."""

    def forward(network: Any, x: Any) -> Any:
        hs, _ = right(network, x)
        return hs, [x, *hs]

    return forward


def rows_moved(right: Formula) -> Formula:
    """tau and m a hundredth too large."""
    return lambda row: [part if part is None else part + 0.01 for part in right(row)]


def unchecked(right: Formula) -> Formula:
    """An argument taken as it is."""
    return lambda name, value: value


def imports_torch(right: Formula) -> Formula:
    """A room that imports what stands above it."""
    return lambda room: right(room) | {"torch_models"}


# ---------------------------------------------------------------- tests, formulas and claims

CLOSED = "variance_map.test_the_papers_closed_form_of_the_variance_map_holds"
SLOPE = "variance_map.test_the_papers_slope_of_the_variance_map_holds"
CURVED = "variance_map.test_the_curvature_of_the_variance_map_has_this_closed_form"
PARTS = "variance_map.test_the_three_parts_of_the_clipped_variance_map_and_their_slopes_hold"
CHI = "edge_of_chaos.test_chi_is_the_weights_variance_times_the_mass_between_the_kinks"
VALUES = "activations.test_values_are_the_definition_rounded_once"
PRINTED = "edge_of_chaos.test_clipped_weights_on_the_edge_have_the_printed_closed_form"
TAU = "edge_of_chaos.test_tau_for_a_sparsity_is_the_quantile_and_gives_the_sparsity_back"
ROW = "edge_of_chaos.test_the_parameters_of_the_row_are_computed_to_the_printed_digits"
GRADIENT = "jacobian.test_backpropagation_is_the_gradient_of_the_loss"
ON_EDGE = "jacobian.test_the_moments_of_the_spectrum_on_the_edge_of_chaos"
OFF_EDGE = "jacobian.test_the_moments_of_the_spectrum_off_the_edge_of_chaos"
CDF = (
    "gaussian_identities.test_the_normal_distribution_is_the_integral_of_its_density_and_is_an_erf"
)
MOMENTS = (
    "gaussian_identities.test_partial_moments_of_the_normal_distribution_have_these_closed_forms"
)
ROW_POINTS = "certified.test_every_row_of_the_tables_has_one_fixed_point_or_three"
PANEL = (
    "certified.test_clipped_variance_maps_are_bounded_and_cross_the_diagonal_with_slope_below_one"
)
PHASES = "certified.test_correlation_maps_cross_the_diagonal_below_one_in_the_chaotic_phase_only"

CONTROLS: list[tuple[str, str, Wrong, tuple[str, ...]]] = [
    # activations
    (VALUES, "sparsity_theory.ShiftedReLU.__call__", shifted, ("Eq. 7",)),
    (VALUES, "sparsity_theory.SoftThreshold.__call__", shifted, ("Eq. 8",)),
    (VALUES, "sparsity_theory.ClippedReLU.__call__", shifted, ("Eq. 9",)),
    (VALUES, "sparsity_theory.ClippedSoftThreshold.__call__", shifted, ("Eq. 10",)),
    (
        "activations.test_the_five_curves_of_figure_1_go_through_the_points_drawn",
        "sparsity_theory.ClippedReLU.__call__",
        doubled,
        ("Fig. 1",),
    ),
    # variance maps
    (
        "variance_map.test_the_variance_map_is_the_gaussian_mean_of_the_squared_activation",
        "sparsity_theory.PiecewiseLinear.mean_square",
        doubled,
        ("Eq. 3", "Eq. 32"),
    ),
    (CLOSED, "property_tests.paper.eq_37", doubled, ("Eq. 37",)),
    (CLOSED, "property_tests.paper.eq_41", doubled, ("Eq. 41",)),
    (CLOSED, "property_tests.paper.eq_44", doubled, ("Eq. 44", "Eq. 53")),
    (SLOPE, "property_tests.paper.eq_38", doubled, ("Eq. 38", "Eq. 43")),
    (SLOPE, "property_tests.paper.eq_13", doubled, ("Eq. 13", "Eq. 14")),
    (SLOPE, "property_tests.paper.eq_50", doubled, ("Eq. 50",)),
    (CURVED, "property_tests.paper.eq_40", opposite, ("Eq. 40", "Eq. 43")),
    (CURVED, "property_tests.paper.clipped_curvature", opposite, ("Clipped V''",)),
    (PARTS, "property_tests.paper.eq_45_v3", doubled, ("Eq. 45",)),
    (PARTS, "property_tests.paper.eq_46", doubled, ("Eq. 46",)),
    (PARTS, "property_tests.paper.eq_47", doubled, ("Eq. 47",)),
    (PARTS, "property_tests.paper.eq_48", doubled, ("Eq. 48",)),
    (PARTS, "property_tests.paper.eq_49", doubled, ("Eq. 49",)),
    (
        "variance_map.test_stretching_an_activation_stretches_its_maps",
        "sparsity_theory.MeanField.variance_map",
        shifted,
        ("Scaling",),
    ),
    (
        "variance_map.test_with_tau_zero_every_variance_is_a_fixed_point",
        "sparsity_theory.PiecewiseLinear.mean_square",
        doubled,
        ("Sec. 2 tau = 0", "Footnote 2"),
    ),
    (
        "variance_map.test_on_the_edge_relu_and_soft_threshold_have_the_same_variance_map",
        "sparsity_theory.ShiftedReLU",
        threshold_moved,
        ("Fig. 2",),
    ),
    (
        "variance_map.test_above_the_fixed_point_the_unclipped_variance_diverges_exponentially",
        "sparsity_theory.edge_of_chaos",
        weights_times(0.5),
        ("Sec. 1.1 divergence",),
    ),
    (
        "variance_map.test_the_columns_of_table_1_hold_on_the_edge_of_chaos",
        "property_tests.paper.table_1_curvature",
        doubled,
        ("Table 1",),
    ),
    # chi, sparsity, the edge of chaos
    (
        "variance_map.test_slope_and_chi_of_any_piecewise_linear_activation_are_their_definitions",
        "sparsity_theory.PiecewiseLinear.mean_derivative_power",
        doubled,
        ("Eq. 11",),
    ),
    (CHI, "property_tests.paper.eq_39", doubled, ("Eq. 39",)),
    (CHI, "property_tests.paper.eq_42", doubled, ("Eq. 42",)),
    (CHI, "property_tests.paper.eq_15", doubled, ("Eq. 15", "Eq. 16")),
    (CHI, "property_tests.test_edge_of_chaos._mass", complement, ("Eq. 51", "Eq. 54")),
    (
        "edge_of_chaos.test_expected_sparsity_is_the_normal_mass_of_the_zero_set",
        "sparsity_theory.PiecewiseLinear.sparsity",
        complement,
        ("Eq. 12", "Eq. 56"),
    ),
    (TAU, "sparsity_theory.activations.thresholded.one_sided_threshold", doubled, ("Eq. 57",)),
    (TAU, "sparsity_theory.activations.thresholded.two_sided_threshold", doubled, ("Eq. 58",)),
    (
        "edge_of_chaos.test_unclipped_weights_on_the_edge_depend_on_the_sparsity_alone",
        "property_tests.paper.eq_59",
        doubled,
        ("Eq. 59", "Eq. 60"),
    ),
    (PRINTED, "property_tests.paper.eq_61", doubled, ("Eq. 61",)),
    (PRINTED, "property_tests.paper.eq_62", doubled, ("Eq. 62",)),
    (
        "edge_of_chaos.test_clipped_weights_tend_to_the_unclipped_ones_from_above_as_the_variance_"
        "vanishes",
        "sparsity_theory.edge_of_chaos",
        weights_times(0.5),
        ("Eq. 63",),
    ),
    (
        "edge_of_chaos.test_on_the_edge_of_chaos_chi_is_one_and_the_variance_is_kept",
        "sparsity_theory.edge_of_chaos",
        weights_times(2),
        ("App. A recipe",),
    ),
    (
        "edge_of_chaos.test_the_shifted_relu_needs_twice_the_weights_of_soft_thresholding",
        "sparsity_theory.ShiftedReLU",
        threshold_moved,
        ("Fig. 8",),
    ),
    (
        "edge_of_chaos.test_variances_approach_the_fixed_point_at_the_rate_of_its_slope",
        "sparsity_theory.edge_of_chaos",
        weights_times(0.5),
        ("Sec. 3 rate",),
    ),
    (
        ROW,
        "property_tests.test_edge_of_chaos.exact_parameters",
        rows_moved,
        ("Table 2 parameters", "Table 4 parameters", "Table 5 parameters"),
    ),
    (
        "edge_of_chaos.test_shallower_networks_fail_and_train_where_appendix_h_says",
        "property_tests.test_edge_of_chaos.consistent",
        complement,
        ("App. H",),
    ),
    # correlations and covariances
    (
        "correlation_map.test_the_correlation_map_is_the_mean_product_of_two_activations",
        "sparsity_theory.PiecewiseLinear.mean_product",
        doubled,
        ("Eq. 6",),
    ),
    (
        "correlation_map.test_the_slope_of_the_correlation_map_is_the_mean_product_of_two_slopes",
        "sparsity_theory.PiecewiseLinear.mean_product_of_derivatives",
        doubled,
        ("Eq. 19",),
    ),
    (
        "correlation_map.test_equally_correlated_positions_stay_so_with_the_maps_of_dense_layers",
        "sparsity_theory.covariance_map",
        doubled,
        ("Eq. 4", "Eq. 5"),
    ),
    (
        "random_networks.test_a_layer_is_the_sum_over_channels_and_offsets_written_out",
        "torch_models.networks.convolutional.convolve",
        doubled,
        ("Eq. 2",),
    ),
    # backpropagation and spectra
    (
        GRADIENT,
        "property_tests.test_jacobian.backpropagate",
        each_doubled,
        ("Eq. 20", "Eq. 21", "Eq. 22", "Eq. 23"),
    ),
    (GRADIENT, "property_tests.test_jacobian.Network.forward", linear, ("Eq. 1",)),
    (
        "jacobian.test_the_jacobian_is_the_product_of_slopes_and_weights",
        "sparsity_theory.ShiftedReLU.derivative",
        complement,
        ("Eq. 25",),
    ),
    (
        "jacobian.test_the_moment_generating_function_is_the_series_of_its_moments",
        "property_tests.test_jacobian.generating_function",
        opposite,
        ("Eq. 26",),
    ),
    (
        "jacobian.test_the_moments_of_the_slopes_are_all_the_mass_between_the_kinks",
        "property_tests.test_jacobian.moments_of_slopes",
        each_doubled,
        ("Eq. 27", "Table 3"),
    ),
    (OFF_EDGE, "sparsity_theory.jacobian_moments", one_layer_more, ("Eq. 28",)),
    (ON_EDGE, "sparsity_theory.jacobian_moments", one_layer_more, ("Eq. 29", "Eq. 30")),
    (
        "jacobian.test_hard_tanh_with_orthogonal_weights_tends_to_isometry",
        "sparsity_theory.jacobian_moments",
        always_gaussian,
        ("Eq. 31",),
    ),
    (
        "jacobian.test_erf_with_orthogonal_weights_tends_to_isometry_and_relu_does_not",
        "sparsity_theory.jacobian_moments",
        always_gaussian,
        ("App. A isometry",),
    ),
    (
        "jacobian.test_unclipped_spectra_spread_with_depth_whatever_the_fixed_point",
        "sparsity_theory.jacobian_moments",
        always_gaussian,
        ("App. A spectrum",),
    ),
    (
        "jacobian.test_clipped_spectra_spread_no_slower_than_unclipped_ones",
        "sparsity_theory.jacobian_moments",
        spread_inverted,
        ("App. F rate",),
    ),
    # Gaussian identities
    (CDF, "property_tests.reference.mp.erf", doubled, ("Eq. 33", "Eq. 34")),
    (
        "gaussian_identities.test_the_normal_quantile_is_an_inverse_erf",
        "property_tests.reference.mp.erfinv",
        doubled,
        ("Eq. 35",),
    ),
    (MOMENTS, "property_tests.reference.mp.ncdf", complement, ("Eq. 36",)),
    # proofs
    (
        "certified.test_without_clip_chi_1_is_the_slope_of_the_variance_map",
        "property_tests.test_certified.SLOPE",
        form_doubled,
        ("Sec. 2 slope",),
    ),
    (
        "certified.test_without_clip_the_variance_map_is_convex",
        "property_tests.test_certified.CURVATURE",
        form_doubled,
        ("Sec. 2 convexity",),
    ),
    (
        "certified.test_without_clip_q_star_is_the_only_fixed_point",
        "property_tests.test_certified.with_chi",
        weights_times(0.5),
        ("Sec. 2 single fixed point",),
    ),
    (
        "certified.test_at_equal_sparsity_st_curves_more_than_relu_and_both_touch_from_above",
        "property_tests.test_certified.quantile",
        falling,
        ("Fig. 9",),
    ),
    (
        "certified.test_chi_1_exceeds_the_slope_by_exactly_the_gap",
        "property_tests.test_certified.SLOPE",
        form_doubled,
        ("Eq. 17", "Eq. 18", "Eq. 52", "Eq. 55"),
    ),
    (
        "certified.test_the_fixed_point_of_the_clipped_kinds_is_stable",
        "property_tests.test_certified.with_chi",
        weights_times(2),
        ("Sec. 3 stability",),
    ),
    (
        "certified.test_the_slope_at_the_fixed_point_grows_with_the_clip_and_tends_to_one",
        "property_tests.test_certified.stability_growth",
        opposite,
        ("Fig. 3 slope",),
    ),
    (
        "certified.test_the_curvature_falls_below_zero_once_and_then_rises",
        "property_tests.test_certified.curvature",
        opposite,
        ("Fig. 3 curvature",),
    ),
    (
        "certified.test_the_edge_of_chaos_exists_for_every_threshold_from_zero_up",
        "property_tests.test_certified.MEAN_SQUARE",
        form_doubled,
        ("App. A existence",),
    ),
    (
        ROW_POINTS,
        "property_tests.test_certified.with_chi",
        weights_times(0.5),
        ("Sec. 3.1 bifurcation", "Table 2 fixed points", "Table 5 fixed points"),
    ),
    (
        "certified.test_above_one_chi_is_the_least_rate_of_growth_above_q_star_and_below_it_"
        "variances_fall",
        "property_tests.test_certified.with_chi",
        weights_times(0.5),
        ("App. B growth",),
    ),
    (
        "certified.test_the_variance_map_of_elu_without_bias_lies_below_the_diagonal",
        "property_tests.test_certified.elu_mean_square",
        doubled,
        ("Footnote 2 ELU",),
    ),
    (
        "certified.test_weights_of_the_edge_of_chaos_would_grow_the_variance_of_a_dense_input",
        "property_tests.test_certified.with_chi",
        weights_times(0.25),
        ("App. D growth",),
    ),
    (
        "certified.test_crelu_at_85_percent_and_slope_0_9_has_one_fixed_point_and_v_stays_near_q",
        "property_tests.test_certified.with_chi",
        weights_times(0.5),
        ("Fig. 4a",),
    ),
    (
        "certified.test_cst_at_85_percent_and_slope_0_9_has_three_fixed_points",
        "property_tests.test_certified.with_chi",
        weights_times(0.5),
        ("Fig. 4b",),
    ),
    (PANEL, "property_tests.test_certified.with_chi", weights_times(0.5), ("Fig. 10", "Fig. 11")),
    (
        PHASES,
        "property_tests.balls.CorrelationMap.bending",
        opposite,
        (
            *("Sec. 2 correlations", "App. A ordered", "App. A chaotic"),
            *("Fig. 6", "Fig. 7", "Fig. 12", "Fig. 13"),
        ),
    ),
    # the oracle
    (
        "bad_input.test_sparsities_outside_zero_and_one_are_refused",
        "sparsity_theory._validation.fraction",
        unchecked,
        ("Oracle: input",),
    ),
    (
        "architecture.test_a_room_imports_what_its_first_lines_allow",
        "property_tests.test_architecture.imported_by",
        imports_torch,
        ("Oracle: no torch",),
    ),
]

# ---------------------------------------------------------------- the controls themselves


class Rejected(BaseException):
    """A test failed; no ``Exception``, so that Hypothesis looks for no smaller example."""


def stopping(test: Formula) -> Formula:
    """The same test, which ends at its first failure."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            test(*args, **kwargs)
        except (AssertionError, ValueError, pytest.fail.Exception) as error:
            raise Rejected from error

    return run


def marks_of(test: Any) -> list[pytest.Mark]:
    """The marks of a test function and of its file."""
    of_file = getattr(sys.modules[test.__module__], "pytestmark", [])
    return [*getattr(test, "pytestmark", []), *(each.mark for each in of_file)]


def claimed(marks: Iterable[pytest.Mark]) -> set[str]:
    """The claims that marks name."""
    return {claim for mark in marks if mark.name == "claim" for claim in mark.args}


def case_of(test: Any, claim: str) -> dict[str, Any]:
    """The arguments of the first case of a test that judges this claim."""
    marks = marks_of(test)
    judged, arguments = claim in claimed(marks), dict[str, Any]()
    for mark in marks:
        if mark.name == "parametrize":
            names, cases = mark.args
            names = (names,) if isinstance(names, str) else names
            cases = [
                case
                if hasattr(case, "marks")
                else pytest.param(*(case if len(names) > 1 else (case,)))
                for case in cases
            ]
            own = [case for case in cases if claim in claimed(each.mark for each in case.marks)]
            judged = judged or bool(own)
            arguments |= dict(zip(names, (own or cases)[0].values, strict=True))
    assert judged, f"{test.__name__} does not judge {claim}"
    return arguments


EVERY = [
    pytest.param(test, formula, wrong, claim, id=f"{claim} {wrong.__name__} {i}")
    for i, (test, formula, wrong, claims) in enumerate(CONTROLS)
    for claim in claims
]


@pytest.mark.parametrize(("test", "formula", "wrong", "claim"), EVERY)
def test_the_judge_of_a_claim_rejects_a_wrong_formula(
    test: str, formula: str, wrong: Wrong, claim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = pkgutil.resolve_name(f"property_tests.test_{test}")
    arguments = case_of(judge, claim)
    place, _, name = formula.rpartition(".")
    owner = pkgutil.resolve_name(place)
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    if hasattr(judge, "hypothesis"):
        monkeypatch.setattr(judge.hypothesis, "inner_test", stopping(judge.hypothesis.inner_test))
    else:
        judge = stopping(judge)
    with pytest.raises(Rejected):
        judge(**arguments)


def test_every_identity_and_every_proof_has_a_control() -> None:
    controlled = {claim for *_, claims in CONTROLS for claim in claims}
    claims = load_claims(Path(__file__).with_name("claims.toml")).values()
    wanted = {claim.id for claim in claims if claim.judge in ("identity", "certified")}
    assert wanted - controlled == set()
