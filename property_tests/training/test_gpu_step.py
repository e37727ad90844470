"""Training on a GPU: steps are captured, and the host never waits for one within an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from property_tests.support.networks import NETS, broken, small_dataset, small_ensemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.training import in_place, sgd
from torch_models.training import loop as training
from torch_models.training.gpu import CapturedStep
from torch_models.training.loop import RECORDED_STEPS, Training
from torch_models.training.schedule import Schedule


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


@pytest.mark.parametrize(("learning_rate", "momentum"), [(0.05, 0.0), (0.035, 0.5)])
def test_captured_steps_that_nobody_watches_train_as_steps_do(
    learning_rate: float, momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same weights, losses, records and divergences, bit for bit, over five epochs.

    What a captured step touches must stay where it is from epoch to epoch, nothing of it may be a
    number of Python's, and members that diverge in mid-epoch must stand still until its end.
    """
    monkeypatch.setattr(training, "CapturedStep", Traced)
    finished = []
    for kind in (Training, RunningAhead):
        # The rate is too large for the unclipped kind, which diverges when steps are captured.
        nets = [NETS["cst"], NETS["st"], NETS["st"]]
        ensemble = DenseEnsemble(nets, 20, 40, 12, 5, seeds=[1, 2, 8])
        schedule = Schedule(5, learning_rate, 10, momentum=momentum)
        trained = kind(ensemble, small_dataset(215), schedule)
        while not trained.finished:
            trained.advance()
        trained.write_back()
        finished.append(trained)
    looked, ahead = finished
    assert isinstance(ahead._captured, Traced)
    assert ahead._captured.launches > ahead.steps_per_epoch
    assert looked.divergences == ahead.divergences
    sound, *steps = [end and end.step for end in looked.divergences]
    assert sound is None
    for step in steps:
        assert step is not None
        assert step > RECORDED_STEPS + 1
        assert step % looked.steps_per_epoch
    for own, other in zip(looked.ensemble.parameters(), ahead.ensemble.parameters(), strict=True):
        assert torch.equal(own, other)
    for ours, theirs in zip(looked.epochs, ahead.epochs, strict=True):
        assert str(ours) == str(theirs)
    assert str(looked.gradient_norms) == str(ahead.gradient_norms)


def test_gradients_are_recorded_up_to_the_step_in_which_a_member_diverges() -> None:
    """Whether or not it still stands in the ensemble."""
    for kind in (Training, RunningAhead):
        trained = kind(broken(small_ensemble(), [1], 1e9), small_dataset(), Schedule(1, 0.05, 16))
        for _ in range(3):
            trained.advance()
        recorded = [norms.isfinite().all(1).tolist() for norms in trained._gradient_norms]
        assert recorded == [[True] * 4, [True, False, True, True], [True, False, True, True]]


class Uncaptured:
    """In place of a CUDA graph, for lack of CUDA: the step itself."""

    def __init__(self, step: Any, batch: Tensor) -> None:
        self.step = step

    def __call__(self, batch: Tensor) -> None:
        """Take it."""
        self.step(batch)


@pytest.fixture(params=[0.0, 0.9], ids=["plain", "momentum"])
def on_a_fake_gpu(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Training]:
    """On a CUDA device of torch's making that has no numbers: whoever asks for one is told so."""
    monkeypatch.setattr(training, "CapturedStep", Uncaptured)
    monkeypatch.setattr(training, "check_fit", lambda *_: None)  # it reads labels, before any step
    for module in (in_place, sgd):
        monkeypatch.setattr(module, "compiled", lambda function: function)
    ensemble, dataset = small_ensemble(), small_dataset(samples=300)
    with FakeTensorMode(allow_non_fake_inputs=True):
        schedule = Schedule(2, 0.1, 8, momentum=request.param)
        yield Training(ensemble.to("cuda:0"), dataset, schedule)


def test_within_an_epoch_the_host_never_waits_for_the_device(on_a_fake_gpu: Training) -> None:
    assert on_a_fake_gpu.steps_per_epoch > RECORDED_STEPS + 2
    for _ in range(on_a_fake_gpu.steps_per_epoch - 1):
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
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_captured_step_trains_as_the_step_itself(
    momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit over three epochs, with members that diverge on the way."""
    finished = []
    for capture in (CapturedStep, Uncaptured):
        monkeypatch.setattr(training, "CapturedStep", capture)
        ensemble = DenseEnsemble(
            [NETS["cst"], NETS["st"], NETS["crelu"]], 20, 40, 12, 5, [1, 2, 3], device="cuda"
        )
        schedule = Schedule(3, 0.2, 8, momentum=momentum)
        trained = Training(broken(ensemble, [2], math.inf), small_dataset(300), schedule)
        while not trained.finished:
            trained.advance()
        finished.append(trained)
    captured, plain = finished
    assert captured.divergences == plain.divergences
    assert str(captured.epochs) == str(plain.epochs)
    for own, other in zip(captured.ensemble.parameters(), plain.ensemble.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.gpu
def test_an_ensemble_trains_on_a_gpu_as_on_the_cpu() -> None:
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
