"""The written-out training step: its activations, its gradients, its memory and frozen members."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import sparsity_theory as st
from property_tests.support.networks import small_ensemble, sphere
from torch_models.networks.activations import SparseActivation
from torch_models.networks.dense import DenseEnsemble
from torch_models.training import in_place, sgd
from torch_models.training.backpropagation import backpropagation
from torch_models.training.dense import DenseBackpropagation
from torch_models.training.divergence import GRADIENT_LIMIT, STEP_DIVERGENCES, DivergenceMonitor
from torch_models.training.gpu import compiled
from torch_models.training.in_place import AllMembers, OneSided, group_by_kinks

MIXED: list[Any] = [
    st.ClippedReLU(1.0, 1.25),
    st.ClippedReLU(1.0, 1.25),
    st.SoftThreshold(1.0),
    st.ShiftedReLU(-0.5),
    st.ClippedSoftThreshold(0.7, 1.2),
    st.ClippedReLU(1.0, 0.3),
    st.ClippedSoftThreshold(1.0, 0.3),
    st.SoftThreshold(0.0),
]
NO_NUMBERS = [math.nan, math.inf, -math.inf]

every_precision = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])


def pre_activations(dtype: torch.dtype) -> Tensor:
    """For all members the kinks of all, their neighbours, what is no number, and normal numbers."""
    kinks = [0.0, -0.5, 0.7, 1.0, 1.3, 1.9, 2.25]
    near = [k + side * 2.0**-power for k in kinks for side in (-1, 1) for power in (6, 9, 22)]
    special = torch.tensor([*kinks, *(-k for k in kinks), *near, *NO_NUMBERS])
    normal = 2 * torch.randn(240, generator=torch.Generator().manual_seed(1))
    numbers = torch.cat([special, normal])[:240]
    return numbers.reshape(1, 8, 30).repeat(len(MIXED), 1, 1).to(dtype)


def forms(activation: SparseActivation, dtype: torch.dtype) -> list[Any]:
    """Both ways in which phi is taken in place."""
    kinks = activation.kinks(dtype)
    return [group_by_kinks(kinks, activation.odd, len(MIXED)), AllMembers(kinks)]


def agree_with_the_module(dtype: torch.dtype) -> None:
    """Values everywhere, NaN included; gradients wherever phi is a number."""
    activation = SparseActivation.from_theory(MIXED).to(dtype)
    h = pre_activations(dtype)
    expected = activation(h)
    error = torch.randn(h.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    pulled = activation.pull_back(error, expected)
    for form in forms(activation, dtype):
        y = form.activate_(h.clone())
        torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
        passed = form.pull_back_(error.clone(), y)
        sound = y.isfinite()
        torch.testing.assert_close(passed[sound], pulled[sound], rtol=0, atol=0)


@every_precision
def test_in_place_phi_and_its_pull_back_are_those_of_the_module(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, for neighbours with like kinks and for all members at once."""
    monkeypatch.setattr(in_place, "compiled", lambda function: function)
    agree_with_the_module(dtype)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiler_does_not_change_what_it_fuses() -> None:
    """With whatever code the compiler writes for this machine; a GPU gets its own.

    It may multiply and subtract with one rounding, so the update is right to one unit.
    """
    agree_with_the_module(torch.float32)
    parameter, gradient = torch.randn(2, 3, 2000, generator=torch.Generator().manual_seed(3))
    gradient[1] = math.nan
    keep = torch.tensor([False, True, False]).view(3, 1)
    updates = [
        step(parameter.clone(), gradient, 0.1, keep)
        for step in (sgd._masked_sgd_step_, compiled(sgd._masked_sgd_step_))
    ]
    torch.testing.assert_close(updates[1], updates[0], rtol=2e-7, atol=1e-8)
    assert torch.equal(updates[1][1], parameter[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_update_is_compiled_once_for_all_layers_and_numbers_of_members(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And once more for a single member. After eight times the compiler would give up.

    The control: of parameters as they are, it is compiled for each shape.
    """
    graphs: list[Any] = []

    def counted(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    step = torch.compile(sgd._masked_sgd_step_, dynamic=True, backend=counted)
    monkeypatch.setattr(sgd, "_kernel", lambda parameter: step)
    for members in (5, 4, 3, 1):
        frozen = torch.zeros(members, dtype=torch.bool)
        for weight in small_ensemble().select([0] * members).parameters():
            sgd.sgd_step_(weight, torch.ones_like(weight), 0.1, frozen)
    assert len(graphs) == 2
    with torch.no_grad():
        for weight in list(small_ensemble().weights)[1:]:
            step(weight, torch.ones_like(weight), 0.1, torch.zeros(4, 1, 1, dtype=torch.bool))
    assert len(graphs) == 4


def test_one_phi_for_all_members_is_taken_in_one_call() -> None:
    activation = SparseActivation.from_theory(MIXED[0])
    found = group_by_kinks(activation.kinks(torch.float32), activation.odd, 5)
    assert isinstance(found, OneSided)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("width", "classes"), [(1, 1), (12, 3)])
def test_losses_and_gradients_of_a_step_are_those_of_autograd(
    depth: int, width: int, classes: int
) -> None:
    """To the rounding of float64, for every layer of members of all kinds and input scales."""
    nets = [st.MeanField(phi, 1.5, 0.1) for phi in MIXED]
    scales = [0.5 + 0.25 * member for member in range(len(nets))]
    ensemble = DenseEnsemble(
        nets, 5, width, depth, classes, range(len(nets)), torch.float64, input_scales=scales
    )
    x, y = sphere(5, 1.0, 9), torch.arange(9) % classes
    losses = torch.stack([torch.nn.functional.cross_entropy(own, y) for own in ensemble(x)])
    gradients = torch.autograd.grad(losses.sum(), list(ensemble.weights))
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients], dim=1)
    found = backpropagation(ensemble).forward_backward(x, y)
    torch.testing.assert_close(found.losses, losses.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.first_gradient_norm(), norms[:, 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.gradient_norms(), norms, rtol=1e-12, atol=1e-14)


def test_batches_of_any_size_share_the_memory_of_the_largest() -> None:
    """Each gives what it gives in memory of its own, and nothing larger is allocated for it."""
    ensemble = small_ensemble()
    reused, largest = DenseBackpropagation(ensemble), 0
    for samples in (5, 12, 5, 12, 1):
        largest = max(largest, samples)
        x, y = sphere(20, 1.0, samples, seed=samples).float(), torch.arange(samples) % 5
        ours, fresh = (
            passes.forward_backward(x, y) for passes in (reused, DenseBackpropagation(ensemble))
        )
        assert torch.equal(ours.losses, fresh.losses)
        assert torch.equal(ours.gradient_norms(), fresh.gradient_norms())
        assert reused.memory.batch == samples
        for own in (*ours.memory.inputs, *ours.memory.errors):
            assert own.is_contiguous()
            assert (
                own.untyped_storage().nbytes()
                == own[..., 0].nbytes // samples * largest * own.shape[-1]
            )


def test_the_monitor_keeps_of_each_member_the_first_step_in_which_it_diverged() -> None:
    """A loss that is no number weighs more than a gradient; the limit itself is still allowed."""
    monitor = DivergenceMonitor(members=5, step=7, device=torch.device("cpu"))
    beyond = math.nextafter(GRADIENT_LIMIT, math.inf)
    for losses, norms in (
        ([1.0] * 5, [GRADIENT_LIMIT] * 5),
        ([1.0, 1.0, math.inf, 1.0, 1.0], [0.0, beyond, beyond, 1.0, math.nan]),
        ([1.0, math.nan, 1.0, -math.inf, 1.0], [0.0, 0.0, beyond, 0.0, 0.0]),
    ):
        monitor.update(*(torch.tensor(values, dtype=torch.float64) for values in (losses, norms)))
    assert monitor.frozen.tolist() == [False, True, True, True, True]
    loss, gradient = STEP_DIVERGENCES
    assert list(monitor.read()) == [(1, 9, gradient), (2, 9, loss), (3, 10, loss), (4, 9, gradient)]


@pytest.mark.parametrize("poison", [*NO_NUMBERS, 1e30])
def test_a_frozen_member_keeps_its_weights_whatever_its_gradients(poison: float) -> None:
    ensemble, well = small_ensemble(), small_ensemble()
    with torch.no_grad():
        ensemble.weights[1][2] = poison
    before = copy.deepcopy(ensemble)
    x, y = sphere(20, 1.0, 9).float(), torch.arange(9) % 5
    frozen = torch.tensor([False, False, True, False])
    backpropagation(ensemble).forward_backward(x, y).sgd_step(0.1, frozen)
    backpropagation(well).forward_backward(x, y).sgd_step(0.1)
    for own, old, other in zip(
        ensemble.parameters(), before.parameters(), well.parameters(), strict=True
    ):
        torch.testing.assert_close(own[2], old[2], rtol=0, atol=0, equal_nan=True)
        assert torch.equal(own[[0, 1, 3]], other[[0, 1, 3]])
