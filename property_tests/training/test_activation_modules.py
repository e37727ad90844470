"""Activations as modules of torch: values, derivatives and kinks are those of the theory."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sparsity_theory as st
from property_tests.support.networks import ACTIVATIONS, KINDS, every_kind
from property_tests.support.scores import Floats
from torch_models.networks import activations
from torch_models.networks.activations import (
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
    SparseActivation,
)


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


def exported(module: nn.Module, x: torch.Tensor) -> Any:
    return torch.export.export(module, (x,)).module()


def compiled_in_one_graph(module: nn.Module, x: torch.Tensor) -> Any:
    del x
    return torch.compile(module, fullgraph=True, backend="aot_eager")


def symbolically_traced(module: nn.Module, x: torch.Tensor) -> Any:
    del x
    return pickle.loads(pickle.dumps(torch.fx.symbolic_trace(module)))


def traced(module: nn.Module, x: torch.Tensor) -> Any:
    return torch.jit.trace(module, (x,))  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("capture", [exported, compiled_in_one_graph, symbolically_traced, traced])
@every_kind
def test_captured_modules_keep_values_and_gradients(
    kind: str, capture: Callable[[nn.Module, torch.Tensor], Any]
) -> None:
    module = SparseActivation.from_theory(ACTIVATIONS[kind])
    x = torch.from_numpy(edges(ACTIVATIONS[kind])).float().requires_grad_()
    y = module(x)
    again = capture(nn.Sequential(module), x)(x)
    assert torch.equal(again, y)
    slopes = [torch.autograd.grad(out.sum(), x)[0] for out in (again, y)]
    assert torch.equal(*slopes)


@every_kind
def test_casts_to_and_fro_leave_the_kinks_where_the_theory_has_them(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    module = SparseActivation.from_theory(phi).half().bfloat16().float().double()
    x = edges(phi)
    np.testing.assert_array_equal(module(torch.from_numpy(x)).numpy(), phi(x))
    single = SparseActivation.from_theory(phi).half().float()
    assert single.kinks(torch.float32).tau.item() == np.float32(phi.tau)
    assert single.odd.dtype == torch.bool


def test_kinks_are_in_single_precision_on_a_device_without_double(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The device "meta" stands for one."""
    monkeypatch.setattr(activations, "WITHOUT_FLOAT64", ("meta",))
    module = ClippedReLU(0.1, 2.0).to("meta")
    assert {buffer.dtype for buffer in module.buffers()} == {torch.float32, torch.bool}
    assert {buffer.device.type for buffer in module.buffers()} == {"meta"}


def test_a_module_takes_any_floating_dtype_under_autocast() -> None:
    first = nn.Linear(5, 8)
    module = nn.Sequential(first, ClippedReLU(0.1, 0.3), nn.Linear(8, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(torch.ones(3, 5))
    assert y.dtype == torch.bfloat16
    (slope,) = torch.autograd.grad(y.sum(), first.weight)
    assert slope.dtype == torch.float32


@every_kind
def test_copies_pickles_and_saved_states_are_exact(kind: str) -> None:
    module = SparseActivation.from_theory(ACTIVATIONS[kind])
    file = io.BytesIO()
    torch.save(module.half().state_dict(), file)
    file.seek(0)
    loaded = SparseActivation(0.5, 2.0)
    loaded.load_state_dict(torch.load(file))
    x = torch.from_numpy(edges(ACTIVATIONS[kind]))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert torch.equal(other(x), module(x))


@pytest.mark.parametrize(
    ("module", "phi"),
    [
        (ShiftedReLU(), st.ShiftedReLU()),
        (SoftThreshold(), st.SoftThreshold()),
        (ShiftedReLU.for_sparsity(0.7, q_star=2.0), st.ShiftedReLU.for_sparsity(0.7, 2.0)),
        (SoftThreshold.for_sparsity(0.7, q_star=2.0), st.SoftThreshold.for_sparsity(0.7, 2.0)),
        (ClippedReLU.for_sparsity(0.7, slope=0.5), st.ClippedReLU.for_sparsity(0.7, slope=0.5)),
        (
            ClippedSoftThreshold.for_sparsity(0.7, slope=0.5, q_star=0.5),
            st.ClippedSoftThreshold.for_sparsity(0.7, slope=0.5, q_star=0.5),
        ),
    ],
)
def test_a_module_of_the_same_arguments_is_the_theory_s(module: SparseActivation, phi: Any) -> None:
    assert type(module).__name__ == type(phi).__name__
    np.testing.assert_array_equal(module(torch.from_numpy(edges(phi))).numpy(), phi(edges(phi)))


@pytest.mark.parametrize(
    ("phi", "kind"),
    [
        (st.PiecewiseLinear([0.5], [0, 1]), ShiftedReLU(0.5)),
        (st.PiecewiseLinear([-0.5, 0.5], [1, 0, 1]), SoftThreshold(0.5)),
        (st.PiecewiseLinear([-0.5, 1.5], [0, 1, 0]), ClippedReLU(-0.5, 2.0)),
        (st.PiecewiseLinear([-1, 1], [0, 1, 0], -1), ClippedSoftThreshold(0.0, 1.0)),
        (
            st.PiecewiseLinear([-1.5, -0.5, 0.5, 1.5], [0, 1, 0, 1, 0], -1),
            ClippedSoftThreshold(0.5, 1.0),
        ),
    ],
)
def test_a_piecewise_linear_activation_that_is_one_of_the_four_kinds_is_taken(
    phi: st.PiecewiseLinear, kind: SparseActivation
) -> None:
    assert repr(SparseActivation.from_theory(phi)) == repr(kind)


@pytest.mark.parametrize(
    "phi",
    [
        st.PiecewiseLinear([0.5], [0.1, 1]),
        st.PiecewiseLinear([0.5], [0, 1], 1),
        st.PiecewiseLinear([-0.5, 0.6], [1, 0, 1]),
        st.PiecewiseLinear([-1, 1.5], [0, 1, 0], -1),
        st.PiecewiseLinear([-1.5, -0.5, 0.5, 1.75], [0, 1, 0, 1, 0], -1),
        st.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2, []),
    ],
)
def test_another_activation_is_refused_with_the_list_of_those_that_are_taken(phi: Any) -> None:
    with pytest.raises(ValueError, match=r"ShiftedReLU, SoftThreshold, .*PiecewiseLinear"):
        SparseActivation.from_theory(phi)


@pytest.mark.parametrize(
    ("module", "phi"),
    [
        (ClippedSoftThreshold(0.0, 1.0), st.ClippedSoftThreshold(0.0, 1.0)),
        (SoftThreshold(0.0), st.SoftThreshold(0.0)),
    ],
)
def test_an_odd_activation_without_a_dead_zone_has_derivative_one_at_zero(
    module: SparseActivation, phi: Any
) -> None:
    """So a layer initialized to zero trains, as it does before torch.nn.Hardtanh."""
    x = torch.tensor([-1.0, -0.5, 0.0, -0.0, 0.5, 1.0], requires_grad=True)
    y = module(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_array_equal(slope.numpy(), phi.derivative(x.detach().numpy()))
    assert torch.equal(module.pull_back(torch.ones(6), y), slope)


NO_NUMBERS: list[Any] = ["1", b"1", None, True, 1j, np.datetime64("2020"), torch.tensor(1j)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ShiftedReLU(math.nan), "tau"),
        (lambda: SoftThreshold(-0.1), "tau"),
        (lambda: ClippedReLU(1.0, 0.0), "m"),
        (lambda: SparseActivation([[0.0]]), "tau, m and odd"),
        (lambda: ClippedReLU(1.0, math.inf), "m must be positive and finite"),
        (lambda: ClippedReLU(1.0, -1.0), "m must be positive and finite"),
        (lambda: SoftThreshold(torch.empty((), device="meta")), "tau must have values"),
        (lambda: ClippedSoftThreshold(1.0, [1.0, math.inf]), "m"),
        (lambda: SoftThreshold(nn.Parameter(torch.tensor(1.0))), "tau"),
        (lambda: ClippedReLU(1.0, nn.Parameter(torch.tensor(1.0))), "m"),
        *((lambda x=x: SoftThreshold(x), "tau must be real") for x in NO_NUMBERS),
        *((lambda x=x: ClippedReLU(1.0, x), "m must be real") for x in NO_NUMBERS),
        (lambda: SparseActivation.from_theory(st.PiecewiseLinear([0.0], [0.1, 1.0])), "activation"),
        (lambda: SparseActivation.from_theory("crelu"), "activation must be .*'crelu'$"),  # type: ignore[arg-type]
        (lambda: ShiftedReLU(0.0)(torch.arange(3)), "x"),
    ],
)
def test_bad_activations_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        make()
