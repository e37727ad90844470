"""The forecast from the finite-width chain, and the rows it separates."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hyp
from scipy.special import expit

import sparsity_theory as st
from property_tests.support.strategies import ACTIVATIONS
from sparsity_theory._types import Array
from sparsity_theory.finite_width.failure import failure_probability, failure_standard_error
from sparsity_theory.finite_width.learnability import learnability
from sparsity_theory.published.ranking import (
    area_under_curve,
    forecast_of,
    published_outcomes,
)
from sparsity_theory.published.tables import PublishedRow, published_rows


@cache
def outcomes_and_forecasts() -> list[tuple[PublishedRow, str, st.Forecast]]:
    """All 98 rows and networks of Tables 2, 4 and 5, with the forecast of 300 networks of each."""
    return [
        (row, network, forecast_of(row, 300, 0, network)) for row, network in published_outcomes()
    ]


@pytest.mark.claim("Finite width: forecast")
def test_the_forecast_ranks_the_rows_that_failed_above_those_that_trained() -> None:
    """All 65 rows of Tables 2, 4 and 5, failed meaning a mean accuracy below 0.65.

    With 300 networks a row a share is known to 0.02 (one standard error at 0.1); the seed is fixed.
    The curvature V'' alone, the paper's criterion, must rank worse, and so must the sparsity s.
    """
    dense = [(row, found) for row, network, found in outcomes_and_forecasts() if network == "dnn"]
    rows, forecasts = zip(*dense, strict=True)
    assert list(rows) == [row for table in (2, 4, 5) for row in published_rows(table)]
    failed = [row.failed for row in rows]
    assert (len(rows), sum(failed)) == (65, 17)
    severity = area_under_curve([f.severity for f in forecasts], failed)
    probability = area_under_curve([f.failure_probability for f in forecasts], failed)
    curvature = [float(row.design.net().variance_curvature(1.0)) for row in rows]
    sparsity = [row.design.sparsity for row in rows]
    assert severity > 0.99, severity
    assert probability > 0.985, probability
    assert area_under_curve(curvature, failed) < 0.98
    assert area_under_curve(sparsity, failed) < 0.8


@pytest.mark.claim("Finite width: image forecast")
def test_the_forecast_ranks_the_convolutional_networks_and_all_98_outcomes_together() -> None:
    """33 convolutional networks of Table 2, of which 6 failed, beside the 65 dense outcomes.

    With 300 networks a share of 0.1 is known to 0.02, within which ReLU at s = 0.7, which failed,
    and CReLU at s = 0.85, V' = 0.9, which trained, are equal: of 162 pairs this is one, or 0.006.
    The paper's V'' must rank the 98 worse, and so must the sparsity s.
    """
    outcomes = outcomes_and_forecasts()
    failed = [row.failed_as(network) for row, network, _ in outcomes]
    forecasts = [found for _, _, found in outcomes]
    own = [i for i, (_, network, _) in enumerate(outcomes) if network == "cnn"]
    assert (len(outcomes), sum(failed)) == (98, 23)
    assert (len(own), sum(failed[i] for i in own)) == (33, 6)
    share = [found.failure_probability for found in forecasts]
    severity = [found.severity for found in forecasts]
    of_own = [failed[i] for i in own]
    assert area_under_curve([share[i] for i in own], of_own) > 0.98
    assert area_under_curve([severity[i] for i in own], of_own) > 0.99
    assert area_under_curve(share, failed) > 0.985
    assert area_under_curve(severity, failed) > 0.99
    curvature = [float(row.design.net().variance_curvature(1.0)) for row, _, _ in outcomes]
    assert area_under_curve(curvature, failed) < 0.98
    assert area_under_curve([row.design.sparsity for row, _, _ in outcomes], failed) < 0.8


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (((3,), ("dnn",)), "table must be one of 2, 4, 5, got 3"),
        (((2,), ("rnn",)), "network must be one of dnn, cnn, got 'rnn'"),
        (((4, 5), ("cnn",)), "network 'cnn' has no rows in Table 4, 5"),
    ],
)
def test_outcomes_that_the_paper_does_not_report_are_refused(asked: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        published_outcomes(*asked)


def test_of_a_function_that_jumps_there_is_no_forecast() -> None:
    """FATReLU: E phi'^2 is infinite, and no learnability a number."""
    fat = st.Activation(lambda x: x * (x > 1), lambda x: np.where(x > 1, 1.0, 0.0), [1.0])
    for net in (st.MeanField(fat, 1.9, 0.3, q_star=3.5), st.PreNorm(fat, alpha=0.1)):
        with pytest.raises(ValueError, match=r"jumps, so that .* there is no forecast"):
            st.forecast(net, 20, 3, 5)


@pytest.mark.parametrize(("table", "network"), [(4, "cnn"), (2, "transformer")])
def test_a_forecast_of_networks_that_the_paper_does_not_have_is_refused(
    table: int, network: str
) -> None:
    row = published_rows(table)[0]
    for call in (partial(forecast_of, row, 10, 0), row.depth_of, row.scores_of, row.failed_as):
        with pytest.raises(ValueError, match=f"in Table {table}, got '{network}'"):
            call(network)


@pytest.mark.parametrize("factor", [0.1, 4.0])
def test_longer_training_multiplies_the_odds_to_fail_and_asks_for_less_learnability(
    factor: float,
) -> None:
    risky = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.9))
    in_paper, other = (
        st.forecast(risky, networks=200, training_time=time) for time in (10.8, 10.8 * factor)
    )
    odds, others = (
        each.failure_probability / (1 - each.failure_probability) for each in (in_paper, other)
    )
    assert others == pytest.approx(factor * odds, rel=1e-9)
    assert (other.severity, other.learnability) == (in_paper.severity, in_paper.learnability)
    slow = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.5))
    learns = st.forecast(slow, networks=200).learnability
    assert learns is not None
    needed = 10.8 * 10 ** (-0.5 - learns)
    found = [st.forecast(slow, networks=200, training_time=needed * x) for x in (0.99, 1.01)]
    assert [each.outcome for each in found] == ["learns slowly", "trains"]


@pytest.mark.parametrize("time", [0.0, -1.0, math.nan, math.inf, "1", None, [1.0, 2.0]])
def test_a_training_time_is_one_positive_number(time: Any) -> None:
    risky = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.9))
    for call in (
        lambda: st.forecast(risky, 10, 3, 5, training_time=time),
        lambda: st.largest_stable_clip("crelu", 0.8, 50, 10, networks=5, training_time=time),
    ):
        with pytest.raises(ValueError, match=r"^training_time must be "):
            call()


@pytest.mark.claim("Finite width: larger q*")
@pytest.mark.parametrize("kind", ["crelu", "cst"])
@pytest.mark.parametrize("depth", [30, 100])
def test_a_larger_fixed_point_is_stabler_at_the_same_clip_and_the_same_at_the_same_relative_one(
    kind: str, depth: int
) -> None:
    """At V'(1) = 0.9 and s = 0.9. With equal random numbers equal laws give equal shares.

    At fixed m the clip moves inwards in units of sqrt(q*), and the failures of 1000 networks fall
    by more than six standard errors.
    """
    family: Any = ACTIVATIONS[kind]
    m = float(family.for_sparsity(0.9, slope=0.9).m)

    def failure(q_star: float, clip: float) -> float:
        tau = float(family.for_sparsity(0.9, slope=0.5, q_star=q_star).tau)
        net = st.edge_of_chaos(family(tau, clip), q_star)
        return st.forecast(net, width=300, depth=depth).exploding_share

    at_one = failure(1.0, m)
    assert at_one > 0.1
    assert failure(4.0, 2.0 * m) == at_one
    shares = [at_one, failure(1.5, m), failure(4.0, m)]
    assert shares == sorted(shares, reverse=True)
    error = np.sqrt(2 * at_one * (1 - at_one) / 1000)
    assert at_one - shares[-1] > 6 * error


@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_the_largest_stable_clip_is_stable_and_a_larger_one_is_not(kind: str) -> None:
    """Judged by 4000 other random networks, drawn unit by unit: within six standard errors."""
    found = st.largest_stable_clip(kind, 0.85, width=200, depth=50, risk=0.1, networks=1000)
    assert found.failure_probability <= 0.1
    assert found.dead_share == 0
    family: Any = ACTIVATIONS[kind]

    def failure(slope: float) -> tuple[float, float]:
        net = st.edge_of_chaos(family.for_sparsity(0.85, slope=slope))
        chain = st.draw_chain(net, 200, 50, 4000, seed=99)
        return float(failure_probability(chain)), float(failure_standard_error(chain))

    probability, error = failure(found.slope)
    assert probability == pytest.approx(0.1, abs=6 * error * np.sqrt(1 + 4000 / 1000))
    larger, error = failure(found.slope + 0.06)
    assert larger > 0.1 + 6 * error
    phi = family.for_sparsity(0.85, slope=found.slope)
    net = st.edge_of_chaos(phi)
    assert found.m == pytest.approx(float(phi.m), rel=1e-9)
    assert found.curvature == pytest.approx(float(net.variance_curvature(1.0)), rel=1e-9)
    assert found.learnability == pytest.approx(learnability(net, 200, 50), rel=1e-9)


def test_a_stable_clip_lies_in_its_range_which_chance_has_made() -> None:
    clip = st.largest_stable_clip("crelu", 0.9, 200, 30, networks=400)
    assert clip.m_range[0] <= clip.m <= clip.m_range[1]
    assert clip.m_range[0] < clip.m_range[1]


def test_wider_and_shallower_networks_bear_larger_clips() -> None:
    """Sparse networks at the risk of 20%: four times as wide, or a quarter as deep."""
    m = {
        size: st.largest_stable_clip("cst", 0.9, *size, risk=0.2, networks=300).m
        for size in ((100, 60), (400, 60), (100, 15))
    }
    assert m[400, 60] > m[100, 60]
    assert m[100, 15] > m[100, 60]


@pytest.mark.parametrize("width", [3, 10])
def test_networks_that_pass_no_gradient_are_not_stable(width: int) -> None:
    """Of CReLU at s = 0.6, V'(q*) = 0.7, depth 100, which explodes in no network of width 3."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.6, slope=0.7))
    found = st.forecast(net, width, 100)
    assert found.exploding_share == 0
    assert found.dead_share > 0.5
    assert found.outcome == "dead"
    with pytest.raises(ValueError, match=rf"no clip keeps the failures of crelu .* width {width}"):
        st.largest_stable_clip("crelu", 0.6, width, networks=200)


@pytest.mark.parametrize("kind", ["crelu", "cst"])
@pytest.mark.parametrize(("width", "depth"), [(300, 100), (50, 20)])
def test_learnability_grows_with_the_clip(kind: str, width: int, depth: int) -> None:
    """So the largest clip within a risk is the best one within it."""
    family: Any = ACTIVATIONS[kind]
    for s in (0.5, 0.7, 0.95):
        learning = [
            learnability(st.edge_of_chaos(family.for_sparsity(s, slope=slope)), width, depth)
            for slope in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999)
        ]
        assert learning == sorted(learning)


def test_a_shallow_network_needs_no_clip_and_some_risks_are_out_of_reach() -> None:
    """However small the clip, the count of units that speak scatters, and gradients with it."""
    assert st.largest_stable_clip("crelu", 0.5, depth=3, networks=50).slope > 1 - 2e-6
    with pytest.raises(ValueError, match=r"no clip keeps the failures of cst at sparsity 0\.9,"):
        st.largest_stable_clip("cst", 0.9, width=100, depth=200, risk=1e-9, networks=400)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "relu"}, "kind must be one of crelu, cst, got 'relu'"),
        ({"kind": None}, "kind must be one of crelu, cst, got None"),
        ({"risk": 0.0}, "risk must be strictly between 0 and 1, got 0.0"),
        ({"sparsity": 1.0}, "s must be strictly between 0 and 1, got 1.0"),
        ({"sparsity": 0.4}, "sparsity 0.4 is out of reach: ClippedReLU"),
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"q_star": -1.0}, "q_star must be positive and finite, got -1.0"),
    ],
)
def test_a_stable_clip_that_makes_no_sense_is_refused(
    changed: dict[str, Any], message: str
) -> None:
    asked: dict[str, Any] = {"kind": "crelu", "sparsity": 0.85} | changed
    with pytest.raises(ValueError, match=message):
        st.largest_stable_clip(**asked)


@settings(max_examples=10)
@given(
    s=hyp.floats(0.5, 0.95),
    slope=hyp.floats(0.3, 0.95),
    width=hyp.integers(1, 60),
    depth=hyp.integers(1, 12),
    seed=hyp.integers(0, 2**31),
)
def test_a_forecast_is_made_of_probabilities_and_depends_on_its_seed_alone(
    s: float, slope: float, width: int, depth: int, seed: int
) -> None:
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(s, slope=slope))
    first, again = (
        st.forecast(net, width=width, depth=depth, networks=40, seed=seed) for _ in range(2)
    )
    assert first.failure_probability == again.failure_probability
    assert first.severity == again.severity
    assert 0 <= first.severity <= 12
    assert np.array_equal(first.final_variance, again.final_variance)
    assert first.verdict == again.verdict
    assert 0 <= first.failure_probability < 1
    assert 0 <= first.exploding_share <= 1
    assert 0 <= first.dead_share <= 1
    assert first.largest_step is None or first.largest_step > 0
    assert 0 <= first.left_basin <= 1
    assert list(first.final_variance) == sorted(first.final_variance)
    assert list(first.largest_gain) == sorted(first.largest_gain)
    assert first.sparsity_mean.shape == first.sparsity_std.shape == (depth,)
    assert np.all((first.sparsity_mean >= 0) & (first.sparsity_mean <= 1))
    assert "\n" not in first.verdict


def test_an_activation_that_overflows_where_networks_explode_is_refused() -> None:
    """Its derivative is inf / inf = NaN there, and no probability below one half."""

    def sigmoid(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-x))

    def slope(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return (1.0 + np.exp(-x) * (1.0 + x)) / (1.0 + np.exp(-x)) ** 2

    careless = st.Activation(lambda x: x * sigmoid(x), slope)
    careful = st.Activation(lambda x: x * expit(x), lambda x: expit(x) * (1.0 + x * expit(-x)))
    with pytest.raises(ValueError, match=r"^activation must .* phi' = NaN at -\d+.*expit"):
        st.forecast(st.edge_of_chaos(careless))
    assert st.forecast(st.edge_of_chaos(careful)).outcome == "explodes"


def test_wide_networks_are_forecast_to_keep_their_sparsity_and_variance() -> None:
    """40,000 wide: fluctuations of s and q are below 0.01 after ten layers."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    forecast = st.forecast(net, width=40_000, depth=10, networks=5, seed=0)
    assert np.all(np.abs(forecast.sparsity_mean - 0.85) < 0.01)
    assert np.all(np.abs(forecast.final_variance - 1) < 0.1)
    assert forecast.exploding_share == 0
    assert forecast.failure_probability < 0.01


def test_networks_leave_the_basin_of_a_row_with_an_upper_fixed_point_and_of_no_stable_one() -> None:
    """CST s = 0.85, V' = 0.9 (Fig. 4b), and CReLU s = 0.6, V' = 0.5 with its one fixed point."""
    drifting = st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.85, slope=0.9))
    staying = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.6, slope=0.5))
    left, stayed = (st.forecast(net, width=300, depth=100) for net in (drifting, staying))
    assert left.left_basin > 0.5
    assert stayed.left_basin == 0


def test_the_largest_gain_is_that_of_any_layer_and_not_of_the_first_alone() -> None:
    """Gradients that grow on part of their way and shrink on the rest have grown."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.6, slope=0.5))
    found = st.forecast(net, width=100, depth=50)
    assert np.all(found.largest_gain >= found.gradient_growth)
    assert (
        found.largest_gain[0] >= 1
    )  # no growth at all, from the last layer to itself, is the least
    assert found.gradient_growth[0] < 1


def test_severity_is_the_logarithm_of_the_mean_largest_gain_cut_at_1e12() -> None:
    """Of the mean: a few networks that explode outweigh the many that do not."""
    net = st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.85, slope=0.9))
    found = st.forecast(net, width=100, depth=60, networks=300, seed=3)
    layers = st.draw_layers(net, width=100, depth=60, networks=300, seed=3)
    largest = np.exp(layers.log_backward_gain.max(axis=0))
    assert np.any(largest > 1e12)
    assert found.severity == pytest.approx(np.log10(np.minimum(largest, 1e12).mean()), rel=1e-12)
