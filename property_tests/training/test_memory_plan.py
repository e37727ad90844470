"""The memory of an ensemble in training is known before any of it is taken."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from property_tests.support.networks import NETS, broken, small_dataset
from property_tests.support.sweeps import dataset_of, small_runs
from torch_models.experiments.build import GPU_SHARE, TOGETHER, ensemble_size
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.training.loop import Training
from torch_models.training.memory_plan import member_memory
from torch_models.training.precision import PRECISIONS
from torch_models.training.schedule import Schedule
from torch_models.training.step_memory import StepMemory


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes that tensors of the CPU hold at once, whoever made them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.held: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked for, and count what comes of it."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == "cpu":
                self.hold(tensor.untyped_storage())
        return result

    def hold(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is gone."""
        key, size = storage._cdata, storage.nbytes()
        if key not in self.held:
            self.held.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.release, key, size)

    def release(self, key: int, size: int) -> None:
        """Count it no more."""
        self.held.discard(key)
        self.now -= size


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(
    ("width", "depth", "batch_size"), [(300, 10, 100), (100, 40, 50), (400, 2, 10), (50, 100, 100)]
)
def test_training_takes_no_more_than_planned_and_not_much_less(
    width: int, depth: int, batch_size: int, precision: str, momentum: float
) -> None:
    """With two members that diverge one after the other, and the others evaluated as they end.

    The plan lets all members be copied twice and all parts be there at one time, which they are not
    quite; less than half of it is slack.
    """
    data, members = small_dataset(samples=200, features=64), 6
    seen = data.train_x.repeat(6, 1)  # so many that two batches of the evaluation are full
    data = replace(data, validation_x=seen, validation_y=data.train_y.repeat(6))
    with Peak() as peak:
        ensemble = DenseEnsemble([NETS["cst"]] * members, 64, width, depth, 5, range(members))
        schedule = Schedule(2, 1e-6, batch_size, 0, precision, momentum)
        training = Training(broken(ensemble, [1], math.inf), data, schedule)
        training.advance()
        assert len(training.training_members) == members - 1
        with torch.no_grad():
            training._members.ensemble.weights[-1][3] = math.inf
        while not training.finished:
            training.advance()
        assert len(training.training_members) == members - 2
        training.write_back()
        evaluate(ensemble.select(training.training_members), seen, data.validation_y)
    images = data.train_x.nbytes + seen.nbytes
    planned = members * member_memory(64, width, depth, 5, batch_size, precision, momentum).total
    assert planned / 2 < peak.peak - images < planned


def test_the_plan_states_the_bytes_that_are_allocated() -> None:
    plan = member_memory(20, 40, 3, 5, 7)
    stack = DenseEnsemble(list(NETS.values()), 20, 40, 3, 5, range(4))
    assert 4 * plan.parameters == sum(parameter.nbytes for parameter in stack.parameters())
    assert 4 * plan.step == StepMemory.of(stack, 7).nbytes
    parts = plan.parameters + plan.step + plan.evaluation + plan.copies
    assert plan.total == parts
    assert [plan.largest_ensemble(n * parts + extra) for n, extra in ((0, 1), (3, -1), (3, 0))] == [
        0,
        2,
        3,
    ]


def test_momentum_takes_as_much_memory_as_the_weights_and_their_copies() -> None:
    plain, moving = member_memory(20, 40, 3, 5, 7), member_memory(20, 40, 3, 5, 7, momentum=0.9)
    assert moving.total == plain.total + plain.parameters + plain.copies


def test_half_precision_takes_half_the_memory_of_a_step_and_a_copy_of_the_weights() -> None:
    single, tf32, half = (member_memory(20, 40, 3, 5, 7, name) for name in PRECISIONS)
    assert tf32 == single
    assert half.step == single.step // 2 + single.parameters // 2
    assert half.parameters == single.parameters


@pytest.fixture
def gpu_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many bytes a GPU says to have free."""

    @contextmanager
    def free(size: int) -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(torch.cuda, "mem_get_info", lambda device: (size, size))
            yield

    return free


def test_a_gpu_trains_as_many_networks_together_as_fit(gpu_with: Any) -> None:
    (run, *_) = small_runs()
    experiment, data = run.experiment, dataset_of(run.experiment)
    member = member_memory(
        data.features, experiment.width, experiment.depth, data.classes, experiment.batch_size
    )
    images = data.train_x.nbytes + data.validation_x.nbytes
    with gpu_with(math.ceil((images + 20.5 * member.total) / GPU_SHARE)):
        assert ensemble_size(None, experiment, data, "cuda") == 20
        assert ensemble_size(7, experiment, data, "cuda:0") == 7
        with pytest.raises(ValueError, match=r"together must be at most 20: .* MB free; got 21"):
            ensemble_size(21, experiment, data, "cuda")
    with gpu_with(1000), pytest.raises(ValueError, match="together must be at most 0: "):
        ensemble_size(None, experiment, data, "cuda")
    assert ensemble_size(None, experiment, data, "cpu") == TOGETHER
    assert ensemble_size(1000, experiment, data, "cpu") == 1000


def test_a_plan_without_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        member_memory(20, 40, 3, 5, 0)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        member_memory(20, 0, 3, 5, 1)
