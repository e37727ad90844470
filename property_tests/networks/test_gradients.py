"""Gradients of random networks on their way back: chi a layer, and the growth across Table 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import sparsity_theory as st
from property_tests.support.chance import atypical, implausible, typical
from property_tests.support.layers import wide_networks
from property_tests.support.networks import ACTIVATIONS, NETS, every_kind, small_ensemble, sphere
from property_tests.support.scores import Floats, combined_z, score_of_count, score_of_squares
from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.gradient_growth import measure
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.observe import gradient_growth, observe_gradients
from torch_models.records.files import read_record


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
@every_kind
def test_as_many_units_pass_gradients_on_as_chi_says(kind: str) -> None:
    """chi(q) = sigma_w^2 P(phi' = 1): half of Eq. 24; the other half is the next test."""
    layers, net = wide_networks()[kind], NETS[kind]

    def z(gain: Callable[[Floats], Floats]) -> float:
        expected = gain(layers.variance) / net.sigma_w2
        return combined_z(score_of_count(layers.active, layers.width, expected, seed=2))

    assert typical(z(net.chi))
    if ACTIVATIONS[kind].clipped:  # gradients grow by chi, not by the slope of the variance map
        assert atypical(z(net.variance_slope))


def squared_gradients(kind: str, q0: float) -> tuple[Floats, Floats, Floats]:
    """|delta^l|^2, the variance that |delta^{l+1}|^2 gives it, and its degrees of freedom.

    Given the forward pass, W^{l+1} is known in the one direction x^l and untouched Gaussian
    orthogonally to it. So delta^l = D^l (W^{l+1})^T delta^{l+1}, less its component along D^l x^l,
    is exactly Gaussian with variance sigma_w^2 |delta^{l+1}|^2 / N in one dimension less than D^l
    has ones: Eq. 24 without supposing forward and backward weights independent.
    """
    net, width, members = NETS[kind], 500, 6
    ensemble = DenseEnsemble([net] * members, 20, width, 8, 1, range(members), dtype=torch.float64)
    layers, activations = zip(*ensemble.propagate(sphere(20, q0)), strict=True)
    cotangent = sphere(width, 1.0, seed=3).expand_as(layers[-1])
    deltas = torch.autograd.grad(layers[-1], layers, cotangent)
    seen = []
    for h, x, delta, above in zip(layers, activations, deltas, deltas[1:], strict=False):
        unsaturated = torch.from_numpy(net.activation.derivative(h.detach()))  # (members, 1, width)
        known = torch.nn.functional.normalize(unsaturated * x.detach(), dim=-1)
        free = delta - known * (known * delta).sum(-1, keepdim=True)
        variance = float(net.sigma_w2) * above.square().mean(-1)
        seen.append((free.square().sum(-1), variance, unsaturated.sum(-1) - 1))
    squares, variances, degrees = (torch.stack(c).numpy() for c in zip(*seen, strict=True))
    return squares, variances, degrees


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
@pytest.mark.parametrize("q0", [0.6, 1.0, 2.0])
@every_kind
def test_each_unsaturated_unit_carries_its_share_of_the_squared_gradient(
    kind: str, q0: float
) -> None:
    squares, variances, degrees = squared_gradients(kind, q0)
    assert typical(combined_z(score_of_squares(squares, variances, degrees)))
    assert atypical(combined_z(score_of_squares(squares, 1.25 * variances, degrees)))


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
def test_gradient_growth_is_the_ratio_of_the_first_layer_to_the_last() -> None:
    ensemble = small_ensemble(dtype=torch.float64)
    x, y = sphere(20, 1.0, samples=7), torch.arange(7) % 5
    for labels in (None, y):
        rms = observe_gradients(ensemble, x, labels)
        np.testing.assert_allclose(
            gradient_growth(ensemble, x, labels), rms[:, 0] ** 2 / rms[:, -1] ** 2, rtol=1e-12
        )
    assert np.allclose(observe_gradients(ensemble, x)[:, -1], 1 / math.sqrt(ensemble.width))


@cache
def severity(row: Design) -> float:
    """Of the forecast of 200 networks of the paper's size."""
    return st.forecast(row.net(), 300, 100, 200, q0=row.input_variance()).severity


def check_growth_against_curvature(record: dict[str, Any]) -> None:
    """Spearman's rank correlation with V''(q*) and with the forecast's severity, over 33 rows.

    Without any link either would be as large with a probability below what chance allows. The
    sparsity s is the wrong theory: networks of one sparsity train or fail by their clip.
    """
    rows = [published.design for published in published_rows(2)]
    growth = [record["growth"][row.slug] for row in rows]
    curvature = [float(row.net().variance_curvature(1.0)) for row in rows]
    for ranked in (curvature, [severity(row) for row in rows]):
        assert implausible(stats.spearmanr(ranked, growth, alternative="greater").pvalue)
    assert not implausible(stats.spearmanr([row.sparsity for row in rows], growth).pvalue)


RECORDS = Path(__file__).parents[1] / "records"


@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_across_the_rows_of_table_2() -> None:
    """A third as wide and half as deep as the paper's networks, 40 of each row, backpropagated."""
    check_growth_against_curvature(measure(100, 50, 40))


@pytest.mark.claim("Networks: gradient growth")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_gradients_were_seen_to_grow_with_the_curvature_at_the_paper_s_size(device: str) -> None:
    """As tools/measure.py gradient-growth or tools/gpu.py recorded it: 200 networks a row."""
    path = RECORDS / f"gradient_growth_{device}.json"
    if not path.exists():
        pytest.skip(f"no record: python tools/measure.py gradient-growth --device {device}")
    record = read_record(path)
    assert (record["width"], record["depth"], record["networks"]) == (300, 100, 200)
    check_growth_against_curvature(record)


@pytest.mark.slow
@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_at_the_paper_s_size() -> None:
    """300 wide, 100 deep, 200 networks a row: some ten minutes on one core."""
    check_growth_against_curvature(measure(300, 100, 200))


@pytest.mark.gpu
@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_at_the_paper_s_size_on_a_gpu() -> None:
    """40 networks a row, which take seconds; tools/gpu.py records 200."""
    check_growth_against_curvature(measure(300, 100, 40, "cuda"))
