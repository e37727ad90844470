"""The written-out training step: its activations, its memory, and that it never waits for a GPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import sparsity_theory as st
from property_tests.small_networks import NETS, broken, small_dataset, small_ensemble, sphere
from torch_models.networks.activations import SparseActivation
from torch_models.networks.dense import DenseEnsemble
from torch_models.training import in_place, sgd
from torch_models.training import loop as training
from torch_models.training.backpropagation import backpropagation
from torch_models.training.dense import DenseBackpropagation
from torch_models.training.divergence import GRADIENT_LIMIT, IN_A_STEP, Watch
from torch_models.training.gpu import CapturedStep, compiled
from torch_models.training.in_place import AllMembers, OneSided, neighbours
from torch_models.training.loop import RECORDED_STEPS, Schedule, Training, train

pytestmark = pytest.mark.usefixtures("one_thread")

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
    return [neighbours(kinks, activation.odd, len(MIXED)), AllMembers(kinks)]


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
    parameter, gradient = torch.randn(2, 3, 40, 50, generator=torch.Generator().manual_seed(3))
    gradient[1] = math.nan
    keep = torch.tensor([False, True, False]).view(3, 1, 1)
    updates = [
        step(parameter.clone(), gradient, 0.1, keep)
        for step in (sgd._sgd_step_unless_, compiled(sgd._sgd_step_unless_))
    ]
    torch.testing.assert_close(updates[1], updates[0], rtol=2e-7, atol=1e-8)
    assert torch.equal(updates[1][1], parameter[1])


def test_one_phi_for_all_members_is_taken_in_one_call() -> None:
    activation = SparseActivation.from_theory(MIXED[0])
    found = neighbours(activation.kinks(torch.float32), activation.odd, 5)
    assert isinstance(found, OneSided)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("width", "classes"), [(1, 1), (12, 3)])
def test_losses_and_gradients_of_a_step_are_those_of_autograd(
    depth: int, width: int, classes: int
) -> None:
    """To the rounding of float64, for every layer of members of all kinds and input scales."""
    nets = [st.MeanField(phi, 1.5, 0.1) for phi in MIXED]
    scales = [0.5 + 0.25 * member for member in range(len(nets))]
    stack = DenseEnsemble(
        nets, 5, width, depth, classes, range(len(nets)), torch.float64, input_scales=scales
    )
    x, y = sphere(5, 1.0, 9), torch.arange(9) % classes
    losses = torch.stack([torch.nn.functional.cross_entropy(own, y) for own in stack(x)])
    gradients = torch.autograd.grad(losses.sum(), list(stack.weights))
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients], dim=1)
    found = backpropagation(stack).forward_backward(x, y)
    torch.testing.assert_close(found.losses, losses.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.first_gradient_norm(), norms[:, 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.gradient_norms(), norms, rtol=1e-12, atol=1e-14)


def test_batches_of_any_size_share_the_memory_of_the_largest() -> None:
    """Each gives what it gives in memory of its own, and nothing larger is allocated for it."""
    stack = small_ensemble()
    reused, largest = DenseBackpropagation(stack), 0
    for samples in (5, 12, 5, 12, 1):
        largest = max(largest, samples)
        x, y = sphere(20, 1.0, samples, seed=samples).float(), torch.arange(samples) % 5
        ours, fresh = (
            passes.forward_backward(x, y) for passes in (reused, DenseBackpropagation(stack))
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


def test_a_watch_keeps_of_each_member_the_first_step_that_was_not_sound() -> None:
    """A loss that is no number weighs more than a gradient; the limit itself is still allowed."""
    watch = Watch(members=5, step=7, device=torch.device("cpu"))
    beyond = math.nextafter(GRADIENT_LIMIT, math.inf)
    for losses, norms in (
        ([1.0] * 5, [GRADIENT_LIMIT] * 5),
        ([1.0, 1.0, math.inf, 1.0, 1.0], [0.0, beyond, beyond, 1.0, math.nan]),
        ([1.0, math.nan, 1.0, -math.inf, 1.0], [0.0, 0.0, beyond, 0.0, 0.0]),
    ):
        watch.look(*(torch.tensor(values, dtype=torch.float64) for values in (losses, norms)))
    assert watch.frozen.tolist() == [False, True, True, True, True]
    loss, gradient = IN_A_STEP
    assert list(watch.read()) == [(1, 9, gradient), (2, 9, loss), (3, 10, loss), (4, 9, gradient)]


@pytest.mark.parametrize("poison", [*NO_NUMBERS, 1e30])
def test_a_frozen_member_keeps_its_weights_whatever_its_gradients(poison: float) -> None:
    stack, well = small_ensemble(), small_ensemble()
    with torch.no_grad():
        stack.weights[1][2] = poison
    before = copy.deepcopy(stack)
    x, y = sphere(20, 1.0, 9).float(), torch.arange(9) % 5
    frozen = torch.tensor([False, False, True, False])
    backpropagation(stack).forward_backward(x, y).sgd_step(0.1, frozen)
    backpropagation(well).forward_backward(x, y).sgd_step(0.1)
    for own, old, other in zip(
        stack.parameters(), before.parameters(), well.parameters(), strict=True
    ):
        torch.testing.assert_close(own[2], old[2], rtol=0, atol=0, equal_nan=True)
        assert torch.equal(own[[0, 1, 3]], other[[0, 1, 3]])


class Traced:
    """In place of a CUDA graph: the operations of the step, on the memory that it had then.

    Tracing runs the step, which capturing does not; so the first launch has nothing to do.
    """

    def __init__(self, step: Any, batch: Tensor) -> None:
        self.batch, self.launches = batch.clone(), 0
        with torch.no_grad():
            self.graph = make_fx(lambda indices: step(indices))(self.batch)

    def __call__(self, batch: Tensor) -> None:
        """Run the operations on this batch."""
        self.batch.copy_(batch)
        if self.launches:
            with torch.no_grad():
                self.graph(self.batch)
        self.launches += 1


class RunningAhead(Training):
    """Treats a CPU as a GPU: steps are captured, and the host looks once an epoch."""

    _runs_ahead = True


def test_captured_steps_that_nobody_watches_train_as_steps_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Same weights, losses, records and divergences, bit for bit, over four epochs.

    What a captured step touches must stay where it is from epoch to epoch, nothing of it may be a
    number of Python's, and members that diverge in mid-epoch must stand still until its end.
    """
    monkeypatch.setattr(training, "CapturedStep", Traced)
    finished = []
    for kind in (Training, RunningAhead):
        # The rate is too large for the unclipped kind, which diverges when steps are captured.
        nets = [NETS["cst"], NETS["st"], NETS["st"]]
        ensemble = DenseEnsemble(nets, 20, 40, 12, 5, seeds=[1, 2, 8])
        trained = kind(ensemble, small_dataset(215), Schedule(4, 0.05, 10))
        while not trained.finished:
            trained.advance()
        trained.write_back()
        finished.append(trained)
    looked, ahead = finished
    assert isinstance(ahead._captured, Traced)
    assert ahead._captured.launches > ahead.steps_an_epoch
    assert looked.divergences == ahead.divergences
    sound, *steps = [end and end.step for end in looked.divergences]
    assert sound is None
    for step in steps:
        assert step is not None
        assert step > RECORDED_STEPS + 1
        assert step % looked.steps_an_epoch
    for own, other in zip(looked.ensemble.parameters(), ahead.ensemble.parameters(), strict=True):
        assert torch.equal(own, other)
    for ours, theirs in zip(looked.epochs, ahead.epochs, strict=True):
        assert str(ours) == str(theirs)
    assert str(looked.gradient_norms) == str(ahead.gradient_norms)


def test_gradients_are_recorded_up_to_the_step_in_which_a_member_diverges() -> None:
    """Whether or not it still stands in the stack."""
    for kind in (Training, RunningAhead):
        trained = kind(broken(small_ensemble(), [1], 1e9), small_dataset(), Schedule(1, 0.05, 16))
        for _ in range(3):
            trained.advance()
        recorded = [norms.isfinite().all(1).tolist() for norms in trained._gradient_norms]
        assert recorded == [[True] * 4, [True, False, True, True], [True, False, True, True]]


def test_a_state_stays_as_it_was_when_training_goes_on() -> None:
    trained = Training(small_ensemble(), small_dataset(), Schedule(2, 0.1, 16))
    trained.advance()
    state = trained.state()
    before = copy.deepcopy(state)
    for _ in range(6):
        trained.advance()
    assert str(state) == str(before)


def test_a_training_goes_on_from_its_state_as_if_never_stopped() -> None:
    """From the middle of an epoch, where one member has diverged and one has lost its sparsity."""
    ensemble, schedule = broken(small_ensemble(), [1], 1e9), Schedule(3, 0.05, 16)
    with torch.no_grad():
        ensemble.biases[1][2] = 5.0  # above tau, so that no unit rests
        ensemble.biases[2][2] = 5.0
    whole = Training(ensemble, small_dataset(), schedule)
    for _ in range(7):
        whole.advance()
    whole.write_back()
    assert whole.alive == [0, 3]
    other = Training(copy.deepcopy(ensemble), small_dataset(), schedule)
    other.resume(whole.state())
    for each in (whole, other):
        while not each.finished:
            each.advance()
        each.write_back()
    assert other.divergences == whole.divergences
    assert str(other.epochs) == str(whole.epochs)
    for own, theirs in zip(whole.ensemble.parameters(), other.ensemble.parameters(), strict=True):
        assert torch.equal(own, theirs)


class Uncaptured:
    """In place of a CUDA graph, for lack of CUDA: the step itself."""

    def __init__(self, step: Any, batch: Tensor) -> None:
        self.step = step

    def __call__(self, batch: Tensor) -> None:
        """Take it."""
        self.step(batch)


@pytest.fixture
def on_a_fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    """On a CUDA device of torch's making that has no numbers: whoever asks for one is told so."""
    monkeypatch.setattr(training, "CapturedStep", Uncaptured)
    monkeypatch.setattr(training, "_check_fit", lambda *_: None)  # it reads labels, before any step
    for module in (in_place, sgd):
        monkeypatch.setattr(module, "compiled", lambda function: function)
    ensemble, dataset = small_ensemble(), small_dataset(samples=300)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield Training(ensemble.to("cuda:0"), dataset, Schedule(2, 0.1, 8))


def test_within_an_epoch_the_host_never_waits_for_the_device(on_a_fake_gpu: Training) -> None:
    assert on_a_fake_gpu.steps_an_epoch > RECORDED_STEPS + 2
    for _ in range(on_a_fake_gpu.steps_an_epoch - 1):
        on_a_fake_gpu.advance()
    with pytest.raises(DataDependentOutputException):  # its end is where it must
        on_a_fake_gpu.advance()


def test_a_step_is_captured_only_after_one_of_its_size_has_run(
    on_a_fake_gpu: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its kernels would be loaded, and its memory allocated, while it is captured.

    Also where a training goes on beyond its first steps, and after a smaller batch.
    """
    sizes: list[int] = []
    monkeypatch.setattr(on_a_fake_gpu, "_take_step", lambda batch: sizes.append(len(batch)))
    on_a_fake_gpu.step = 10 * RECORDED_STEPS
    for samples in (5, 8, 8, 8, 5, 8):
        on_a_fake_gpu._launch(torch.arange(samples))
        captured = on_a_fake_gpu._captured is not None
        assert captured == (sizes.count(8) > 1)
    assert sizes == [5, 8, 8, 8, 5, 8]


def test_no_step_is_captured_while_gradients_are_recorded(
    on_a_fake_gpu: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record would be written over by every launch."""
    monkeypatch.setattr(on_a_fake_gpu, "_take_step", lambda batch: None)
    for step in range(1, RECORDED_STEPS + 2):
        on_a_fake_gpu.step = step
        on_a_fake_gpu._launch(torch.arange(8))
        assert (on_a_fake_gpu._captured is not None) == (step > RECORDED_STEPS)


def test_a_step_that_waits_for_the_device_is_found_out(
    on_a_fake_gpu: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: a single number that is read."""
    take_step = Training._take_step

    def reading(self: Training, batch: Tensor) -> None:
        take_step(self, batch)
        self._loss.sum().item()

    monkeypatch.setattr(Training, "_take_step", reading)
    with pytest.raises(DataDependentOutputException):
        on_a_fake_gpu.advance()


@pytest.mark.gpu
def test_a_captured_step_trains_as_the_step_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit over three epochs, with members that diverge on the way."""
    finished = []
    for capture in (CapturedStep, Uncaptured):
        monkeypatch.setattr(training, "CapturedStep", capture)
        ensemble = DenseEnsemble(
            [NETS["cst"], NETS["st"], NETS["crelu"]], 20, 40, 12, 5, [1, 2, 3], device="cuda"
        )
        trained = Training(broken(ensemble, [2], math.inf), small_dataset(300), Schedule(3, 0.2, 8))
        while not trained.finished:
            trained.advance()
        finished.append(trained)
    captured, plain = finished
    assert captured.divergences == plain.divergences
    assert str(captured.epochs) == str(plain.epochs)
    for own, other in zip(captured.ensemble.parameters(), plain.ensemble.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.gpu
def test_a_stack_trains_on_a_gpu_as_on_the_cpu() -> None:
    """To the rounding of two libraries, over one epoch of 35 steps."""
    ends = []
    for device in ("cpu", "cuda"):
        ensemble = small_ensemble(torch.float64).to(device)
        trained = Training(ensemble, small_dataset(280), Schedule(1, 0.05, 8))
        while not trained.finished:
            trained.advance()
        ends.append(ensemble.cpu())
    for own, other in zip(*(end.parameters() for end in ends), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-11)


# ------------------------------------------------------------------ precision


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
    before = torch.get_float32_matmul_precision()
    stack = small_ensemble().to("cuda")
    x, y = sphere(20, 1.0, 16).float().cuda(), (torch.arange(16) % 5).cuda()
    exact = backpropagation(stack).forward_backward(x, y).losses
    rounded = backpropagation(stack, "tf32").forward_backward(x, y).losses
    torch.testing.assert_close(rounded, exact, rtol=3e-3, atol=3e-3)
    assert not torch.equal(rounded, exact)
    assert torch.get_float32_matmul_precision() == before
