"""Training in bf16 and TF32: what is rounded, and what is not."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from property_tests.support.networks import NETS, small_dataset, small_ensemble, sphere
from torch_models.networks import circular
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.observe import observe_gradients
from torch_models.training.backpropagation import backpropagation
from torch_models.training.dense import DenseBackpropagation
from torch_models.training.loop import train


def test_half_precision_rounds_what_is_multiplied_and_not_what_is_updated() -> None:
    """A step too small for the 8 significant bits of bf16 reaches the weights, and adds up."""
    stack, half = small_ensemble(), small_ensemble()
    x, y = sphere(20, 1.0, 16).float(), torch.arange(16) % 5
    exact = backpropagation(stack).forward_backward(x, y)
    rounded = DenseBackpropagation(half, "bf16").forward_backward(x, y)
    assert rounded.losses.dtype == torch.float32
    torch.testing.assert_close(rounded.losses, exact.losses, rtol=0.03, atol=0.03)
    torch.testing.assert_close(
        rounded.gradient_norms(), exact.gradient_norms(), rtol=0.2, atol=0.02
    )
    before = copy.deepcopy(half)
    for _ in range(3):
        rounded.forward_backward(x, y).sgd_step(1e-6)
    for own, old in zip(half.weights, before.weights, strict=True):
        assert not torch.equal(own, old)
        unseen = own.bfloat16() == old.bfloat16()
        assert unseen.double().mean() > 0.99
    assert rounded.memory.inputs[1].dtype == torch.bfloat16


def test_in_half_precision_products_see_every_step() -> None:
    half = small_ensemble()
    x, y = sphere(20, 1.0, 16).float(), torch.arange(16) % 5
    passes = DenseBackpropagation(half, "bf16")
    for bias in half.biases:
        before = passes.forward_backward(x, y).losses
        with torch.no_grad():
            bias.add_(1.0)  # as if it had a gradient
        passes.sgd_step(0.1)
        after, fresh = (
            passes.forward_backward(x, y).losses,
            backpropagation(half, "bf16").forward_backward(x, y),
        )
        assert torch.equal(after, fresh.losses)
        assert not torch.equal(after, before)


def test_in_half_precision_the_gradient_by_a_bias_is_summed_in_single() -> None:
    half, samples = small_ensemble(), 300
    with torch.no_grad():
        for bias in half.biases:
            bias.zero_()
    passes = DenseBackpropagation(half, "bf16")
    passes.forward_backward(sphere(20, 1.0, samples).float(), torch.arange(samples) % 5).sgd_step(
        1.0
    )
    for bias, error in zip(half.biases, passes.memory.errors, strict=True):
        torch.testing.assert_close(-bias, error.float().sum(1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_training_in_half_precision_learns_as_much() -> None:
    losses = []
    for precision in ("float32", "bf16"):
        data, ensemble = small_dataset(), small_ensemble()
        result = train(
            ensemble, data, epochs=30, learning_rate=0.05, batch_size=10, precision=precision
        )
        assert result.divergences == (None,) * 4
        losses.append(result.epochs[-1].loss / result.epochs[0].loss)
    assert (losses[1] < 0.7).all()
    np.testing.assert_allclose(losses[1], losses[0], atol=0.15)


@pytest.mark.parametrize(
    ("precision", "named"),
    [("fp8", "precision must be one of float32, tf32, bf16, got 'fp8'"), ("tf32", "needs a CUDA")],
)
def test_a_precision_that_there_is_not_is_named(precision: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        train(
            small_ensemble(), small_dataset(),
            epochs=1, learning_rate=0.1, batch_size=9, precision=precision,
        )  # fmt: skip


def test_half_precision_starts_from_single() -> None:
    with pytest.raises(ValueError, match=r"bf16 needs weights in float32, got torch\.float64"):
        backpropagation(small_ensemble(torch.float64), "bf16")


@pytest.mark.gpu
def test_tf32_rounds_products_to_ten_bits_and_leaves_the_setting_as_it_was() -> None:
    """Of layers wide enough for every library to use it."""
    before = torch.get_float32_matmul_precision()
    stack = DenseEnsemble(list(NETS.values()), 256, 256, 3, 5, range(4), device="cuda")
    x, y = sphere(256, 1.0, 128).float().cuda(), (torch.arange(128) % 5).cuda()
    exact = backpropagation(stack).forward_backward(x, y).losses
    rounded = backpropagation(stack, "tf32").forward_backward(x, y).losses
    torch.testing.assert_close(rounded, exact, rtol=3e-3, atol=3e-3)
    assert not torch.equal(rounded, exact)
    assert torch.get_float32_matmul_precision() == before


def test_convolutions_and_their_gradients_are_taken_without_tf32_whatever_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU torch allows it by default. The setting is then as it was."""
    allowed: list[bool] = []

    def note(error: Tensor | None = None) -> None:
        allowed.append(torch.backends.cudnn.allow_tf32)

    def spied(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        note()
        h = nn.functional.conv1d(x, kernel, bias)
        h.register_hook(note)  # type: ignore[no-untyped-call]
        return h

    monkeypatch.setitem(circular._CONVOLUTIONS, 1, spied)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    ensemble = ConvolutionalEnsemble([NETS["crelu"]], 3, 3, 2, [0])
    observe_gradients(ensemble, torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(1)))
    assert len(allowed) >= 3  # two layers forward, at least one back
    assert not any(allowed)
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.gpu
def test_convolutions_on_a_gpu_are_rounded_as_float32() -> None:
    """To 2e-5 of their size, whatever the algorithm, where TF32 rounds to 3e-4."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 64, 16, 16, generator=generator)
    kernel = torch.randn(1, 64, 64, 3, 3, generator=generator)
    exact = circular.convolve(x.double(), kernel.double())
    found = circular.convolve(x.cuda(), kernel.cuda()).cpu().double()
    assert (found - exact).square().mean().sqrt() < 2e-5 * exact.square().mean().sqrt()
