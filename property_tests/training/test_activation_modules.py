"""Activations as modules of torch: values, derivatives and kinks are those of the theory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sparsity_theory as st
from property_tests.support.networks import ACTIVATIONS, KINDS, every_kind
from property_tests.support.scores import Floats
from torch_models.networks.activations import (
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
    SparseActivation,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def edges(phi: Any) -> Floats:
    """The kinks of phi, their neighbours in double precision, and places between and beyond."""
    knots = phi.knots
    around = [np.nextafter(knots, -9.0), knots, np.nextafter(knots, 9.0)]
    return np.concatenate([*around, np.linspace(-4, 4, 101), [0.0, 1e300, -1e300]])


@pytest.mark.claim("Eq. 7", "Eq. 8", "Eq. 9", "Eq. 10")
@every_kind
def test_a_module_has_the_values_and_the_derivative_of_the_theory_kinks_included(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    x = torch.from_numpy(edges(phi)).requires_grad_()
    y = SparseActivation.from_theory(phi)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_array_equal(y.detach().numpy(), phi(edges(phi)))
    np.testing.assert_array_equal(slope.numpy(), phi.derivative(edges(phi)))


@pytest.mark.claim("Eq. 7", "Eq. 8", "Eq. 9", "Eq. 10")
@every_kind
def test_the_gradient_is_zero_at_the_kinks_in_single_precision_too(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    tau = np.float32(phi.tau)
    kinks = [tau, tau + np.float32(phi.m)] if phi.clipped else [tau]
    x = torch.tensor(np.array(kinks + [-kink for kink in kinks]), requires_grad=True)
    assert x.dtype == torch.float32
    (slope,) = torch.autograd.grad(SparseActivation.from_theory(phi)(x).sum(), x)
    assert slope[: len(kinks)].tolist() == [0.0] * len(kinks)
    assert slope.tolist() == [0.0] * len(x)


@every_kind
def test_parameters_of_the_theory_go_straight_into_torch_s_functions(kind: str) -> None:
    """As the numbers that these take, and without turning single precision into double."""
    phi = ACTIVATIONS[kind]
    x = torch.linspace(-4.0, 4.0, 33)
    assert (x - phi.tau).dtype == torch.float32
    y = torch.clamp(x - phi.tau, 0, phi.m) if phi.clipped else torch.relu(x - phi.tau)
    if kind == "st":
        y = nn.Softshrink(phi.tau)(x)
    elif kind == "cst":
        y = y - torch.clamp(-x - phi.tau, 0, phi.m)
    assert y.dtype == torch.float32
    np.testing.assert_allclose(y.numpy(), phi(x.numpy()), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@every_kind
def test_gradients_of_every_kind_survive_torch_s_own_checks(kind: str) -> None:
    module = SparseActivation.from_theory(ACTIVATIONS[kind])
    x = torch.tensor([-3.0, -1.7, -0.2, 0.1, 1.5, 2.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(module, x)


@every_kind
def test_nan_stays_nan_and_infinity_saturates(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    extremes = np.array([np.nan, np.inf, -np.inf])
    y = SparseActivation.from_theory(phi)(torch.from_numpy(extremes))
    np.testing.assert_array_equal(y.numpy(), phi(extremes))


def test_members_of_different_kinds_share_one_call() -> None:
    module = SparseActivation.from_theory(list(ACTIVATIONS.values()))
    x = torch.from_numpy(np.linspace(-4, 4, 99)).reshape(1, 3, 33).repeat(len(KINDS), 1, 1)
    expected = np.stack([phi(x[0].numpy()) for phi in ACTIVATIONS.values()])
    np.testing.assert_array_equal(module(x).numpy(), expected)


def test_modules_work_in_anybody_s_network_and_come_back_from_its_state() -> None:
    def network(tau: float, m: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(5, 8), ClippedReLU(tau, m), nn.Linear(8, 8), ClippedSoftThreshold(tau, m),
            nn.Linear(8, 8), ShiftedReLU(tau), nn.Linear(8, 3), SoftThreshold(tau),
        )  # fmt: skip

    first, second = network(0.5, 1.25), network(0.1, 2.0)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x))
    assert repr(second[1]) == "ClippedReLU(tau=0.5, m=1.25)"
    assert repr(second[5]) == "ShiftedReLU(tau=0.5)"
    assert first.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ShiftedReLU(math.nan), "tau"),
        (lambda: SoftThreshold(-0.1), "tau"),
        (lambda: ClippedReLU(1.0, 0.0), "m"),
        (lambda: SparseActivation([[0.0]]), "tau, m and odd"),
        (lambda: SparseActivation.from_theory(st.PiecewiseLinear([0.0], [0.1, 1.0])), "activation"),
        (lambda: ShiftedReLU(0.0)(torch.arange(3)), "x"),
    ],
)
def test_bad_activations_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        make()
